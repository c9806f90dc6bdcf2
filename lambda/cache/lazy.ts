import type { CacheConfig } from '../contract/config.ts';
import type { Cache } from './contract.ts';

/** The cache, loaded beside the function's start: a handler without one has nothing of it. */
export function lazyCache(config: CacheConfig, env: Readonly<Record<string, string | undefined>>): Cache {
  const loading = import('./index.ts').then(({ createCache }) => createCache(config, env));
  // Whoever asks for it meets the failure.
  loading.catch(() => undefined);
  return {
    warm: () => void loading.then((cache) => cache.warm()).catch(() => undefined),
    open: async (ask) => (await loading).open(ask),
    breakers: {
      read: async (backends) => (await loading).breakers.read(backends),
      write: async (backend, until) => (await loading).breakers.write(backend, until),
    },
    values: {
      get: async (key) => (await loading).values.get(key),
      set: async (key, value, ttlMs) => (await loading).values.set(key, value, ttlMs),
    },
    close: () => void loading.then((cache) => cache.close()).catch(() => undefined),
  };
}
