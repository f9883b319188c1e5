/** Globs: `*` stands for any characters or none, `?` for one; everything else for itself. */

/** Whether a whole text matches. */
export type Glob = (text: string) => boolean;

/**
 * Compiles a pattern. `?` stands for one Unicode character, upper and lower case differ, and nothing escapes. Matching takes time linear in
 * the text for any pattern: each part between two `*` is looked for once, from the left, and never again.
 */
export function compileGlob(pattern: string): Glob {
  if (pattern.includes('?')) return withSingles(pattern);
  const parts = pattern.split('*');
  const [first = ''] = parts;
  const last = parts.at(-1) ?? '';
  if (parts.length === 1) return (text) => text === pattern;
  const middle = parts.slice(1, -1).filter((part) => part !== '');
  return (text) => {
    const end = text.length - last.length;
    if (end < first.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    let at = first.length;
    for (const part of middle) {
      const found = text.indexOf(part, at);
      if (found === -1 || found + part.length > end) return false;
      at = found + part.length;
    }
    return true;
  };
}

const ALL: Glob = () => true;

/** Compiles globs of which one has to match. Without a glob nothing matches. */
export function compileGlobs(patterns: readonly string[]): Glob {
  if (patterns.includes('*')) return ALL;
  const globs = patterns.map(compileGlob);
  return (text) => globs.some((glob) => glob(text));
}

/** Matches character by character, since one that `?` stands for can take two places in a string. */
function withSingles(pattern: string): Glob {
  const parts = pattern.split('*').map((part) => [...part]);
  const [first = []] = parts;
  const last = parts.at(-1) ?? [];
  const middle = parts.slice(1, -1);
  return (text) => {
    const characters = [...text];
    const end = characters.length - last.length;
    if (parts.length === 1) return end === 0 && isAt(characters, 0, first);
    if (end < first.length || !isAt(characters, 0, first) || !isAt(characters, end, last)) return false;
    let at = first.length;
    for (const part of middle) {
      while (at + part.length <= end && !isAt(characters, at, part)) at++;
      if (at + part.length > end) return false;
      at += part.length;
    }
    return true;
  };
}

function isAt(characters: readonly string[], at: number, part: readonly string[]): boolean {
  return part.every((character, index) => character === '?' || character === characters[at + index]);
}
