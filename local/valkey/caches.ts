import type { Stack } from '../cloudformation/stack.ts';
import { startValkeyServer, type ValkeyServer } from './server.ts';

interface LocalCache {
  /** `rediss://<address>:<port>` as functions have it. */
  readonly endpoint: string;
  readonly server: ValkeyServer;
}

/** The serverless caches of an assembly, each a server of this machine. */
export class Caches {
  readonly #caches: readonly LocalCache[];

  private constructor(caches: readonly LocalCache[]) {
    this.#caches = caches;
  }

  /** @throws Error for an engine that nothing here stands in for */
  static async start(stacks: readonly Stack[], log: (label: string, line: string) => void): Promise<Caches> {
    const started: LocalCache[] = [];
    try {
      for (const resource of stacks.flatMap((stack) => stack.ofType('AWS::ElastiCache::ServerlessCache'))) {
        const engine = String(resource.required('Engine'));
        if (engine !== 'valkey' && engine !== 'redis') {
          throw new Error(`${resource.logicalId}: the local run doesn't know caches with the engine ${engine}`);
        }
        const server = await startValkeyServer();
        log(resource.logicalId, `${server.program} on port ${server.port}`);
        const endpoint = `${resource.attribute('Endpoint.Address')}:${resource.attribute('Endpoint.Port')}`;
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
