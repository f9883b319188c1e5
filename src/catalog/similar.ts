/** How much two names look alike: the part of their pairs of characters that both have (Dice). Linear in both names. */

/** Characters of a name that count. */
const MAX_NAME = 256;
const SEPARATOR = '__';

/** The pairs of characters of a name, without regard to case, and how often it has each. */
export interface Units {
  readonly pairs: ReadonlyMap<string, number>;
  readonly count: number;
}

export function unitsOf(name: string): Units {
  const pairs = new Map<string, number>();
  const text = name.slice(0, MAX_NAME).toLowerCase();
  for (let i = 0; i + 1 < text.length; i++) {
    const pair = text.slice(i, i + 2);
    pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
  }
  return { pairs, count: Math.max(0, text.length - 1) };
}

/** 0: nothing in common; 1: equal. A name that is wanted without its server is compared with the rest of the name too. */
export function similarity(wanted: Units, name: string): number {
  const at = name.indexOf(SEPARATOR);
  const whole = dice(wanted, name);
  return at === -1 ? whole : Math.max(whole, dice(wanted, name.slice(at + SEPARATOR.length)));
}

function dice({ pairs, count }: Units, name: string): number {
  const other = unitsOf(name);
  let common = 0;
  for (const [pair, times] of other.pairs) common += Math.min(times, pairs.get(pair) ?? 0);
  return count + other.count === 0 ? 0 : (2 * common) / (count + other.count);
}
