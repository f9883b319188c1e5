// Compiles src to dist from an empty folder, builds the console, and stamps the version with the commit it was built from.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { buildConsole } from './console.mjs';

const root = new URL('..', import.meta.url);
const at = (path) => new URL(path, root);
process.chdir(root.pathname);

rmSync(at('dist'), { recursive: true, force: true });
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.json'], { stdio: 'inherit' });

removeUnreachableTypes();

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

/** Removes declarations that index.d.ts does not lead to: nobody can import them. */
function removeUnreachableTypes() {
  const reached = new Set();
  const visit = (url) => {
    if (reached.has(url.href)) return;
    reached.add(url.href);
    const text = readFileSync(url, 'utf8');
    for (const [, path] of text.matchAll(/(?:from|import\() ?'(\.[^']+)\.js'/g))
      visit(new URL(`${path}.d.ts`, url));
  };
  visit(at('dist/index.d.ts'));
  for (const name of readdirSync(at('dist'), { recursive: true })) {
    const file = at(`dist/${name}`);
    if (name.endsWith('.d.ts') && !reached.has(file.href)) rmSync(file);
  }
}
