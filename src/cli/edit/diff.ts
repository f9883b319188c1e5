/** What changes between two texts, line by line, for people. Secrets are masked. */
import { isSecret, urlSecrets } from '../clients/secrets.js';

const CONTEXT = 2;

/** `-` and `+` lines with some around them. For edits in few places: what is equal at both ends is skipped first. */
export function diffLines(before: string, after: string): readonly string[] {
  const old = linesOf(before);
  const now = linesOf(after);
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  while (
    end < old.length - start &&
    end < now.length - start &&
    old[old.length - 1 - end] === now[now.length - 1 - end]
  )
    end++;
  const middle = changed(old.slice(start, old.length - end), now.slice(start, now.length - end));
  const lead = old.slice(Math.max(0, start - CONTEXT), start).map((line) => `  ${line}`);
  const tail = old.slice(old.length - end, old.length - end + CONTEXT).map((line) => `  ${line}`);
  return [...lead, ...middle, ...tail].map(masked);
}

/** Beyond that many pairs of lines, what is between is shown as removed and added. */
const MOST = 4_000_000;

/** By the longest common subsequence of lines. */
function changed(old: readonly string[], now: readonly string[]): string[] {
  if (old.length * now.length > MOST)
    return [...old.map((line) => `- ${line}`), ...now.map((line) => `+ ${line}`)];
  const width = now.length + 1;
  const longest = new Uint32Array((old.length + 1) * width);
  for (let a = old.length - 1; a >= 0; a--)
    for (let b = now.length - 1; b >= 0; b--)
      longest[a * width + b] =
        old[a] === now[b]
          ? (longest[(a + 1) * width + b + 1] ?? 0) + 1
          : Math.max(longest[(a + 1) * width + b] ?? 0, longest[a * width + b + 1] ?? 0);
  const lines: string[] = [];
  let [a, b] = [0, 0];
  while (a < old.length || b < now.length)
    if (a < old.length && b < now.length && old[a] === now[b]) {
      lines.push(`  ${old[a] ?? ''}`);
      a++;
      b++;
    } else if (
      a < old.length &&
      (b === now.length || (longest[(a + 1) * width + b] ?? 0) >= (longest[a * width + b + 1] ?? 0))
    )
      lines.push(`- ${old[a++] ?? ''}`);
    else lines.push(`+ ${now[b++] ?? ''}`);
  return lines;
}

function linesOf(text: string): readonly string[] {
  return text.replace(/\r?\n$/, '').split(/\r?\n/);
}

const MEMBER = /^(\s*"?([\w.-]+)"?\s*[:=]\s*"?)([^"\r\n]+?)("?,?\s*)$/;

/** A line with `***` instead of a secret. */
function masked(line: string): string {
  const sign = line.slice(0, 2);
  const text = line.slice(2);
  let result = text.replace(MEMBER, (whole, before: string, name: string, value: string, after: string) =>
    isSecret(name, value) ? `${before}***${after}` : whole,
  );
  result = result.replace(/"(?:[^"\\]|\\.)*"/g, (string) => {
    const value = string.slice(1, -1);
    return isSecret('', value) ? '"***"' : string;
  });
  for (const secret of urlSecrets(text.trim().replace(/^["']/, '')))
    result = result.replaceAll(secret, '***');
  return sign + result;
}
