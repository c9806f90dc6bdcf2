import type { SharedBreakers } from '../failover/health.ts';
import type { Valkey } from './valkey.ts';

/** Longer than any breaker is open. */
const KEEP_MS = 3_600_000;

/** Open breakers of a deployment, in one hash: a backend's id, and until when its breaker is open. */
export function createSharedBreakers(valkey: Valkey, deployment: string): SharedBreakers {
  const key = `llm:{breakers:${deployment}}`;
  return {
    async read(backends) {
      if (backends.length === 0) return new Map();
      const values = (await valkey.run((client) => client.hmget(key, ...backends))) ?? [];
      return new Map(
        backends.flatMap((backend, index) => {
          const until = Number(values[index] ?? 0);
          return Number.isFinite(until) && until > 0 ? [[backend, until] as const] : [];
        }),
      );
    },

    async write(backend, openUntil) {
      await valkey.run(async (client) => {
        if (openUntil === 0) await client.hdel(key, backend);
        else await client.multi().hset(key, backend, String(openUntil)).pexpire(key, KEEP_MS).exec();
      });
    },
  };
}
