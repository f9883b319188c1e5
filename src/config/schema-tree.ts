/** Walks schemas: their keys, and what a reload does with each. */
import { z } from 'zod';
import type { Reload } from './keys.js';

type AnySchema = z.core.$ZodType;

/** The schema behind defaults, `optional`, `nullable`, and transforms. */
export function unwrap(schema: AnySchema): AnySchema {
  const { type, innerType, in: front, out: back } = schema._zod.def as Wrapper;
  // The schema is the output of preprocess(), and the input of transform().
  if (front && back) return unwrap(back._zod.def.type === 'transform' ? front : back);
  return innerType && WRAPPERS.has(type) ? unwrap(innerType) : schema;
}

interface Wrapper {
  type: string;
  innerType?: AnySchema;
  in?: AnySchema;
  out?: AnySchema;
}

const WRAPPERS = new Set(['default', 'prefault', 'optional', 'nullable']);

/** The keys of an object schema, or undefined for anything else. */
export function keysOf(schema: AnySchema): Readonly<Record<string, AnySchema>> | undefined {
  const bare = unwrap(schema);
  return bare instanceof z.ZodObject ? bare.shape : undefined;
}

/** Every key of a schema, as `mcp.session.idle_ttl_seconds`, with its schema. A mapping that is described as a whole is one key. */
export function leavesOf(schema: AnySchema, prefix = ''): (readonly [path: string, schema: AnySchema])[] {
  const isSection = (member: AnySchema): boolean =>
    Object.values(keysOf(member) ?? {}).some((each) => reloadOf(each) !== undefined || isSection(each));
  return Object.entries(keysOf(schema) ?? {}).flatMap(([key, member]) =>
    isSection(member) ? leavesOf(member, `${prefix}${key}.`) : [[prefix + key, member] as const],
  );
}

/** What a reload does with the key that `schema` describes; undefined if it does not say. */
export function reloadOf(schema: AnySchema): Reload | undefined {
  return z.globalRegistry.get(schema)?.['reload'] as Reload | undefined;
}

/** The keys of `schema` that a reload treats as `reload`, as paths of their resolved values. */
export function keysWith(reload: Reload, schema: AnySchema): string[] {
  return leavesOf(schema).flatMap(([path, member]) => (reloadOf(member) === reload ? [path] : []));
}
