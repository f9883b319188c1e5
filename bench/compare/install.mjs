// Gets the compared gateways from their registries, each by name and version, into a folder of its own in the cache: a second
// run installs nothing.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { once } from '../../scripts/conformance/once.mjs';

const run = promisify(execFile);
export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mcpstead-compare');
const LIMIT = { timeout: 600_000, maxBuffer: 1 << 26 };
const PIP = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
const NPM = ['install', '--no-audit', '--no-fund', '--loglevel=error'];

const firstLines = (text, count) => text.trim().split('\n').filter(Boolean).slice(0, count).join(' ');

/** How each registry's own client installs a package into a folder. */
const KINDS = {
  npm: (folder, { name, version }) => run('npm', [...NPM, '--prefix', folder, `${name}@${version}`], LIMIT),
  // Its programs name the folder in which they were made, so they are started as `bin/python bin/PROGRAM`.
  pypi: async (folder, { name, version }) => {
    await run(python(), ['-m', 'venv', folder], LIMIT);
    await run(join(folder, 'bin/python'), [...PIP, `${name}==${version}`], LIMIT);
  },
  go: (folder, { name, version, programs }) =>
    run('go', ['install', ...programs.map((program) => `${name}/${program}@v${version}`)], {
      ...LIMIT,
      env: { ...process.env, GOBIN: folder, GOFLAGS: '' },
    }),
  cargo: (folder, { name, version }) =>
    run('cargo', ['install', name, '--version', version, '--locked', '--root', folder], LIMIT),
};

/** A Python from 3.11 on; 3.12 first, for which most packages have wheels. */
function pythons() {
  const folders = ['/usr/bin', '/usr/local/bin'];
  const pyenv = join(process.env.PYENV_ROOT ?? join(homedir(), '.pyenv'), 'versions');
  if (existsSync(pyenv)) folders.push(...readdirSync(pyenv).map((name) => join(pyenv, name, 'bin')));
  return [12, 13, 11].flatMap((minor) => folders.map((folder) => join(folder, `python3.${minor}`)));
}
const python = () => process.env.COMPARE_PYTHON ?? pythons().find(existsSync) ?? 'python3';

/** The folder of an installed gateway. Throws with the first lines of what its client said. */
export async function install({ registry, name, version, ...more }) {
  try {
    const folder = `${registry}-${name.replace(/[@/]+/g, '-').replace(/^-/, '')}-${version}`;
    return await once(cache, folder, (made) => KINDS[registry](made, { name, version, ...more }));
  } catch (error) {
    throw new Error(firstLines(String(error.stderr || error.message), 3).slice(0, 400), { cause: error });
  }
}
