// Writes the Homebrew formula of a version, from the package that npm publishes:
//
//   npm pack && node packaging/homebrew/formula.mjs mcpstead-0.2.0.tgz > mcpstead.rb && npm publish mcpstead-0.2.0.tgz
//
// Publish this very file: the formula has its hash. The formula belongs into a tap, as Formula/mcpstead.rb.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

/** How long reading the package may take, in ms. */
const READ_MS = 30_000;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { url: { type: 'string' } } });
const [tarball, ...more] = positionals;
if (tarball === undefined || more.length > 0) {
  console.error('usage: node packaging/homebrew/formula.mjs mcpstead-VERSION.tgz [--url URL]');
  process.exit(2);
}

const bytes = readFileSync(tarball);
const { name, version, license, homepage } = JSON.parse(
  execFileSync('tar', ['-xzOf', '-', 'package/package.json'], {
    input: bytes,
    encoding: 'utf8',
    timeout: READ_MS,
    stdio: ['pipe', 'pipe', 'inherit'],
  }),
);
if (name !== 'mcpstead') throw new Error(`${tarball} is the package ${name}, not mcpstead`);

const filled = {
  url: values.url ?? `https://registry.npmjs.org/mcpstead/-/mcpstead-${version}.tgz`,
  homepage: homepage ?? 'https://www.npmjs.com/package/mcpstead',
  sha256: createHash('sha256').update(bytes).digest('hex'),
  license,
};
for (const [key, value] of Object.entries(filled))
  if (typeof value !== 'string' || /["\\#\n]/.test(value))
    throw new Error(`${key} cannot be written into the formula: ${String(value)}`);
if (!filled.url.includes(version))
  throw new Error(`Homebrew reads the version from the URL, and ${filled.url} has no ${version}`);

const template = readFileSync(new URL('mcpstead.rb.template', import.meta.url), 'utf8');
process.stdout.write(template.replace(/\{\{(\w+)\}\}/g, (_, key) => filled[key]));
