import { describe, expect, it } from 'vitest';
import { pages, readmeFigures, tablesOf, withFigures } from '../../../scripts/readme-figures.mjs';
import { page } from '../../helpers/markdown.js';

const written = await pages();

it.each(Object.keys(written))(
  '%s quotes the figures of the reports (node scripts/readme-figures.mjs)',
  (path) => {
    expect(page(path)).toBe(written[path]);
  },
);

describe('reading a report', () => {
  it('takes the first of two columns with one name, by heading and row', () => {
    const text =
      '## A\n\n| of | x | y | x |\n| --- | --- | --- | --- |\n| one | 1 (0) | 2 | 3 |\n\n## B\n\n| of | x |\n| --- | --- |\n| one | 9 |\n';
    expect(tablesOf(text)).toEqual({
      A: { one: { of: 'one', x: '1 (0)', y: '2' } },
      B: { one: { of: 'one', x: '9' } },
    });
  });

  it('follows the report: another figure there is another one in the README', () => {
    const report = page('bench/REPORT.md');
    const before = readmeFigures(report, '');
    const row = /^\| 0\.2 KB \| (\d+) \(/m.exec(report);
    expect(before).toContain(`${row?.[1]} us at 0.2 KB`);
    expect(readmeFigures(report.replace(/^\| 0\.2 KB \| \d+ \(/m, '| 0.2 KB | 4711 ('), '')).toContain(
      '4711 us at 0.2 KB',
    );
  });

  it('says which cell a report lacks', () => {
    expect(() => readmeFigures('# Bench\n', '')).toThrow('the report has no "0.2 KB"');
  });

  it('replaces what is between the markers alone', () => {
    const text = 'a\n\n<!-- figures -->\n\nold\n\n<!-- /figures -->\n\nb\n';
    expect(withFigures(text, 'new')).toBe('a\n\n<!-- figures -->\n\nnew\n\n<!-- /figures -->\n\nb\n');
    expect(() => withFigures('none', 'new')).toThrow('has no');
  });
});
