import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { render } from '../../../scripts/cli-docs.mjs';
import { allVerbs, usageOf } from '../../../src/cli/table.js';
import { root } from '../../helpers/markdown.js';

it('docs/cli.md is what scripts/cli-docs.mjs writes', async () => {
  expect(readFileSync(`${root}docs/cli.md`, 'utf8')).toBe(await render(allVerbs(), usageOf));
});
