import { LONGEST_MS } from './schema.js';

export type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** The same object without the keys that are undefined. */
export function present<T extends object>(value: T): Present<T> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Present<T>;
}

/** The same object without `keys`. */
export function without<T extends object, K extends keyof T>(value: T, keys: readonly K[]): Omit<T, K> {
  const dropped = new Set<PropertyKey>(keys);
  return Object.fromEntries(Object.entries(value).filter(([key]) => !dropped.has(key))) as Omit<T, K>;
}

/** Limits every `_ms` and `_seconds` to the longest timer; a longer delay would fire at once. */
export function withinTimers<T extends object>(value: T): T {
  const entries = Object.entries(value).map(([key, member]: [string, unknown]) => {
    if (typeof member === 'number') {
      if (key.endsWith('_ms')) return [key, Math.min(member, LONGEST_MS)];
      if (key.endsWith('_seconds')) return [key, Math.min(member, LONGEST_MS / 1000)];
    }
    // Values for arguments of tools are not settings.
    if (key === 'overrides') return [key, member];
    const nested = typeof member === 'object' && member !== null && !Array.isArray(member);
    return [key, nested ? withinTimers(member) : member];
  });
  return Object.fromEntries(entries) as T;
}

const DEEPEST = 32;

/** A copy without the keys that have no value (`headers:` with nothing after it), except the values of arguments, which may be null. */
export function withoutNulls(value: unknown): unknown {
  return copied(value, 0, 0);
}

/** `within`: how many levels of `overrides.<tool>.arguments.<argument>` lead to the value. */
function copied(value: unknown, depth: number, within: number): unknown {
  if (depth > DEEPEST) throw new RangeError('nested too deeply');
  if (Array.isArray(value)) return value.map((item) => copied(item, depth + 1, 0));
  if (typeof value !== 'object' || value === null) return value;
  const isArgument = within === ARGUMENT;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, member]) => member !== undefined && (member !== null || (isArgument && key === 'value')))
      .map(([key, member]) => [
        key,
        isArgument && key === 'value' ? member : copied(member, depth + 1, nextWithin(within, key)),
      ]),
  );
}

const ARGUMENT = 4;

function nextWithin(within: number, key: string): number {
  switch (within) {
    case 1:
    case 3:
      return within + 1;
    case 2:
      return key === 'arguments' ? 3 : 0;
    default:
      return key === 'overrides' ? 1 : 0;
  }
}
