import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { root } from '../../helpers/markdown.js';
import { scratchFolder } from '../../helpers/state.js';

const run = promisify(execFile);
const formula = (...args: string[]): Promise<{ stdout: string }> =>
  run(process.execPath, [join(root, 'packaging/homebrew/formula.mjs'), ...args]);

function packed(manifest: object): string {
  const folder = scratchFolder();
  mkdirSync(join(folder, 'package'));
  writeFileSync(join(folder, 'package/package.json'), JSON.stringify(manifest));
  const tarball = join(folder, 'packed.tgz');
  execFileSync('tar', ['-czf', tarball, '-C', folder, 'package']);
  return tarball;
}

it('writes the formula of a package: its address in the registry, its hash, its service', async () => {
  const tarball = packed({ name: 'mcpstead', version: '7.8.9', license: 'MIT' });
  const { stdout } = await formula(tarball);
  const hash = createHash('sha256').update(readFileSync(tarball)).digest('hex');
  expect(stdout).toContain('  url "https://registry.npmjs.org/mcpstead/-/mcpstead-7.8.9.tgz"\n');
  expect(stdout).toContain(`  sha256 "${hash}"\n`);
  expect(stdout).toContain('  license "MIT"\n');
  expect(stdout).toContain('  homepage "https://www.npmjs.com/package/mcpstead"\n');
  expect(stdout).toContain('run opt_bin/"mcpstead"');
  expect(stdout).not.toContain('{{');
  const elsewhere = await formula(tarball, '--url', 'https://example.com/mcpstead-7.8.9.tgz');
  expect(elsewhere.stdout).toContain('  url "https://example.com/mcpstead-7.8.9.tgz"\n');
});

it('refuses what is no package of mcpstead, and what would change the text of the formula', async () => {
  await expect(formula(packed({ name: 'other', version: '1.0.0', license: 'MIT' }))).rejects.toThrow(
    'is the package other, not mcpstead',
  );
  await expect(
    formula(packed({ name: 'mcpstead', version: '1.0.0', license: 'MIT"; system "x' })),
  ).rejects.toThrow('license cannot be written');
  await expect(formula()).rejects.toThrow('usage:');
});
