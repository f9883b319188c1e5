import { describe, expect, it } from 'vitest';
import { blocks, page } from '../helpers/markdown.js';
import { checkPromql, labelsOf } from '../helpers/promql.js';
import { FAMILIES } from '../../src/observe/families.js';

const PATHS = ['docs/observability.md', 'docs/operations.md'];
const histograms = new Set(FAMILIES.filter(({ kind }) => kind === 'histogram').map(({ name }) => name));
const queries = PATHS.flatMap((path) => blocks(path))
  .filter(({ mark }) => mark === 'promql')
  .map(({ text }) => text.trim());

describe('the pages about metrics', () => {
  it.each(PATHS)('%s names metrics that exist', (path) => {
    const names = [...page(path).matchAll(/\bmcpstead_\w+/g)].map(([name]) => name);
    expect(names.length).toBeGreaterThan(1);
    for (const name of names) expect(histograms.has(name) || labelsOf(name), name).toBeTruthy();
  });

  it('has queries', () => {
    expect(queries.length).toBeGreaterThan(1);
  });

  it.each(queries)('%s has metrics, labels and values that exist', (query) => {
    expect(checkPromql(query)).toBeDefined();
  });
});
