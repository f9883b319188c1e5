/** scripts/coverage.mjs, beside which the other files are made up. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { tempDir } from '../helpers/cli.js';
import { root } from '../helpers/markdown.js';

it('counts what ran in scripts of several sources, and in scripts without a map', async () => {
  const folder = await tempDir();
  const write = (path: string, content: string | object) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), typeof content === 'string' ? content : JSON.stringify(content));
  };
  mkdirSync(join(folder, 'scripts'));
  cpSync(join(root, 'scripts/coverage.mjs'), join(folder, 'scripts/coverage.mjs'));
  const ran = (path: string, endOffset: number) => ({
    url: pathToFileURL(join(folder, path)).href,
    functions: [{ ranges: [{ startOffset: 0, endOffset, count: 1 }] }],
  });
  const source = (path: string) => ({
    path: join(folder, path),
    statementMap: { 0: { start: { line: 1, column: 0 } } },
    s: { 0: 0 },
  });
  write('dist/chunks/both.js', 'a();\nb();\n');
  write('dist/chunks/both.js.map', { sources: ['../../src/a.ts', '../../src/b.ts'], mappings: 'AAAA;ACAA' });
  write('dist/chunks/runtime.js', 'c();\n');
  write('coverage/coverage-final.json', { a: source('src/a.ts'), b: source('src/b.ts') });

  write('coverage/spawned/1.json', {
    result: [ran('dist/chunks/both.js', 10), ran('dist/chunks/runtime.js', 5)],
  });
  const report = execFileSync(process.execPath, [join(folder, 'scripts/coverage.mjs')], { encoding: 'utf8' });
  expect(report).toContain('100.00% of 2 (0.00% without spawned gateways)');
});
