// Runs `npm start`, `npm test` and others in a fresh clone: installs missing packages, rebuilds if stale, then runs the task.
// Plain Node without dependencies, because it runs before they are installed.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`mcpstead needs Node 20.19 or later; this is ${process.version}.`);
  process.exit(1);
}

const newest = (path) =>
  statSync(path).isDirectory()
    ? Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))))
    : statSync(path).mtimeMs;
const mtime = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

const isStale = (folder) =>
  mtime(join(folder, 'node_modules/.package-lock.json')) < mtime(join(folder, 'package-lock.json'));

const start = (command, args) =>
  spawnSync(command, args, {
    stdio: 'inherit',
    shell: process.platform === 'win32' && command === 'npm',
  });

/** Runs a command; if it fails, this script exits with its status. */
function run(command, args) {
  const { status, error } = start(command, args);
  if (error) {
    console.error(`cannot run ${command}: ${error.message}`);
    process.exit(1);
  }
  if (status !== 0) process.exit(status ?? 1);
}

if (isStale('.')) {
  console.error('Installing dependencies (npm ci) ...');
  run('npm', ['ci', '--no-audit', '--no-fund']);
}
const sources = [
  'src',
  'console',
  'docs/errors.md',
  'scripts/build.mjs',
  'scripts/bundle.mjs',
  'scripts/console.mjs',
  'scripts/licenses.mjs',
  'package.json',
  // Versions of packages that are bundled into dist: zod, and those of the console.
  'package-lock.json',
  'tsconfig.json',
];
const built = Math.min(...['build/index.js', 'dist/build-info.json'].map(mtime));
if (built < Math.max(...sources.map(newest))) {
  console.error('Building ...');
  run(process.execPath, ['scripts/build.mjs']);
}

const [task, ...args] = process.argv.slice(2);
if (task === 'start') {
  process.argv.splice(2, Infinity, 'demo', ...args);
  await import('../dist/cli/main.js');
} else if (task === 'test') {
  const coverage = args.includes('--coverage');
  if (coverage) {
    process.env.SPAWNED_COVERAGE = join(root, 'coverage/spawned');
    rmSync(process.env.SPAWNED_COVERAGE, { recursive: true, force: true });
  }
  run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...args]);
  if (coverage) run(process.execPath, ['scripts/coverage.mjs']);
} else if (task === 'conformance') {
  run(process.execPath, ['scripts/conformance.mjs', ...args]);
} else if (task === 'compat') {
  run(process.execPath, ['compat/run.mjs', ...args]);
} else if (task === 'fleet') {
  process.argv.splice(2, Infinity, ...args);
  await import('./fleet/up.mjs');
} else if (task === 'fleet:traffic' || task === 'fleet:figures') {
  run(process.execPath, [`scripts/fleet/${task.slice('fleet:'.length)}.mjs`, ...args]);
} else if (task === 'soak') {
  run(process.execPath, ['test/soak/soak.mjs', ...args]);
} else if (task === 'fuzz') {
  const { parseArgs } = await import('node:util');
  const { values } = parseArgs({
    args,
    options: { minutes: { type: 'string', default: '5' }, seed: { type: 'string' } },
  });
  process.env.FUZZ_MINUTES = values.minutes;
  if (values.seed !== undefined) process.env.FUZZ_SEED = values.seed;
  run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', 'test/property/hostile.test.ts']);
} else if (task === 'dev:console') {
  const { parseArgs } = await import('node:util');
  const { values } = parseArgs({ args, options: { url: { type: 'string' } } });
  if (values.url === undefined) {
    console.error('dev:console needs the gateway: npm run dev:console -- --url http://127.0.0.1:8766');
    process.exit(2);
  }
  process.env.MCPSTEAD_URL = values.url;
  run(process.execPath, ['node_modules/vite/bin/vite.js', '--config', 'console/vite.config.mjs']);
} else if (task === 'compare') {
  run(process.execPath, ['bench/compare/run.mjs', ...args]);
} else if (task === 'bench') {
  if (isStale('bench')) {
    console.error('Installing what the bench compares and measures with (npm ci in bench/) ...');
    // If this fails, the benchmark still measures this gateway if wrk is installed, and reports what is missing.
    start('npm', ['ci', '--prefix', 'bench', '--no-audit', '--no-fund', '--loglevel=error']);
  }
  run(process.execPath, [args[0] === 'hostile' ? 'bench/hostile.mjs' : 'bench/run.mjs', ...args]);
} else {
  console.error(
    'usage: node scripts/run.mjs start|test|conformance|compat|soak|bench|compare|fuzz|fleet|fleet:traffic|fleet:figures|dev:console [arguments]',
  );
  process.exit(2);
}
