// Compiles src to build, bundles that into dist, both from empty folders, builds the console, and stamps the version with the commit
// it was built from.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path/posix';
import { fileURLToPath } from 'node:url';
import { bundle } from './bundle.mjs';
import { buildConsole } from './console.mjs';

const root = new URL('..', import.meta.url);
const at = (path) => new URL(path, root);
process.chdir(fileURLToPath(root));

for (const folder of ['build', 'dist']) rmSync(at(folder), { recursive: true, force: true });
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.json'], { stdio: 'inherit' });
await bundle();
copyTypes();
await buildConsole();

let sha = process.env.MCPSTEAD_GIT_SHA ?? '';
if (!sha) {
  try {
    sha = execFileSync('git', ['rev-parse', '--short=12', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    sha = 'unknown';
  }
}
const { version } = JSON.parse(readFileSync(at('package.json'), 'utf8'));
writeFileSync(at('dist/build-info.json'), JSON.stringify({ version, git_sha: sha }) + '\n');
// For `mcpstead explain`.
copyFileSync(at('docs/errors.md'), at('dist/errors.md'));
chmodSync(at('dist/cli/main.js'), 0o755);

/** Copies the declarations that index.d.ts leads to: nobody can import others. */
function copyTypes() {
  const copied = new Set();
  const copy = (path) => {
    if (copied.has(path)) return;
    copied.add(path);
    const text = readFileSync(at(`build/${path}`), 'utf8');
    mkdirSync(at(`dist/${dirname(path)}`), { recursive: true });
    writeFileSync(at(`dist/${path}`), text);
    for (const [, from] of text.matchAll(/(?:from|import\() ?'(\.[^']+)\.js'/g))
      copy(join(dirname(path), `${from}.d.ts`));
  };
  copy('index.d.ts');
}
