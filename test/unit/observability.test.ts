import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { FAMILIES } from '../../src/observe/families.js';
import { blocks, page } from '../helpers/markdown.js';

const PATH = 'docs/observability.md';
const families = new Map(FAMILIES.map((family) => [family.name, family]));

/** The family of a metric, which a histogram has under three names. */
function familyOf(name: string): (typeof FAMILIES)[number] | undefined {
  const base = name.replace(/_(bucket|sum|count)$/, '');
  return families.get(name) ?? (families.get(base)?.kind === 'histogram' ? families.get(base) : undefined);
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string };
}

const alerts = blocks(PATH)
  .filter(({ mark }) => mark === 'prometheus')
  .flatMap(({ text }) => (parse(text) as { groups: { rules: Rule[] }[] }).groups)
  .flatMap(({ rules }) => rules);
const queries = blocks(PATH)
  .filter(({ mark }) => mark === 'promql')
  .flatMap(({ text }) => text.trim().split('\n\n'));

describe('docs/observability.md', () => {
  it('names metrics that exist', () => {
    const names = [...page(PATH).matchAll(/\bmcpstead_\w+/g)].map(([name]) => name);
    expect(names.length).toBeGreaterThan(30);
    for (const name of names) expect(familyOf(name), name).toBeDefined();
  });

  it.each([...queries, ...alerts.map(({ expr }) => expr)])(
    '%s uses labels and values that exist',
    (query) => {
      const used = [...query.matchAll(/\bmcpstead_\w+/g)].flatMap(([name]) => familyOf(name) ?? []);
      for (const [, name = '', matchers = ''] of query.matchAll(/\b(mcpstead_\w+)\{([^}]*)\}/g))
        for (const [, label = '', values = ''] of matchers.matchAll(/(\w+)[=!]~?"([^"]*)"/g)) {
          const labels = familyOf(name)?.labels ?? {};
          expect(Object.keys(labels), name).toContain(label);
          for (const value of values.split('|'))
            if (labels[label]) expect(labels[label], name).toContain(value);
        }
      for (const [, grouped = ''] of query.matchAll(/\bby \(([^)]*)\)/g))
        for (const label of grouped.split(', ').filter((each) => each !== 'le'))
          for (const { labels, name } of used) expect(Object.keys(labels), name).toContain(label);
      expect(query.split('(').length).toBe(query.split(')').length);
    },
  );

  it('has alerts with names of their own, each with a summary', () => {
    expect(alerts.length).toBeGreaterThan(9);
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length);
    for (const { alert, annotations } of alerts) expect(annotations.summary, alert).toMatch(/\.$/);
  });
});
