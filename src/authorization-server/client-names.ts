/** The names that applications give themselves, made safe to show to a person who decides about them. */

const MOST_CHARS = 80;
/** Marks that follow each other on one character: more of them cover the lines around. */
const MARKS = /(\p{M}{3})\p{M}+/gu;
/** Characters without a place of their own: zero-width ones, marks of direction, fillers. */
const INVISIBLE = /[\p{Cf}\p{DI}\u2800]+/gu;
/** Surrogates without their other half. */
const HALVES = /\p{Cs}+/gu;
/** Controls, line breaks, spaces of all kinds, and what is not a character. */
const SPACES = /[\p{C}\p{Z}]+/gu;

/** What an application without a usable name is called. */
export const NAMELESS = 'an application without a name';

/** A name in one line of at most 80 characters, without controls and invisible characters. undefined: nothing is left. */
export function cleanName(name: string): string | undefined {
  // Halves of characters first: without what is invisible between them, two would become one.
  const visible = name.replace(HALVES, ' ').replace(INVISIBLE, '').normalize('NFC');
  const line = visible.replace(SPACES, ' ').replace(MARKS, '$1');
  const bare = line.replace(/^[\p{M} ]+/u, '');
  const cut = [...bare].slice(0, MOST_CHARS).join('').trim();
  return cut === '' ? undefined : cut;
}
