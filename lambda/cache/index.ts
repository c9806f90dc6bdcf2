import type { CacheConfig } from '../contract/config.ts';
import { Answers } from './answers.ts';
import { createSharedBreakers } from './breakers.ts';
import type { Cache } from './contract.ts';
import { credentialsFor } from './credentials.ts';
import { createKeyValues } from './key-values.ts';
import { Valkey } from './valkey.ts';

export function createCache(config: CacheConfig, env: Readonly<Record<string, string | undefined>>): Cache {
  const credentials = credentialsFor(config.auth, env);
  const valkey = new Valkey({
    endpoint: config.endpoint,
    timeoutMs: config.timeoutMs,
    connectTimeoutMs: config.connectTimeoutMs,
    ...(credentials === undefined ? {} : { credentials }),
  });
  const answers = new Answers(config, valkey);
  return {
    warm: () => void valkey.run((client) => client.ping()),
    open: (ask) => answers.open(ask),
    breakers: createSharedBreakers(valkey, config.deployment),
    values: createKeyValues(valkey, config.deployment),
    close: () => valkey.close(),
  };
}
