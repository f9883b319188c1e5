import type { z } from 'zod';
import type { Findings, Path } from './problems.js';
import { keysOf, unwrap } from './schema-tree.js';

type Issue = z.core.$ZodIssue;

/** Reports the schema errors below `base`, each with what is allowed. */
function reportIssues(
  findings: Findings,
  base: Path,
  issues: readonly Issue[],
  schema: z.core.$ZodType,
): void {
  for (const issue of issues) {
    const own = issue.path as Path;
    const path = [...base, ...own];
    if (issue.code === 'unrecognized_keys') {
      const known = Object.keys(keysOf(schemaAt(schema, own)) ?? {});
      for (const key of issue.keys)
        findings.problem([...path, key], 'unknown key', suggestion(key, known, []), true);
      continue;
    }
    const list = issue.code === 'invalid_type' && issue.expected === 'array';
    findings.problem(path, sentence(issue), list ? 'write [a, b]' : undefined);
  }
}

/**
 * Parses `raw` and reports what is wrong. Returns the result without the invalid values, so that later checks still see the
 * rest; undefined if nothing is left.
 */
export function parseAll<S extends z.ZodType>(
  schema: S,
  raw: unknown,
  base: Path,
  findings: Findings,
): z.output<S> | undefined {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  reportIssues(findings, base, parsed.error.issues, schema);
  const rest = structuredClone(raw);
  for (const { path } of parsed.error.issues) drop(rest, path as Path);
  return schema.safeParse(rest).data;
}

function schemaAt(schema: z.core.$ZodType, path: Path): z.core.$ZodType {
  return path.reduce<z.core.$ZodType>((holder, part) => {
    const { element } = unwrap(holder)._zod.def as { element?: z.core.$ZodType };
    return element ?? keysOf(holder)?.[part] ?? holder;
  }, schema);
}

/** Removes the value at `path`, or the list that contains it. */
function drop(root: unknown, path: Path): void {
  const list = path.findIndex((part) => typeof part === 'number');
  const way = list === -1 ? path : path.slice(0, list);
  let holder = root;
  for (const part of way.slice(0, -1)) {
    if (typeof holder !== 'object' || holder === null) return;
    holder = (holder as Record<string, unknown>)[part];
  }
  if (typeof holder === 'object' && holder !== null) {
    delete (holder as Record<string, unknown>)[way.at(-1) as string];
  }
}

function sentence(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${KINDS[issue.expected] ?? issue.expected}`;
    case 'too_small':
      if (issue.origin === 'string') return 'must not be empty';
      return issue.inclusive ? `must be at least ${issue.minimum}` : `must be greater than ${issue.minimum}`;
    case 'too_big':
      return `must be at most ${issue.maximum}`;
    case 'invalid_value':
      return `must be ${issue.values.map(String).join(' or ')}`;
    case 'invalid_format':
    case 'not_multiple_of':
    case 'unrecognized_keys':
    case 'invalid_union':
    case 'invalid_key':
    case 'invalid_element':
    case 'custom':
      return issue.message;
  }
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping of keys to values',
  record: 'a mapping of keys to values',
};

/**
 * Calls `found` for each unknown key below `value`, with the keys that are known in its place. Those of a strict mapping are errors that the
 * schema reports.
 */
export function unknownKeys(
  schema: z.core.$ZodType,
  value: unknown,
  path: Path,
  found: (path: Path, known: readonly string[]) => void,
): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    const { element } = unwrap(schema)._zod.def as { element?: z.core.$ZodType };
    if (element) value.forEach((item, index) => unknownKeys(element, item, [...path, index], found));
    return;
  }
  const keys = keysOf(schema);
  if (!keys) return;
  for (const [key, member] of Object.entries(value)) {
    if (Object.hasOwn(keys, key)) unknownKeys(keys[key] as z.core.$ZodType, member, [...path, key], found);
    else if (!isStrict(schema)) found([...path, key], Object.keys(keys));
  }
}

function isStrict(schema: z.core.$ZodType): boolean {
  const { catchall } = unwrap(schema)._zod.def as { catchall?: z.core.$ZodType };
  return catchall?._zod.def.type === 'never';
}

const MAX_KEY = 128;

/** A fix for an unknown key: the most similar key here, the place where that key belongs, or the known keys. */
export function suggestion(key: string, known: readonly string[], elsewhere: readonly string[]): string {
  // Longer strings are not similar to any key.
  const plain = key.slice(0, MAX_KEY).toLowerCase().replaceAll('-', '_');
  let best = '';
  let least = Infinity;
  for (const candidate of known) {
    const distance = editDistance(plain, candidate);
    if (distance < least) [best, least] = [candidate, distance];
  }
  if (least <= Math.max(1, Math.ceil(Math.max(key.length, best.length) * 0.34)))
    return `did you mean ${best}?`;
  const home = elsewhere.find((path) => path.endsWith(`.${plain}`));
  if (home !== undefined) return `did you mean ${home}?`;
  const part = known.find((candidate) => candidate.includes(plain) || plain.includes(candidate));
  return part === undefined || plain === '' ? `known here: ${known.join(', ')}` : `did you mean ${part}?`;
}

/** The Damerau-Levenshtein distance: insertions, deletions, replacements and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min(
        (last[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (last[j - 1] as number) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (before[j - 2] as number) + 1);
      row.push(least);
    }
    before = last;
    last = row;
  }
  return last[b.length] as number;
}
