import { defineConfig } from 'vitest/config';

export default defineConfig({
  // lib/*.ts has its compiled lib/*.js beside it: the tests read the source.
  resolve: { extensions: ['.ts', '.mts', '.mjs', '.js', '.json'] },
  test: {
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // The CI machine has two cores, and many tests start processes of their own.
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/e2e/**'] } },
      { extends: true, test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], globalSetup: ['test/e2e/setup.ts'] } },
    ],
  },
});
