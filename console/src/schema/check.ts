/** Checks arguments against their schema. The schema is a stranger's: what is expensive in it is left out. */
import { Validator, type Schema } from '@cfworker/json-schema';
import { objectOf } from '../../../src/client/types.js';

/** A repeated group that repeats: such patterns can take exponential time. */
const EXPENSIVE = /[+*}][^)]*\)[+*{]/;
const MAX_PATTERN = 200;
const MAX_NODES = 20_000;
const MAX_SHOWN = 50;

export interface Finding {
  /** JSON pointer. */
  readonly path: string;
  readonly message: string;
}

/** What is wrong with a value; null: the schema cannot be used. */
export function check(schema: unknown, value: unknown): readonly Finding[] | null {
  try {
    let nodes = 0;
    const safe = (node: unknown): unknown => {
      if (++nodes > MAX_NODES) throw new Error('too large');
      if (Array.isArray(node)) return node.map(safe);
      const object = objectOf(node);
      if (!object) return node;
      return Object.fromEntries(
        Object.entries(object)
          .filter(([key, member]) => !(key === 'pattern' && typeof member === 'string' && expensive(member)))
          .filter(([key]) => key !== 'patternProperties' && key !== 'format')
          .map(([key, member]) => [key, safe(member)]),
      );
    };
    const { valid, errors } = new Validator(safe(schema) as Schema, '2020-12', false).validate(value);
    if (valid) return [];
    // Errors that only say that something below is wrong.
    const telling = errors.filter(
      (error) =>
        !errors.some(
          (other) => other !== error && other.keywordLocation.startsWith(`${error.keywordLocation}/`),
        ),
    );
    return (telling.length > 0 ? telling : errors)
      .slice(0, MAX_SHOWN)
      .map(({ instanceLocation, error }) => ({ path: instanceLocation.replace(/^#/, ''), message: error }));
  } catch {
    return null;
  }
}

const expensive = (pattern: string): boolean => pattern.length > MAX_PATTERN || EXPENSIVE.test(pattern);
