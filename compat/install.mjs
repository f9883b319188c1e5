// Installs the software in the table into the cache folder, each with its registry's client, and reuses what is installed.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = fileURLToPath(new URL('.', import.meta.url));
const INSTALL_MS = 15 * 60_000;

/** The path of a program in PATH, or undefined. */
export function inPath(name) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      continue;
    }
  }
  return undefined;
}

/** Runs a command; if it fails, the error contains its output. */
function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let said = '';
    const hear = (data) => (said = (said + data).slice(-4000));
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    const timer = setTimeout(() => child.kill('SIGKILL'), INSTALL_MS);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code === 0) resolve();
      else reject(new Error(`${command} ${args.join(' ')} ended with ${code}:\n${said}`));
    });
  });
}

export async function npmInto(folder, packages) {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: packages }));
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--no-package-lock'];
  await run('npm', ['install', ...quiet], {
    cwd: folder,
    env: { ...process.env, PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: '1' },
    shell: process.platform === 'win32',
  });
}

export const pythonOf = (folder) => join(folder, 'venv/bin/python');

export async function venvWith(folder, packages) {
  await run('python3', ['-m', 'venv', join(folder, 'venv')]);
  const wanted = Object.entries(packages).map(([name, version]) => `${name}==${version}`);
  await run(pythonOf(folder), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...wanted]);
}

function digestOf(path, hash) {
  for (const entry of readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const file = join(path, entry.name);
    if (entry.isDirectory()) digestOf(file, hash);
    else hash.update(entry.name).update('\0').update(readFileSync(file));
  }
}

const slug = (name) =>
  name
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .replaceAll(/^-|-$/g, '');
export const folderOf = (cache, kind, entry) => join(cache, entry.folder ?? `${kind}-${slug(entry.name)}`);

const underWay = new Map();
/** Installs an entry unless its stamp matches. Throws with the reason if it cannot be installed. */
export function ensure(cache, kind, entry) {
  const folder = folderOf(cache, kind, entry);
  if (!underWay.has(folder)) underWay.set(folder, ensureOnce(folder, entry));
  return underWay.get(folder);
}

async function ensureOnce(folder, entry) {
  const missing = (entry.needs ?? []).filter((name) => inPath(name) === undefined);
  if (missing.length > 0) throw new Error(`${missing.join(', ')} is not in PATH`);
  if (!entry.install) return folder;
  const hash = createHash('sha256');
  if (entry.source) digestOf(join(here, entry.source), hash);
  const stamp = join(folder, '.installed.json');
  const wanted = JSON.stringify({ packages: entry.packages, source: hash.digest('hex') });
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return folder;
  // What a build keeps between runs stays; a folder with other versions goes.
  const packages = existsSync(stamp) ? JSON.parse(readFileSync(stamp, 'utf8')).packages : undefined;
  if (JSON.stringify(packages) !== JSON.stringify(entry.packages))
    rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const began = Date.now();
  await entry.install(folder);
  writeFileSync(stamp, wanted);
  console.error(`installed ${entry.name} in ${Math.round((Date.now() - began) / 1000)} s`);
  return folder;
}
