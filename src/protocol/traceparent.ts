/** W3C Trace Context, version 00: `traceparent` in `_meta` of a message, or as an HTTP header. */
import { scan } from '../wire/scan.js';
import { splice, type Patch } from '../wire/splice.js';
import { find } from './message.js';

export interface TraceParent {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  readonly sampled: boolean;
}

const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** undefined: it is not valid, and means nothing (Trace Context, "Processing Model"). */
export function readTraceParent(text: unknown): TraceParent | undefined {
  if (typeof text !== 'string' || text.length > 256) return undefined;
  const [, version, traceId = '', spanId = '', flags = '', more] = FORM.exec(text) ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** Larger requests get no `traceparent` in their `_meta`, only the header: looking for the place takes too long. */
const MAX_BODY = 262_144;

/** A request with `traceparent` in its `_meta`, in place of one that it has. All other bytes stay. `body`: a valid request. */
export function withTraceParent(body: Buffer, traceparent: string): Buffer {
  if (body.length > MAX_BODY) return body;
  const whole = scan(body);
  if (whole.kind !== 'object') return body;
  const member = `"traceparent":"${traceparent}"`;
  const insert = (start: number, text: string): Buffer => splice(body, [{ start, end: start, bytes: text }]);
  const params = find(whole.top, 'params');
  if (!params) return insert(body.lastIndexOf(CLOSE), `,"params":{"_meta":{${member}}}`);
  if (body[params.start] !== OPEN) return body;
  const meta = find(whole.params, '_meta');
  if (!meta) return insert(params.start + 1, `"_meta":{${member}}${whole.params.length > 0 ? ',' : ''}`);
  if (body[meta.start] !== OPEN) {
    const patch: Patch = { start: meta.start, end: meta.end, bytes: `{${member}}` };
    return splice(body, [patch]);
  }
  const known = find(whole.meta, 'traceparent');
  if (known) return splice(body, [{ start: known.start, end: known.end, bytes: `"${traceparent}"` }]);
  return insert(meta.start + 1, `${member}${whole.meta.length > 0 ? ',' : ''}`);
}

const OPEN = 0x7b;
const CLOSE = 0x7d;
