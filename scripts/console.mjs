// Builds the console into dist/console, each file also compressed, and checks how large it is.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const out = fileURLToPath(new URL('../dist/console/', import.meta.url));
/** Bytes of gzip. */
const BUDGET = { first: 60 * 1024, all: 120 * 1024 };

/** Throws if the console is larger than it may be. */
export async function buildConsole() {
  const { build } = await import('vite');
  const configFile = fileURLToPath(new URL('../console/vite.config.mjs', import.meta.url));
  // What NODE_ENV says of this process must not make it a development build.
  process.env.NODE_ENV = 'production';
  await build({ configFile, logLevel: 'warn' });
  const sizes = compress();
  const first = firstLoad();
  const total = (names) => names.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
  const kb = (bytes) => `${(bytes / 1024).toFixed(1)} KB`;
  for (const [kind, names] of [
    ['first', [...first]],
    ['all', [...sizes.keys()]],
  ]) {
    const bytes = total(names);
    const line = `console: ${kind === 'first' ? 'first load' : 'all files'} ${kb(bytes)} of ${kb(BUDGET[kind])} gzip`;
    if (bytes > BUDGET[kind])
      throw new Error(`${line}: find what grew with npx vite build console --mode development`);
    console.error(line);
  }
}

/** Writes .gz and .br beside each file; returns the sizes of the .gz by name. */
function compress() {
  const sizes = new Map();
  for (const entry of readdirSync(out, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = `${entry.parentPath}/${entry.name}`;
    const bytes = readFileSync(path);
    const gzip = gzipSync(bytes, { level: 9 });
    writeFileSync(`${path}.gz`, gzip);
    writeFileSync(
      `${path}.br`,
      brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
    );
    sizes.set(entry.name, gzip.length);
  }
  return sizes;
}

/** The page, and what it loads before it shows anything: the scripts that it names, with their static imports. */
function firstLoad() {
  const found = new Set();
  const visit = (name) => {
    if (found.has(name)) return;
    found.add(name);
    if (!/\.(html|js)$/.test(name)) return;
    const text = readFileSync(`${out}${name === 'index.html' ? '' : 'assets/'}${name}`, 'utf8');
    const pattern =
      name === 'index.html'
        ? /(?:src|href)="\.\/assets\/([^"]+)"/g
        : /(?:from|import)\s*["']\.\/([^"']+)["']/g;
    for (const [, next] of text.matchAll(pattern)) visit(next);
  };
  visit('index.html');
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildConsole();
