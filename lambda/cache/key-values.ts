import type { KeyValues } from './contract.ts';
import type { Valkey } from './valkey.ts';

/** @see KeyValues */
export function createKeyValues(valkey: Valkey, deployment: string): KeyValues {
  const name = (key: string): string => `llm:v:${deployment}:${key}`;
  return {
    async get(key) {
      return (await valkey.run((client) => client.get(name(key)))) ?? undefined;
    },
    async set(key, value, ttlMs) {
      await valkey.run((client) => client.set(name(key), value, 'PX', Math.max(1, Math.round(ttlMs))));
    },
  };
}
