/**
 * Gives an object members with fixed values. Whatever the object has under their names goes, however it is spelt: with escapes, in another
 * case, more than once. JSON readers disagree about such names, so each must be there once.
 */
import { endOfString, endOfValue } from './edges.js';
import { foldName } from './fold.js';
import { skipSpace, type Span } from './scan.js';
import type { Patch } from './splice.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;

/** Longer keys are not decoded. */
const MAX_KEY = 4096;
/** Some readers end a name here. */
const NUL = '\\u0000';

const EMPTY = Buffer.alloc(0);

/** Members with fixed values, prepared for many objects. */
export interface FixedMembers {
  readonly names: ReadonlySet<string>;
  /** The members as JSON, with commas between them. */
  readonly bytes: Buffer;
  /** The same with a comma in front. */
  readonly further: Buffer;
  /** The folded names. */
  readonly folded: ReadonlySet<string>;
  /** The folded names that are ASCII, by their length. */
  readonly ascii: readonly (readonly Buffer[] | undefined)[];
  /** Names that are not removed, although a reader could take them for one of `names`. */
  readonly others: ReadonlySet<string>;
}

/** `values`: JSON by name. `others`: names of other members that the objects may have. */
export function fixedMembers(values: ReadonlyMap<string, string>, others: Iterable<string>): FixedMembers {
  const folded = new Set([...values.keys()].map(foldName));
  const ascii: Buffer[][] = [];
  for (const name of folded)
    if (/^[\0-\x7f]*$/.test(name)) (ascii[name.length] ??= []).push(Buffer.from(name));
  const json = [...values].map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',');
  return {
    names: new Set(values.keys()),
    bytes: Buffer.from(json),
    further: Buffer.from(`,${json}`),
    folded,
    ascii,
    others: new Set([...others].filter((name) => !values.has(name) && folded.has(foldName(name)))),
  };
}

/**
 * Patches that give an object these members, as its last ones, and remove what it has under their names. `at`: where it is in `buf`, which
 * is valid JSON.
 */
export function fixedPatches(buf: Buffer, at: Span, fixed: FixedMembers): Patch[] {
  const patches: Patch[] = [];
  /** The end of the last member that is kept; -1: none is. */
  let kept = -1;
  /** Where the removal begins that is open; -1: none is. */
  let from = -1;
  let end = at.start + 1;
  let i = skipSpace(buf, end);
  while (buf[i] === QUOTE) {
    const keyEnd = endOfString(buf, i);
    const value = skipSpace(buf, skipSpace(buf, keyEnd) + 1);
    const isGone = isFixed(buf, i + 1, keyEnd - 1, fixed);
    if (isGone && from === -1) from = kept === -1 ? i : kept;
    if (!isGone && from !== -1) {
      // With the comma after it, or before it.
      patches.push({ start: from, end: kept === -1 ? i : end, bytes: EMPTY });
      from = -1;
    }
    end = endOfValue(buf, value);
    if (!isGone) kept = end;
    i = skipSpace(buf, end);
    if (buf[i] !== COMMA) break;
    i = skipSpace(buf, i + 1);
  }
  const bytes = kept === -1 ? fixed.bytes : fixed.further;
  if (from === -1) patches.push({ start: end, end, bytes });
  else patches.push({ start: from, end, bytes });
  return patches;
}

/** Whether a reader could take a key for a fixed name. `start`, `end`: between its quotes. */
function isFixed(buf: Buffer, start: number, end: number, fixed: FixedMembers): boolean {
  for (let i = start; i < end; i++) {
    const c = buf[i] as number;
    if (c === BACKSLASH || c >= 0x80) return isFixedName(buf, start, end, fixed);
  }
  const same = fixed.ascii[end - start];
  if (!same) return false;
  for (const name of same) {
    let i = 0;
    while (i < name.length && lower(buf[start + i] as number) === name[i]) i++;
    if (i === name.length)
      return fixed.others.size === 0 || !fixed.others.has(buf.toString('latin1', start, end));
  }
  return false;
}

const lower = (c: number): number => (c >= 0x41 && c <= 0x5a ? c + 0x20 : c);

function isFixedName(buf: Buffer, start: number, end: number, { folded, others }: FixedMembers): boolean {
  // No argument has such a name; a long one with a NUL in it could still be read as a short one.
  if (end - start > MAX_KEY) return buf.subarray(start, end).includes(NUL);
  const name = JSON.parse(`"${buf.toString('utf8', start, end)}"`) as string;
  return folded.has(foldName(name)) && !others.has(name);
}
