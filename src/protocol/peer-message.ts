/**
 * A notification or a request from a server: read once, here, and checked to be unambiguous JSON. Members are read by name; a value is
 * undefined if it is absent, null or of another type.
 */
import { isUtf8 } from 'node:buffer';
import { KnownNames } from '../wire/fold.js';
import { objectOf, SMALL_MESSAGE, type JsonObject } from '../wire/json.js';
import { readText, scan, ScanError, type Member } from '../wire/scan.js';
import { find, isEscaped, MAX_ID, TOP } from './message.js';
import { RELATED_TASK } from './tasks.js';

/** Members that the gateway reads, replaces or decides by: they must not be repeated. */
const PARAMS = new KnownNames(
  '_meta',
  'progressToken',
  'uri',
  'taskId',
  'requestId',
  'elicitationId',
  'level',
  'message',
  'mode',
  'url',
  'requestedSchema',
  'includeContext',
  'notifications',
);
const META = new KnownNames('progressToken', RELATED_TASK, 'io.modelcontextprotocol/subscriptionId');
/** Values per message, at the most. */
const MAX_VALUES = 20_000;

export class PeerMessage {
  readonly body: Buffer;
  readonly method: string;
  /** JSON of the id as sent; undefined: a notification. */
  readonly id: string | undefined;
  readonly params: readonly Member[];
  readonly meta: readonly Member[];
  readonly #paramsAt: Member | undefined;

  constructor(
    body: Buffer,
    method: string,
    id: string | undefined,
    paramsAt: Member | undefined,
    params: readonly Member[],
    meta: readonly Member[],
  ) {
    this.body = body;
    this.method = method;
    this.id = id;
    this.#paramsAt = paramsAt;
    this.params = params;
    this.meta = meta;
  }

  /** A member of `params` that is a string. */
  text(key: string): string | undefined {
    const value = this.#value(find(this.params, key));
    return typeof value === 'string' ? value : undefined;
  }

  /** A member of `params` that is a number. */
  number(key: string): number | undefined {
    const value = this.#value(find(this.params, key));
    return typeof value === 'number' ? value : undefined;
  }

  /** JSON of a member of `params`, as sent. */
  raw(key: string): string | undefined {
    const member = find(this.params, key);
    return member && this.body.toString('utf8', member.start, member.end);
  }

  /** A member of `params._meta`. */
  metaOf(key: string): unknown {
    return this.#value(find(this.meta, key)) ?? undefined;
  }

  /** All of `params`, parsed. */
  parsed(): JsonObject {
    return objectOf(this.#value(this.#paramsAt)) ?? {};
  }

  #value(member: Member | undefined): unknown {
    return member && JSON.parse(this.body.toString('utf8', member.start, member.end));
  }
}

/** Reads a message that is not an answer, or returns why it is invalid. `maxBytes` bounds a request; a notification is bounded by 1 MB. */
export function readPeerMessage(body: Buffer, maxBytes: number): PeerMessage | string {
  if (!isUtf8(body)) return 'it is not UTF-8';
  let whole: ReturnType<typeof scan>;
  try {
    whole = scan(body, MAX_VALUES);
  } catch (error) {
    if (error instanceof ScanError) return error.message;
    throw error;
  }
  if (whole.kind !== 'object') return 'it is not an object';
  const { top, params, meta } = whole;
  const doubt = TOP.doubt(top) ?? PARAMS.doubt(params) ?? META.doubt(meta);
  if (doubt !== undefined) return `it has ${doubt}`;
  const escaped = top.find((member) => TOP.has(member.key) && isEscaped(body, member));
  if (escaped) return `it has '${escaped.key}' written with escapes`;
  const method = find(top, 'method');
  if (!method || body[method.start] !== 0x22) return 'its method is not a string';
  const idAt = find(top, 'id');
  const id = idAt && body.toString('utf8', idAt.start, idAt.end);
  if (id !== undefined && id !== 'null' && !/^["\-0-9]/.test(id))
    return 'its id is neither a string nor a number';
  if (id !== undefined && id.length > MAX_ID) return `its id is over ${MAX_ID} bytes`;
  const asks = id !== undefined && id !== 'null';
  const limit = asks ? maxBytes : SMALL_MESSAGE;
  if (body.length > limit) return `it is over ${limit} bytes`;
  return new PeerMessage(
    body,
    readText(body, method.start, method.end),
    asks ? id : undefined,
    find(top, 'params'),
    params,
    meta,
  );
}
