import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/wire-global.ts'],
    setupFiles: ['test/helpers/wire-setup.ts'],
    // A net for what never comes. No test measures time, so a busy machine only makes them slower.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
