import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config/index.js';
import { checkAccess } from '../../src/index.js';
import { createAuthority } from '../helpers/certificates.js';
import { tempDir } from '../helpers/cli.js';
import { blocks, page } from '../helpers/markdown.js';

/** Pages whose configs are whole: they must be right with what is in their own folder. */
const configsOf = (path: string) => blocks(path).filter(({ mark }) => mark === 'config');
const recipes = ['docs/cookbook.md', 'docs/migrating.md', 'docs/profiles.md'].flatMap(configsOf);

it('the cookbook has thirteen configs, and each other gateway has one at least', () => {
  expect(configsOf('docs/cookbook.md')).toHaveLength(13);
  const sections = page('docs/migrating.md')
    .split(/^## /m)
    .filter((section) => /^From (?!mcpstead)/.test(section));
  expect(sections).toHaveLength(4);
  for (const section of sections) expect(section).toMatch(/^```yaml config$[^]*^\| -+ \| -+ \|$/m);
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
    API_ACCESS_TOKEN: 'a-token-for-the-test',
    IDP_SECRET: 'a-secret-for-the-test',
    ...(text.includes('mode: bearer') && { MCPSTEAD_BEARER_TOKEN: 'a-token-for-the-test' }),
  });
  expect(loaded.warnings).toEqual([]);
  checkAccess(loaded.config);
});
