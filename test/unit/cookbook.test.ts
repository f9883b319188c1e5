import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config/index.js';
import { checkAccess } from '../../src/index.js';
import { createAuthority } from '../helpers/certificates.js';
import { tempDir } from '../helpers/cli.js';
import { blocks } from '../helpers/markdown.js';

const recipes = blocks('docs/cookbook.md').filter(({ mark }) => mark === 'config');

it('has twelve configs', () => {
  expect(recipes).toHaveLength(12);
});

it.each(recipes)('$title is a config without errors and warnings', async ({ text }) => {
  const folder = await tempDir();
  mkdirSync(join(folder, 'secrets'));
  writeFileSync(join(folder, 'secrets', 'github-token'), 'token\n', { mode: 0o600 });
  writeFileSync(join(folder, 'keys.yaml'), '[]\n');
  const { cert } = createAuthority();
  writeFileSync(join(folder, 'corp.pem'), cert);
  const path = join(folder, 'config.yaml');
  // The certificates of the example are those of its author.
  writeFileSync(path, text.replace('/etc/ssl/corp.pem', 'corp.pem'));
  const loaded = loadConfig(path, {
    HOME: folder,
    ...(text.includes('mode: bearer') && { MCPSTEAD_BEARER_TOKEN: 'a-token-for-the-test' }),
  });
  expect(loaded.warnings).toEqual([]);
  checkAccess(loaded.config);
});
