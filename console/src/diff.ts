/** The lines that differ, as in a unified diff. */
import { diffLines } from '../../src/lib/line-diff.js';

const CONTEXT = 3;

/** Lines that begin with `+`, `-` or a space; large changes are given as removed and added as a whole. */
export function lineDiff(before: string, after: string): string {
  const lines = diffLines(before.split('\n'), after.split('\n'));
  return shortened(lines.map(([sign, text]) => sign + text)).join('\n');
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
