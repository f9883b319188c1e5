/**
 * The only reader for JSON of peers that has to be parsed completely. Returns undefined for unreadable input: not UTF-8, not
 * JSON, too large, or nested too deeply. Values are read with the accessors below, which treat `null` as absent.
 */
import { isUtf8 } from 'node:buffer';
import { endOfString } from './edges.js';
import { MAX_DEPTH } from './scan.js';
import { scan, ScanError, type Scan } from './scan.js';

export type JsonObject = Readonly<Record<string, unknown>>;

export type ObjectScan = Extract<Scan, { readonly kind: 'object' }>;

/** Maximum size of a message that is parsed completely, unless it has a larger bound. */
export const SMALL_MESSAGE = 1_048_576;
/** Maximum nesting of a parsed value: recursive code would exhaust the stack on deeper ones. */
export const MAX_NESTING = MAX_DEPTH;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Longer strings are searched by native code. */
const LONG_STRING = 64;

/** Whether brackets and braces nest at most `limit` deep. Linear; does not check the rest of the syntax. */
export function nestsWithin(bytes: Buffer, limit: number): boolean {
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i];
    if (c === QUOTE) {
      i++;
      const near = Math.min(bytes.length, i + LONG_STRING);
      while (i < near && bytes[i] !== QUOTE) i += bytes[i] === BACKSLASH ? 2 : 1;
      if (i < near) continue;
      // Searches a long string by native code.
      i = endOfString(bytes, i - 1) - 1;
      if (i < 0) break;
    } else if (c === 0x7b || c === 0x5b) {
      if (++depth > limit) return false;
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
  return true;
}

/** Parses a value; undefined: unreadable. */
export function readJson(bytes: Buffer, maxBytes = SMALL_MESSAGE): unknown {
  if (bytes.length > maxBytes || !isUtf8(bytes) || !nestsWithin(bytes, MAX_NESTING)) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/**
 * The offsets of a message's members, without building values. undefined: unreadable, or not an object. Otherwise the bytes are valid
 * JSON, so that wire/walk.ts may read them.
 */
export function scanObject(bytes: Buffer, maxBytes = SMALL_MESSAGE): ObjectScan | undefined {
  if (bytes.length > maxBytes || !isUtf8(bytes)) return undefined;
  try {
    const read = scan(bytes);
    return read.kind === 'object' ? read : undefined;
  } catch (error) {
    if (error instanceof ScanError) return undefined;
    throw error;
  }
}

/** The value if it is an object; undefined: unreadable, or something else. */
export function readObject(bytes: Buffer, maxBytes = SMALL_MESSAGE): JsonObject | undefined {
  return objectOf(readJson(bytes, maxBytes));
}

/** Not an array, not null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `value` if it is an object. */
export function objectOf(value: unknown): JsonObject | undefined {
  return isObject(value) ? value : undefined;
}

export function arrayOf(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) ? value : undefined;
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** The members without those whose value is null, which count as absent. */
export function present(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));
}
