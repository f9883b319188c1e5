/** What changes between two texts, line by line, for people. Secrets are masked. */
import { isSecret, urlSecrets } from '../clients/secrets.js';

const CONTEXT = 2;

/** `-` and `+` lines with some around them. `secrets`: values that are masked wherever they are. */
export function diffLines(before: string, after: string, secrets: Iterable<string> = []): readonly string[] {
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
  const known = [...secrets].flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]);
  return [...lead, ...middle, ...tail].map((line) => masked(hiding(line, known)));
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

function hiding(line: string, secrets: readonly string[]): string {
  let text = line;
  for (const secret of secrets) if (secret !== '') text = text.replaceAll(secret, '***');
  return text;
}

const MEMBER = /(["']?)([\w.-]+)\1(\s*[:=]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'{}[\],#][^\r\n]*)/g;

/** A line with `***` instead of values that look like secrets. */
function masked(line: string): string {
  let text = line.replace(MEMBER, (whole, quote: string, name: string, sign: string, value: string) => {
    const own = value.replace(/^["']|["']$/g, '');
    return isSecret(name, own) ? `${quote}${name}${quote}${sign}${value.replace(own, () => '***')}` : whole;
  });
  text = text.replace(/"(?:[^"\\]|\\.)*"/g, (string) =>
    isSecret('', string.slice(1, -1)) ? '"***"' : string,
  );
  for (const secret of urlSecrets(text.slice(2).trim().replace(/^["']/, '')))
    text = text.replaceAll(secret, '***');
  return text;
}
