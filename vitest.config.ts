import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { MISSING_BALANCERS } from './test/helpers/balancer-programs.js';
import { CHROMIUM } from './test/helpers/chromium.js';
import { PROMTOOL } from './test/helpers/promtool.js';

/** The slowest files, in this order. They start first: one that started last would run alone at the end. */
const LONG = [
  'conformance/chain/eras',
  'conformance/eras/eras',
  'conformance/chain/eras',
  'conformance/chain/rules',
  'integration/fleet/failures',
  'conformance/chain/rules',
  'integration/downstream-stdio',
  'integration/apps',
  'integration/access-matrix',
  'integration/tasks-legacy',
  'integration/compatibility',
  'integration/backpressure',
  'integration/cli',
  'integration/bad-upstreams',
  'integration/downstream-sse',
].map((name) => `test/${name}.test.ts`);

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONG.findIndex((name) => moduleId.endsWith(name));
      return at < 0 ? LONG.length : at;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

if (CHROMIUM === undefined) {
  const text =
    'no Chromium found, so the tests of the console, of apps and of clients that sign in do not run: install chromium, or set CHROMIUM to its path';
  if (process.env['MCPSTEAD_NEEDS_CHROMIUM']) throw new Error(text);
  console.error(text);
}

if (MISSING_BALANCERS.length > 0) {
  const text = `no ${MISSING_BALANCERS.join(' and no ')} found, so the tests of balancers do not run: install them`;
  if (process.env['MCPSTEAD_NEEDS_FLEET']) throw new Error(text);
  console.error(text);
}

if (PROMTOOL === undefined) {
  const text =
    'no promtool found, so the test of the alert rules does not run: install prometheus, or set PROMTOOL to its path';
  if (process.env['MCPSTEAD_NEEDS_PROMTOOL']) throw new Error(text);
  console.error(text);
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [
      ...(CHROMIUM === undefined
        ? ['test/console/**', 'test/integration/{apps,sign-in-browser,sign-in-clients}.test.ts']
        : []),
      ...(MISSING_BALANCERS.length > 0 ? ['test/integration/balancers.test.ts'] : []),
      ...(PROMTOOL === undefined ? ['test/unit/packaging/promtool.test.ts'] : []),
    ],
    globalSetup: ['test/helpers/wire-global.ts'],
    setupFiles: ['test/helpers/wire-setup.ts'],
    // A safety net. No test measures time, so a busy machine only makes them slower.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // An SDK prints this about a tool that is invalid on purpose.
    onConsoleLog: (log) => !log.includes("excluding tool 'bad_header'"),
    // With --coverage; scripts/coverage.mjs adds the gateways that tests spawn, and has the floor.
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['json'] },
    pool: 'forks',
    // This may exceed the number of cores: tests mostly wait for processes and timers.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
  },
});
