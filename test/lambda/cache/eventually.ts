import { vi } from 'vitest';

/** The machine may be busy. */
export const eventually = <T>(check: () => T | Promise<T>, timeout = 15_000): Promise<T> =>
  vi.waitFor(check, { timeout, interval: 20 });
