/** How much two names look alike: the part of their pairs of characters that both have (Dice). Linear in both names. */

/** Characters of a name that count. */
const MAX_NAME = 256;
const SEPARATOR = '__';

/** The pairs of characters of a name, without regard to case. */
export interface Pairs {
  readonly has: ReadonlySet<number>;
  readonly count: number;
}

export function pairsOf(name: string): Pairs {
  const text = name.slice(0, MAX_NAME).toLowerCase();
  const has = new Set<number>();
  for (let i = 0; i + 1 < text.length; i++) has.add(pairAt(text, i));
  return { has, count: Math.max(0, text.length - 1) };
}

/** 0: nothing in common; 1: equal. A name that is wanted without its server is compared with the rest of the name too. */
export function similarity({ has, count }: Pairs, name: string): number {
  const text = name.slice(0, MAX_NAME).toLowerCase();
  const at = text.indexOf(SEPARATOR);
  const own = at === -1 ? 0 : at + SEPARATOR.length;
  let common = 0;
  let ofOwn = 0;
  for (let i = 0; i + 1 < text.length; i++) {
    if (!has.has(pairAt(text, i))) continue;
    common++;
    if (i >= own) ofOwn++;
  }
  return Math.max(dice(common, count, text.length - 1), dice(ofOwn, count, text.length - own - 1));
}

/**
 * The `count` names that are most like `name`, the most similar first, ties by name; fewer if others have nothing in common with it.
 * It sorts no more than it returns: to sort the names of a large list would hold the event loop for longer than to compare them.
 */
export function mostSimilar(name: string, names: Iterable<string>, count: number): string[] {
  const wanted = pairsOf(name);
  const best: { readonly name: string; readonly score: number }[] = [];
  for (const each of names) {
    const score = similarity(wanted, each);
    if (score === 0) continue;
    const last = best.length < count ? undefined : best.at(-1);
    if (last && (score < last.score || (score === last.score && each >= last.name))) continue;
    best.push({ name: each, score });
    best.sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1));
    best.length = Math.min(best.length, count);
  }
  return best.map((one) => one.name);
}

function pairAt(text: string, i: number): number {
  return text.charCodeAt(i) * 65_536 + text.charCodeAt(i + 1);
}

/** `common`: how many pairs of the other name this one has. */
function dice(common: number, count: number, other: number): number {
  return common === 0 ? 0 : (2 * Math.min(common, count)) / (count + other);
}
