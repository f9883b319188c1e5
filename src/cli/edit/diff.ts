/** What changes between two texts, line by line, for people. Secrets are masked. */
import { diffLines as compare, type DiffLine } from '../../lib/line-diff.js';
import { isSecret, urlSecrets } from '../clients/secrets.js';

const CONTEXT = 2;

/** `-` and `+` lines with some around them. `secrets`: values that are masked wherever they are. */
export function diffLines(before: string, after: string, secrets: Iterable<string> = []): readonly string[] {
  const lines = compare(linesOf(before), linesOf(after));
  const changed = ([sign]: DiffLine): boolean => sign !== ' ';
  const first = lines.findIndex(changed);
  if (first === -1) return [];
  const from = Math.max(0, first - CONTEXT);
  const to = lines.findLastIndex(changed) + 1 + CONTEXT;
  const known = [...secrets].flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]);
  return lines.slice(from, to).map(([sign, text]) => masked(hiding(`${sign} ${text}`, known)));
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
