import { defineConfig } from 'vitest/config';

export default defineConfig({
  // lib/*.ts has its compiled lib/*.js beside it: the tests read the source.
  resolve: { extensions: ['.ts', '.mts', '.mjs', '.js', '.json'] },
  test: {
    // Limits, not expectations: a machine with two cores can be slow.
    testTimeout: 60_000,
    expect: { poll: { timeout: 15_000 } },
    hookTimeout: 120_000,
    setupFiles: ['test/patience.ts'],
    // The CI machine has two cores, and many tests start processes of their own.
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/e2e/**', 'test/browser/**'] },
      },
      { extends: true, test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], globalSetup: ['test/e2e/setup.ts'] } },
      // Skipped, with the reason, where there is no Chromium: .ci/dashboard is where it has to be.
      { extends: true, test: { name: 'browser', include: ['test/browser/**/*.test.ts'] } },
    ],
  },
});
