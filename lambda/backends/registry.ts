import type { BackendConfig } from '../contract/config.ts';
import type { Backend } from './backend.ts';
import type { SharedHints } from './openai-compatible/fleet.ts';

export interface Registry {
  /** Made when first asked for, then kept: its module, its connections and its credentials. */
  get(config: BackendConfig): Promise<Backend>;
}

/** A backend's module loads with the first request that may need it; a deployment pays for what it uses. */
export function createRegistry(hints?: SharedHints): Registry {
  const backends = new Map<string, Promise<Backend>>();
  return {
    get(config) {
      let backend = backends.get(config.id);
      if (backend === undefined) {
        backend = create(config, hints);
        backends.set(config.id, backend);
        // A failure isn't kept: the next request tries again.
        backend.catch(() => backends.delete(config.id));
      }
      return backend;
    },
  };
}

async function create(config: BackendConfig, hints: SharedHints | undefined): Promise<Backend> {
  switch (config.kind) {
    case 'openai-compatible': {
      const { createOpenAiCompatibleBackend } = await import('./openai-compatible/index.ts');
      const { auth, id } = config;
      if (auth.type === 'none') return createOpenAiCompatibleBackend(config, undefined, hints);
      const { createCredentials } = await import('../secrets/credentials.ts');
      return createOpenAiCompatibleBackend(config, createCredentials(auth, { backend: id }), hints);
    }
    case 'static-reply': {
      const { createStaticReplyBackend } = await import('./static-reply/index.ts');
      return createStaticReplyBackend(config);
    }
    case 'rules': {
      const { createRulesBackend } = await import('./rules/index.ts');
      return createRulesBackend(config);
    }
    case 'bedrock': {
      const { createBedrockBackend } = await import('./bedrock/index.ts');
      return createBedrockBackend(config);
    }
  }
}
