/** The lines that differ, as in a unified diff. */

const MAX_LINES = 2_000;
const CONTEXT = 3;

/** Lines that begin with `+`, `-` or a space; texts over 2,000 lines are given as removed and added as a whole. */
export function lineDiff(before: string, after: string): string {
  const a = before.split('\n');
  const b = after.split('\n');
  if (a.length > MAX_LINES || b.length > MAX_LINES)
    return [...a.map((line) => `-${line}`), ...b.map((line) => `+${line}`)].join('\n');
  // Longest common subsequence: length[i][j] of a[i..] and b[j..].
  const width = b.length + 1;
  const length = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      length[i * width + j] =
        a[i] === b[j]
          ? (length[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(length[(i + 1) * width + j] ?? 0, length[i * width + j + 1] ?? 0);
  const lines: string[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push(` ${a[i]}`);
      i++;
      j++;
    } else if (
      j >= b.length ||
      (i < a.length && (length[(i + 1) * width + j] ?? 0) >= (length[i * width + j + 1] ?? 0))
    )
      lines.push(`-${a[i++]}`);
    else lines.push(`+${b[j++]}`);
  }
  return shortened(lines).join('\n');
}

/** Without unchanged lines far from a change. */
function shortened(lines: readonly string[]): string[] {
  const near = new Set<number>();
  for (const [n, line] of lines.entries())
    if (!line.startsWith(' ')) for (let k = n - CONTEXT; k <= n + CONTEXT; k++) near.add(k);
  const result: string[] = [];
  for (const [n, line] of lines.entries()) {
    if (near.has(n)) result.push(line);
    else if (near.has(n - 1)) result.push(' ...');
  }
  return result;
}
