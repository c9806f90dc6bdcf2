import type { Stack } from '../cloudformation/stack.ts';
import { withVectorSearch } from './search-proxy.ts';
import { startValkeyServer, type ValkeyServer } from './server.ts';

interface LocalCache {
  /** `rediss://<address>:<port>` as functions have it. */
  readonly endpoint: string;
  readonly server: ValkeyServer;
}

/** Where each kind of cache says its address. Nodes can search vectors, a serverless cache can't. */
const KINDS = [
  { type: 'AWS::ElastiCache::ServerlessCache', endpoint: 'Endpoint', searches: false },
  { type: 'AWS::ElastiCache::ReplicationGroup', endpoint: 'PrimaryEndPoint', searches: true },
] as const;

/** The caches of an assembly, each a server of this machine. */
export class Caches {
  readonly #caches: readonly LocalCache[];

  private constructor(caches: readonly LocalCache[]) {
    this.#caches = caches;
  }

  /** @throws Error for an engine that nothing here stands in for */
  static async start(stacks: readonly Stack[], log: (label: string, line: string) => void): Promise<Caches> {
    const started: LocalCache[] = [];
    try {
      const found = KINDS.flatMap((kind) =>
        stacks.flatMap((stack) => stack.ofType(kind.type)).map((resource) => ({ kind, resource })),
      );
      for (const { kind, resource } of found) {
        const engine = String(resource.required('Engine'));
        if (engine !== 'valkey' && engine !== 'redis') {
          throw new Error(`${resource.logicalId}: the local run doesn't know caches with the engine ${engine}`);
        }
        const plain = await startValkeyServer();
        const server = kind.searches ? await withVectorSearch(plain) : plain;
        log(resource.logicalId, `${server.program} on port ${server.port}`);
        const [address, port] = ['Address', 'Port'].map((part) => resource.attribute(`${kind.endpoint}.${part}`));
        const endpoint = `${address}:${port}`;
        started.push({ endpoint: `rediss://${endpoint}`, server });
      }
    } catch (error) {
      await Promise.all(started.map(({ server }) => server.close()));
      throw error;
    }
    return new Caches(started);
  }

  /** A variable's value, with the caches' addresses replaced by local ones: no TLS there, and so no credentials. */
  readonly localized = (value: string): string =>
    this.#caches.reduce((text, { endpoint, server }) => text.replaceAll(endpoint, server.url), value);

  /** URLs of the servers. */
  get urls(): string[] {
    return this.#caches.map(({ server }) => server.url);
  }

  get pids(): number[] {
    return this.#caches.flatMap(({ server }) => server.pid ?? []);
  }

  async close(): Promise<void> {
    await Promise.all(this.#caches.map(({ server }) => server.close()));
  }
}
