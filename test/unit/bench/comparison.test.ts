import { describe, expect, it } from 'vitest';
import { cheaper, cleaner, doing, pageOf, tableOf } from '../../../bench/compare/report.mjs';

const tables = [
  {
    kind: 'http' as const,
    figures: {
      mcpstead: { '0.2 KB': [50, 40, 60], '1 MB': [900, 800, 1000], idle: 80 },
      other: { '0.2 KB': [30, 25, 90], '1 MB': [2000, 1800, 1700], idle: 16 },
      third: { '0.2 KB': [50, 50, 50], '1 MB': [] },
    },
  },
];
const found = (verdict: 'yes' | 'partly' | 'no' | 'none' | 'untried', seen = 'seen') => ({ verdict, seen });
const behaviours = {
  mcpstead: { a: found('yes'), b: found('partly', 'half'), c: found('no'), d: found('untried') },
  other: { a: found('no', '<b> *'), b: found('yes', 'whole'), c: found('none'), d: found('yes') },
};
const count = (clean: number) => ({ clean, all: 33, unchecked: 0, wrong: ['x'] });
const official = {
  'the server itself': { '2025-11-25': count(33) },
  mcpstead: { '2025-11-25': count(32) },
  other: { '2025-11-25': count(33) },
};

describe('where others are better', () => {
  it('has each figure whose median is less, and no other', () => {
    expect(cheaper(tables).map(({ what, name, own, other }) => [what, name, own, other])).toEqual([
      ['0.2 KB, a server over HTTP', 'other', '50', '30'],
      ['memory, idle, a server over HTTP', 'other', '80', '16'],
    ]);
  });

  it('has each behaviour in which another does more; what is missing or untried elsewhere is none', () => {
    expect(doing(behaviours).map(({ title, name }) => [title, name])).toEqual([['b', 'other']]);
  });

  it('has each list with more clean scenarios of another gateway, which the server itself is not', () => {
    expect(cleaner(official)).toEqual([{ name: 'other', era: '2025-11-25', own: 32, other: 33 }]);
  });

  it('comes before the tables', () => {
    const page = pageOf({
      date: '2026-01-01',
      machine: 'a machine',
      options: { rounds: 5, seconds: 1, warm: 2 },
      gateways: [],
      tables,
      behaviours,
      official,
      problems: [{ name: 'third', what: '1 MB', why: 'it *ended*' }],
      notRun: [{ name: 'fourth', why: 'needs Docker' }],
    });
    const at = (text: string) => {
      expect(page).toContain(text);
      return page.indexOf(text);
    };
    expect(at('## Where others are better')).toBeLessThan(at('## Figures'));
    expect(
      at('- 0.2 KB, a server over HTTP: other 30 us CPU, mcpstead 50 (1.7 times as much).'),
    ).toBeLessThan(at('## Figures'));
    expect(at('- b: other yes (whole), mcpstead partly (half).')).toBeLessThan(at('## Figures'));
    at('- other: **no**, \\<b> \\*');
    at('| third | 1 MB | it \\*ended\\* |');
    at('| fourth | all | needs Docker |');
  });
});

it('keeps what separates cells out of them', () => {
  expect(
    tableOf(
      ['a', 'b'],
      [
        ['x|y', 'one\ntwo'],
        [undefined, 3],
      ],
    ),
  ).toBe('| a | b |\n| --- | --- |\n| x\\|y | one two |\n|  | 3 |');
});
