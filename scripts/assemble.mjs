// Assembles the WebAssembly text of src/wire/wasm into modules that the build needs no assembler for.
// node scripts/assemble.mjs [--check]
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import wabt from 'wabt';

const at = (name) => fileURLToPath(new URL(`../src/wire/wasm/${name}`, import.meta.url));

/** The text of the TypeScript module that holds the assembled bytes. */
export async function assembled(name) {
  const { parseWat } = await wabt();
  const module = parseWat(`${name}.wat`, readFileSync(at(`${name}.wat`), 'utf8'), { simd: true });
  const base64 = Buffer.from(module.toBinary({}).buffer).toString('base64');
  module.destroy();
  const lines = base64.match(/.{1,100}/g).map((line) => `  '${line}'`);
  return `// Written by scripts/assemble.mjs from ${name}.wat.\nexport const ${name.replace(/-(.)/g, (_, c) => c.toUpperCase())} =\n${lines.join(' +\n')};\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = await assembled('value-end');
  if (!process.argv.includes('--check')) writeFileSync(at('value-end.ts'), text);
  else if (readFileSync(at('value-end.ts'), 'utf8') !== text) {
    console.error('src/wire/wasm/value-end.ts is stale: node scripts/assemble.mjs');
    process.exit(1);
  }
}
