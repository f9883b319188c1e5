// What the servers on the SDKs of other languages need: Python with its SDK in a virtual environment, and the server that
// the Go SDK's module has. Both are kept in a cache folder, by version: a second run installs nothing.
import { execFile, execFileSync } from 'node:child_process';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { once } from './once.mjs';

export const PYTHON_SDK = '2.3.0';
/** The last one of the major version before. */
export const PYTHON_SDK_1 = '1.30.0';
export const GO_SDK = '1.8.0';
const GO_SERVER = 'github.com/modelcontextprotocol/go-sdk/conformance/everything-server';
const INSTALL_LIMIT_MS = 600_000;
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mcpstead-conformance');

const run = promisify(execFile);
/** What a command prints, or undefined if it cannot be run. */
function ask(command, args) {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 30_000,
    }).trim();
  } catch {
    return undefined;
  }
}

/** The version of python3 as 3.x, or what is missing. */
function findPython() {
  const version = ask('python3', ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']);
  if (version === undefined) return { missing: 'python3 (Debian: apt-get install python3 python3-venv)' };
  if (Number(version.split('.')[1]) < 10) return { missing: `python3 3.10 or later: this is ${version}` };
  if (ask('python3', ['-c', 'import venv, ensurepip']) === undefined)
    return { missing: 'venv of python3 (Debian: apt-get install python3-venv)' };
  return { version };
}

function findGo() {
  const [, minor] = /^go1\.(\d+)/.exec(ask('go', ['env', 'GOVERSION']) ?? '') ?? [];
  if (minor === undefined)
    return { missing: 'go 1.21 or later (https://go.dev/dl; Debian 13: apt-get install golang-go)' };
  // From 1.21 on it gets the release that a module asks for by itself.
  if (Number(minor) < 21) return { missing: `go 1.21 or later (https://go.dev/dl): this is 1.${minor}` };
  return {};
}

const limit = { timeout: INSTALL_LIMIT_MS };

function demand(...found) {
  const missing = found.flatMap((each) => each.missing ?? []);
  if (missing.length > 0)
    throw new Error(`npm run conformance runs the SDKs of Python and Go. Missing: ${missing.join('; ')}`);
}

async function installPython(version, sdk = PYTHON_SDK) {
  const venv = await once(cache, `python-${version}-mcp-${sdk}`, async (folder) => {
    await run('python3', ['-m', 'venv', folder], limit);
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
    await run(join(folder, 'bin/python'), [...pip, `mcp==${sdk}`], limit);
  });
  return join(venv, 'bin/python');
}

/** {python, python1}: the commands, with the SDKs 2 and 1, installed if need be. Throws if Python is missing. */
export async function preparePython() {
  const found = findPython();
  demand(found);
  return {
    python: await installPython(found.version),
    python1: await installPython(found.version, PYTHON_SDK_1),
  };
}

/** {python, python1, goServer}: the commands, installed if need be. Throws with all that is missing. */
export async function prepareToolchains() {
  const found = findPython();
  demand(found, findGo());
  const [python, python1, bin] = await Promise.all([
    installPython(found.version),
    installPython(found.version, PYTHON_SDK_1),
    once(cache, `go-sdk-${GO_SDK}`, (folder) =>
      run('go', ['install', `${GO_SERVER}@v${GO_SDK}`], {
        ...limit,
        env: { ...process.env, GOBIN: folder, GOFLAGS: '' },
      }),
    ),
  ]);
  return { python, python1, goServer: join(bin, 'everything-server') };
}
