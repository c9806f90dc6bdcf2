import { vi } from 'vitest';

/** As `expect.poll` has in vitest.config.mts: a limit, not an expectation. Vitest's own is a second, and has no setting. */
const TIMEOUT_MS = 15_000;

const { waitFor } = vi;
vi.waitFor = (callback, options = {}) =>
  waitFor(callback, typeof options === 'number' ? options : { timeout: TIMEOUT_MS, ...options });
