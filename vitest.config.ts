import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/wire-global.ts'],
    setupFiles: ['test/helpers/wire-setup.ts'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // Real processes and sockets on a machine that may be busy: CI gives each a second chance, and reports that it took it.
    retry: process.env['CI'] ? 1 : 0,
    pool: 'forks',
    maxWorkers: 2,
  },
});
