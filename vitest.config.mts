import { defineConfig } from 'vitest/config';

export default defineConfig({
  // lib/*.ts has its compiled lib/*.js beside it: the tests read the source.
  resolve: { extensions: ['.ts', '.mts', '.mjs', '.js', '.json'] },
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // The CI machine has two cores, and the e2e projects start processes of their own.
    maxWorkers: 2,
  },
});
