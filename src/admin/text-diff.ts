/** A unified diff of two texts. */
import { diffLines, type DiffLine } from '../lib/line-diff.js';

const CONTEXT = 3;

/** Empty: the texts are equal. */
export function unifiedDiff(before: string, after: string, name: string): string {
  if (before === after) return '';
  const lines = diffLines(before.split('\n'), after.split('\n'));
  const hunks: string[] = [];
  let at = 0;
  while (at < lines.length) {
    const first = lines.findIndex(([sign], i) => i >= at && sign !== ' ');
    if (first === -1) break;
    let end = first;
    for (let i = first; i < lines.length && i <= end + 2 * CONTEXT; i++)
      if ((lines[i] as DiffLine)[0] !== ' ') end = i;
    const from = Math.max(at, first - CONTEXT);
    const to = Math.min(lines.length, end + CONTEXT + 1);
    hunks.push(hunkOf(lines, from, to));
    at = to;
  }
  return `--- ${name}\n+++ ${name}\n${hunks.join('')}`;
}

function hunkOf(lines: readonly DiffLine[], from: number, to: number): string {
  const count = (part: readonly DiffLine[], other: string): number =>
    part.filter(([sign]) => sign !== other).length;
  const [above, inside] = [lines.slice(0, from), lines.slice(from, to)];
  const range = (other: string): string => `${count(above, other) + 1},${count(inside, other)}`;
  const body = inside.map(([sign, text]) => `${sign}${text}\n`).join('');
  return `@@ -${range('+')} +${range('-')} @@\n${body}`;
}
