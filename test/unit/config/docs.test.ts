import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { render } from '../../../scripts/config-docs.mjs';
import { resolveConfig } from '../../../src/config/index.js';
import * as schema from '../../../src/config/schema.js';
import * as tree from '../../../src/config/schema-tree.js';

const page = new URL('../../../docs/configuration.md', import.meta.url);

it('docs/configuration.md is what scripts/config-docs.mjs writes', async () => {
  expect(await readFile(page, 'utf8')).toBe(await render({ ...schema, ...tree }));
});

it('every example in docs/configuration.md is a config without a warning', async () => {
  const env = { EXAMPLE_KEY: 'x', SEARCH_TOKEN: 'x' };
  const blocks = [...(await readFile(page, 'utf8')).matchAll(/```(?:yaml|json)\n(.*?)```/gs)];
  expect(blocks.length).toBeGreaterThan(2);
  for (const [, text = ''] of blocks) {
    const { warnings } = resolveConfig(parse(text), env);
    expect(warnings.filter((warning) => !warning.includes('/run/secrets/'))).toEqual([]);
  }
});
