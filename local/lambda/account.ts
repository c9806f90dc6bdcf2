import type { AccountConcurrency } from './local-function.ts';

/** A limit of concurrent executions that all functions share. */
export function accountConcurrency(limit: number): AccountConcurrency {
  let running = 0;
  return {
    acquire() {
      if (running >= limit) return false;
      running++;
      return true;
    },
    release() {
      running--;
    },
  };
}
