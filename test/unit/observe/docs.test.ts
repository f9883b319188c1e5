import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { render } from '../../../scripts/metrics-docs.mjs';
import { FAMILIES } from '../../../src/observe/families.js';

it('docs/metrics.md is what scripts/metrics-docs.mjs writes', async () => {
  const page = new URL('../../../docs/metrics.md', import.meta.url);
  expect(await readFile(page, 'utf8')).toBe(await render(FAMILIES));
});
