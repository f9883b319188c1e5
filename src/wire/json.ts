/**
 * The one reader for JSON that a peer wrote and that has to be parsed whole. It gives a value, or undefined for what is
 * unreadable: not UTF-8, not JSON, too large, nested too deep. Values are read with the accessors below; `null` counts
 * as absent.
 */
import { isUtf8 } from 'node:buffer';
import { endOfString } from './edges.js';
import { MAX_DEPTH } from './scan.js';
import { scan, ScanError, type Scan } from './scan.js';

export type JsonObject = Readonly<Record<string, unknown>>;

export type ObjectScan = Extract<Scan, { readonly kind: 'object' }>;

/** Most bytes of a message that is parsed whole and has no larger bound of its own. */
export const SMALL_MESSAGE = 1_048_576;
/** Deepest nesting of a value that is parsed: what is deeper exhausts the stack of whatever walks it. */
export const MAX_NESTING = MAX_DEPTH;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Beyond this many bytes a string is searched by native code. */
const LONG_STRING = 64;

/** Whether brackets and braces nest no deeper than `limit`. Linear; says nothing about the rest of the syntax. */
export function nestsWithin(bytes: Buffer, limit: number): boolean {
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i];
    if (c === QUOTE) {
      i++;
      const near = Math.min(bytes.length, i + LONG_STRING);
      while (i < near && bytes[i] !== QUOTE) i += bytes[i] === BACKSLASH ? 2 : 1;
      if (i < near) continue;
      // A long one is searched by native code.
      i = endOfString(bytes, i - 1) - 1;
      if (i < 0) break;
    } else if (c === 0x7b || c === 0x5b) {
      if (++depth > limit) return false;
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
  return true;
}

/** The value; undefined: unreadable. */
export function readJson(bytes: Buffer, maxBytes = SMALL_MESSAGE): unknown {
  if (bytes.length > maxBytes || !isUtf8(bytes) || !nestsWithin(bytes, MAX_NESTING)) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Where the members of a message stand, for what only its bytes are wanted of: nothing is built. undefined: unreadable, or no object.
 * With an answer other than undefined the bytes are proven: wire/walk.ts may go over them.
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

/** Members whose value is null, without them: `null` where something belongs is absent. */
export function present(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));
}
