/** Recognises common names by their bytes, without creating a string for each. */
import { foldName } from './fold.js';

const COMMON = namesOf([
  'id',
  'uri',
  '"2.0"',
  'name',
  'ping',
  '_meta',
  'error',
  'method',
  'params',
  'result',
  'jsonrpc',
  'arguments',
  'tools/call',
  'tools/list',
  'progressToken',
  'resources/read',
]);

interface Name {
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** A set of names that is matched by bytes. */
export interface Names {
  readonly byLength: readonly (readonly Name[] | undefined)[];
  /** By their case-folded form. */
  readonly folded: ReadonlyMap<string, string>;
  /** The longest spelling of any of them, in bytes. */
  readonly longest: number;
}

export function namesOf(names: readonly string[]): Names {
  const byLength: Name[][] = [];
  for (const text of names) (byLength[text.length] ??= []).push({ text, bytes: Buffer.from(text) });
  return {
    byLength,
    folded: new Map(names.map((name) => [foldName(name), name])),
    // Each character may be written as \uXXXX.
    longest: 6 * Math.max(...names.map(({ length }) => length)),
  };
}

/** The name with exactly these bytes. */
export function nameIn({ byLength }: Names, buf: Buffer, start: number, end: number): string | undefined {
  const length = end - start;
  const names = length < byLength.length ? byLength[length] : undefined;
  if (names === undefined) return undefined;
  for (const { text, bytes } of names) {
    let i = 0;
    while (i < length && buf[start + i] === bytes[i]) i++;
    if (i === length) return text;
  }
  return undefined;
}

/** The name that some JSON reader could read in these bytes of a string: in another case, or with escapes. */
export function variantIn(names: Names, buf: Buffer, start: number, end: number): string | undefined {
  const length = end - start;
  if (length > names.longest) return undefined;
  for (let i = start; i < end; i++) {
    const c = buf[i] as number;
    if (c === 0x5c || c >= 0x80) return decodedIn(names, buf, start, end);
  }
  const same = length < names.byLength.length ? names.byLength[length] : undefined;
  if (same === undefined) return undefined;
  for (const { text, bytes } of same) {
    let i = 0;
    while (i < length && lower(buf[start + i] as number) === lower(bytes[i] as number)) i++;
    if (i === length) return text;
  }
  return undefined;
}

function decodedIn({ folded }: Names, buf: Buffer, start: number, end: number): string | undefined {
  try {
    return folded.get(foldName(JSON.parse(`"${buf.toString('utf8', start, end)}"`) as string));
  } catch {
    return undefined;
  }
}

const lower = (c: number): number => (c >= 0x41 && c <= 0x5a ? c + 0x20 : c);

/** The string from `start` to `end`, if it is a common name. */
export function nameAt(buf: Buffer, start: number, end: number): string | undefined {
  return nameIn(COMMON, buf, start, end);
}
