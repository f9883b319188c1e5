/** What commands of a store are sent with. */

export type Argument = string | number | Buffer;

/** What decides about the slot of a key. */
export function tagOf(key: string): string {
  return /\{([^}]+)\}/.exec(key)?.[1] ?? key;
}

/** Bytes, about. */
export function sizeOf(values: readonly Argument[]): number {
  let size = 0;
  for (const value of values) size += typeof value === 'number' ? 8 : value.length;
  return size;
}

/** What a value of another type is read as, where a string is expected. Nobody opens it. */
export const OTHER_TYPE = Buffer.of(0);
