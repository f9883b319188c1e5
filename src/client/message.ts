/** JSON-RPC messages: written with arguments left as they are, and read. */
import { objectOf, type JsonObject } from './types.js';

/** JSON text, sent without a change of a byte. */
export interface RawJson {
  readonly raw: string;
}

export type Arguments = JsonObject | RawJson;

export type Incoming =
  | {
      readonly kind: 'answer';
      readonly id: unknown;
      readonly result?: JsonObject;
      readonly error?: JsonObject;
    }
  | {
      readonly kind: 'request';
      readonly id: string | number;
      readonly method: string;
      readonly params: JsonObject;
    }
  | { readonly kind: 'notification'; readonly method: string; readonly params: JsonObject }
  | { readonly kind: 'invalid' };

/** What `rawJson` made: other objects with a member `raw` are arguments. */
const RAW = new WeakSet<object>();

const isRaw = (args: Arguments): args is RawJson => RAW.has(args);

/** Marks JSON text to be sent as arguments as it is. The text is an object of valid JSON; else this throws a SyntaxError. */
export function rawJson(text: string): RawJson {
  if (!objectOf(JSON.parse(text))) throw new SyntaxError('the arguments are a JSON object');
  const raw = { raw: text };
  RAW.add(raw);
  return raw;
}

/** The arguments as a value. */
export const valueOf = (args: Arguments): JsonObject =>
  isRaw(args) ? (JSON.parse(args.raw) as JsonObject) : args;

/** The body of a request. */
export function requestBody(
  id: number,
  method: string,
  params: JsonObject,
  args: Arguments | undefined,
  meta: JsonObject | undefined,
): string {
  const members = Object.entries(params).map(
    ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`,
  );
  if (args) members.push(`"arguments":${isRaw(args) ? args.raw : JSON.stringify(args)}`);
  if (meta) members.push(`"_meta":${JSON.stringify(meta)}`);
  return `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)},"params":{${members.join(',')}}}`;
}

export const notificationBody = (method: string, params?: JsonObject): string =>
  JSON.stringify({ jsonrpc: '2.0', method, ...(params ? { params } : {}) });

export function readMessage(text: string): Incoming {
  let value: JsonObject | undefined;
  try {
    value = objectOf(JSON.parse(text));
  } catch {
    value = undefined;
  }
  if (!value) return { kind: 'invalid' };
  const { id, method } = value;
  const params = objectOf(value['params']) ?? {};
  if (typeof method === 'string') {
    if (id === undefined) return { kind: 'notification', method, params };
    if (typeof id === 'string' || typeof id === 'number') return { kind: 'request', id, method, params };
    return { kind: 'invalid' };
  }
  const error = objectOf(value['error']);
  if (error) return { kind: 'answer', id, error };
  const result = objectOf(value['result']);
  return result ? { kind: 'answer', id, result } : { kind: 'invalid' };
}
