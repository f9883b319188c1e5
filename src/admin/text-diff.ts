/** A unified diff of two texts. */

const CONTEXT = 3;
/** Larger changes are shown as a whole: comparing each line with each would take long. */
const MOST_CELLS = 4_000_000;

type Line = readonly [sign: ' ' | '-' | '+', text: string];

/** Empty: the texts are equal. */
export function unifiedDiff(before: string, after: string, name: string): string {
  if (before === after) return '';
  const lines = compare(before.split('\n'), after.split('\n'));
  const hunks: string[] = [];
  let at = 0;
  while (at < lines.length) {
    const first = lines.findIndex(([sign], i) => i >= at && sign !== ' ');
    if (first === -1) break;
    let end = first;
    for (let i = first; i < lines.length && i <= end + 2 * CONTEXT; i++)
      if ((lines[i] as Line)[0] !== ' ') end = i;
    const from = Math.max(at, first - CONTEXT);
    const to = Math.min(lines.length, end + CONTEXT + 1);
    hunks.push(hunkOf(lines, from, to));
    at = to;
  }
  return `--- ${name}\n+++ ${name}\n${hunks.join('')}`;
}

function hunkOf(lines: readonly Line[], from: number, to: number): string {
  const count = (part: readonly Line[], other: string): number =>
    part.filter(([sign]) => sign !== other).length;
  const [above, inside] = [lines.slice(0, from), lines.slice(from, to)];
  const range = (other: string): string => `${count(above, other) + 1},${count(inside, other)}`;
  const body = inside.map(([sign, text]) => `${sign}${text}\n`).join('');
  return `@@ -${range('+')} +${range('-')} @@\n${body}`;
}

function compare(before: readonly string[], after: readonly string[]): Line[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let tail = 0;
  while (
    tail < before.length - start &&
    tail < after.length - start &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  )
    tail++;
  const a = before.slice(start, before.length - tail);
  const b = after.slice(start, after.length - tail);
  const same = (part: readonly string[]): Line[] => part.map((text) => [' ', text]);
  return [...same(before.slice(0, start)), ...between(a, b), ...same(before.slice(before.length - tail))];
}

/** By the longest common subsequence. */
function between(a: readonly string[], b: readonly string[]): Line[] {
  const [rows, columns] = [a.length + 1, b.length + 1];
  if (rows * columns > MOST_CELLS)
    return [...a.map((text): Line => ['-', text]), ...b.map((text): Line => ['+', text])];
  const lengths = new Uint32Array(rows * columns);
  const at = (i: number, j: number): number => lengths[i * columns + j] as number;
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      lengths[i * columns + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push([' ', a[i] as string]);
      i++;
      j++;
    } else if (j >= b.length || (i < a.length && at(i + 1, j) >= at(i, j + 1)))
      lines.push(['-', a[i++] as string]);
    else lines.push(['+', b[j++] as string]);
  }
  return lines;
}
