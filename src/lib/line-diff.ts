/** Which lines differ between two texts, by the longest common subsequence. It needs nothing of Node: the console uses it too. */

/** Larger changes are given as a whole: comparing each line with each would take long. */
const MOST_CELLS = 4_000_000;

export type DiffLine = readonly [sign: ' ' | '-' | '+', text: string];

/** All lines of both texts in order; those of `before` alone come first. */
export function diffLines(before: readonly string[], after: readonly string[]): readonly DiffLine[] {
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
  const same = (part: readonly string[]): DiffLine[] => part.map((text) => [' ', text]);
  return [...same(before.slice(0, start)), ...between(a, b), ...same(before.slice(before.length - tail))];
}

function between(a: readonly string[], b: readonly string[]): DiffLine[] {
  const [rows, columns] = [a.length + 1, b.length + 1];
  if (rows * columns > MOST_CELLS)
    return [...a.map((text): DiffLine => ['-', text]), ...b.map((text): DiffLine => ['+', text])];
  const lengths = new Uint32Array(rows * columns);
  const at = (i: number, j: number): number => lengths[i * columns + j] as number;
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      lengths[i * columns + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const lines: DiffLine[] = [];
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
