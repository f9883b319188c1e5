// Builds mcpstead as a single executable file (https://nodejs.org/api/single-executable-applications.html): one script from build, the
// files of dist as assets, and Node.js itself.
//
//   node packaging/sea/build.mjs [--node PATH] [--out FILE]
//
// --node PATH: the Node.js to put into the file, 20.19 or later, for this platform; defaults to the one that runs the build.
// --out FILE: what to write; defaults to mcpstead, or mcpstead.exe on Windows, in the present folder.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { inject } from 'postject';
import { rolldown } from 'rolldown';
import { licenses } from '../../scripts/licenses.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const build = join(root, 'build');
const dist = join(root, 'dist');
const windows = process.platform === 'win32';
/** How long one step may take, in ms. */
const STEP_MS = 120_000;

const { values } = parseArgs({ options: { node: { type: 'string' }, out: { type: 'string' } } });
const node = resolve(values.node ?? process.execPath);
const out = resolve(values.out ?? (windows ? 'mcpstead.exe' : 'mcpstead'));

if (!existsSync(join(dist, 'build-info.json')))
  throw new Error('there is no dist: build it first (npm run build)');
const version = run(node, ['--version']).trim();
const [major, minor] = version.slice(1).split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19))
  throw new Error(`the single file needs Node.js 20.19 or later; ${node} is ${version}`);

const work = mkdtempSync(join(tmpdir(), 'mcpstead-sea-'));
try {
  const script = join(work, 'mcpstead.cjs');
  await bundle(script);
  const blob = prepare(script);
  await put(blob);
  const built = run(out, ['--version']).trim();
  console.error(`${out}: ${built}, Node.js ${version}, ${(statSync(out).size / 1e6).toFixed(1)} MB`);
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** All of build and its dependencies as one CommonJS script; modules run when they are first imported. */
async function bundle(script) {
  const bundled = await rolldown({
    input: fileURLToPath(new URL('main.mjs', import.meta.url)),
    platform: 'node',
    // All of undici: src/upstream/http/dispatcher.ts falls back to it when its parts have moved, and here they have not.
    external: ['undici'],
    plugins: [plainRequire()],
    onLog(level, log) {
      if (level === 'warn') throw new Error(`rolldown: ${log.message}`);
    },
  });
  const { output } = await bundled.generate({ format: 'cjs', codeSplitting: false, comments: false });
  await bundled.close();
  const [{ code, moduleIds }] = output;
  writeFileSync(script, `${licenses(moduleIds)}\n${code}`);
}

/**
 * Packages that are loaded when they are needed, without a promise, come by `createRequire`, which a bundler does not follow: here
 * `require` is the bundler's own. Tracing keeps its own: its packages are optional, and lie beside the single file.
 */
function plainRequire() {
  const line = /^\s*const require = createRequire\(import\.meta\.url\);$/m;
  const files = new Set(['upstream/http/dispatcher.js', 'policy/condition.js', 'observe/logger.js']);
  return {
    name: 'plain-require',
    transform(code, id) {
      const name = id.startsWith(build)
        ? id
            .slice(build.length + 1)
            .split(sep)
            .join('/')
        : undefined;
      if (!files.delete(name)) return null;
      if (!line.test(code)) throw new Error(`build/${name} has no line: const require = createRequire(...)`);
      return { code: code.replace(line, ''), map: null };
    },
    buildEnd() {
      if (files.size > 0) throw new Error(`not among the modules: ${[...files].join(', ')}`);
    },
  };
}

/** The blob that Node.js finds in itself: the script with V8's code cache, and the assets. Returns its path. */
function prepare(script) {
  const files = [
    'build-info.json',
    'errors.md',
    ...readdirSync(join(dist, 'console'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) =>
        join(entry.parentPath, entry.name)
          .slice(dist.length + 1)
          .split(sep)
          .join('/'),
      )
      .sort(),
  ];
  if (!files.includes('console/index.html')) throw new Error('dist has no console: build it (npm run build)');
  const list = join(work, 'files.json');
  writeFileSync(list, JSON.stringify(files));
  const config = join(work, 'sea.json');
  const blob = join(work, 'mcpstead.blob');
  writeFileSync(
    config,
    JSON.stringify({
      main: script,
      output: blob,
      disableExperimentalSEAWarning: true,
      // The build runs on the platform of the file, with the same Node.js: the cache fits.
      useCodeCache: true,
      assets: {
        'mcpstead.json': list,
        ...Object.fromEntries(files.map((name) => [name, join(dist, name)])),
      },
    }),
  );
  run(node, ['--experimental-sea-config', config]);
  return blob;
}

/** Writes the file beside its place, then renames it: what runs is never half a file. */
async function put(blob) {
  const part = `${out}.part`;
  try {
    copyFileSync(node, part);
    chmodSync(part, 0o755);
    if (process.platform === 'darwin') run('codesign', ['--remove-signature', part]);
    await inject(part, 'NODE_SEA_BLOB', readFileSync(blob), {
      sentinelFuse: 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2',
      machoSegmentName: 'NODE_SEA',
    });
    // Without a signature macOS does not run it; this one names nobody.
    if (process.platform === 'darwin') run('codesign', ['--sign', '-', part]);
    renameSync(part, out);
  } finally {
    rmSync(part, { force: true });
  }
}

function run(command, args) {
  return execFileSync(command, args, {
    encoding: 'utf8',
    timeout: STEP_MS,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
