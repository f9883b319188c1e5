/** The arguments of `mcpstead call`: `k=v`, `k:=json`, `k=@file`, one JSON object, or `-` for stdin. */
import { readFileSync } from 'node:fs';
import { rawJson, type Arguments } from '../client/index.js';
import { Refusal } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';

/** More than a gateway takes by default. */
const INPUT_BYTES = 67_108_864;

type Schema = Readonly<Record<string, unknown>>;

/**
 * Throws a Refusal that names the word. A whole object, in a word or on stdin, is sent byte for byte. `schema`: of the tool; `k=v` is typed by it.
 */
export async function argumentsOf(
  words: readonly string[],
  schema: unknown,
  { stdin }: Pick<Terminal, 'stdin'>,
): Promise<Arguments> {
  const [first, second] = words;
  if (first === undefined) return {};
  if (first === '-' || first.trimStart().startsWith('{')) {
    if (second !== undefined)
      throw new Refusal(`a whole object takes no further arguments, such as '${second}'`, 2);
    const text = first === '-' ? await readAll(stdin) : first;
    try {
      return rawJson(text.trim());
    } catch (error) {
      throw new Refusal(
        `${first === '-' ? 'stdin' : 'the argument'} holds no JSON object: ${(error as Error).message}`,
        2,
      );
    }
  }
  const found: Record<string, unknown> = {};
  for (const word of words) {
    const [name, value] = one(word, schema);
    if (Object.hasOwn(found, name)) throw new Refusal(`'${name}' is given twice`, 2);
    Object.defineProperty(found, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return found;
}

function one(word: string, schema: unknown): readonly [name: string, value: unknown] {
  const [, name, json, text] = /^([^=:]+?)(:?)=([\s\S]*)$/.exec(word) ?? [];
  if (name === undefined || text === undefined)
    throw new Refusal(
      `'${word}' is no argument: write name=text, name:=json, name=@file, an object, or - for stdin`,
      2,
    );
  const written = text.startsWith('@') ? fileText(name, text.slice(1)) : text;
  if (json === ':') return [name, parsed(name, written)];
  if (text.startsWith('@')) return [name, written];
  return [name, typed(name, written, typesIn(propertyOf(schema, name)))];
}

function fileText(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Refusal(`${name}: cannot read ${path}: ${(error as Error).message}`, 2);
  }
}

function parsed(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refusal(`${name}:= must be JSON: ${(error as Error).message}`, 2);
  }
}

/** A text by the types that the schema names; a string where it names none. */
function typed(name: string, text: string, types: readonly string[]): unknown {
  if (types.length === 0 || types.includes('string')) return text;
  if (types.includes('null') && text === 'null') return null;
  if (types.includes('boolean') && /^(true|false)$/.test(text)) return text === 'true';
  if (
    (types.includes('number') || types.includes('integer')) &&
    /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)
  ) {
    const number = Number(text);
    if (!types.includes('number') && !Number.isInteger(number)) throw wrong(name, text, types);
    if (Number.isInteger(number) && !Number.isSafeInteger(number))
      throw new Refusal(
        `${name}: ${text} loses digits as a number: send a whole object, '{"${name}": ${text}}'`,
        2,
      );
    return number;
  }
  if (types.includes('array') && !/^\s*\[/.test(text)) return text === '' ? [] : text.split(',');
  if (types.includes('array') || types.includes('object')) return parsed(name, text);
  throw wrong(name, text, types);
}

function wrong(name: string, text: string, types: readonly string[]): Refusal {
  return new Refusal(`${name} must be ${types.join(' or ')}, not '${text}'`, 2);
}

function propertyOf(schema: unknown, name: string): Schema | undefined {
  const properties = member(schema, 'properties');
  return properties && Object.hasOwn(properties, name) ? (member(properties, name) ?? undefined) : undefined;
}

/** The types of a property, also of the alternatives of `anyOf` and `oneOf`. */
function typesIn(schema: Schema | undefined, depth = 0): readonly string[] {
  if (!schema || depth > 4) return [];
  const { type, anyOf, oneOf } = schema;
  const own = [type].flat().filter((each): each is string => typeof each === 'string');
  const others = [anyOf, oneOf].flatMap((each): unknown[] => (Array.isArray(each) ? each : []));
  return [...own, ...others.flatMap((each) => typesIn(each as Schema, depth + 1))];
}

function member(value: unknown, name: string): Schema | undefined {
  const found = typeof value === 'object' && value !== null ? (value as Schema)[name] : undefined;
  return typeof found === 'object' && found !== null ? (found as Schema) : undefined;
}

async function readAll(stdin: Terminal['stdin']): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    const part = Buffer.from(chunk as Buffer | string);
    bytes += part.length;
    if (bytes > INPUT_BYTES) throw new Refusal(`stdin holds more than ${INPUT_BYTES} bytes`, 2);
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('utf8');
}
