/** Where a message comes from, and what becomes of it: the words that the gate and its methods share. */
import type { GatewayError } from '../errors.js';
import type { MethodStats } from '../observe/stats.js';
import type { Message } from '../protocol/message.js';
import type { Exchange, Principal, View } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';

/** A route class with its own sessions: the merged endpoint, or one server. */
export interface Route {
  /** `/mcp` or `/servers/<name>/mcp`: names it in sessions. */
  readonly key: string;
  /** undefined: the merged endpoint. */
  readonly server: string | undefined;
  readonly view: View;
}

/** Where a message comes from. */
export interface Source {
  readonly principal: Principal;
  readonly route: Route;
  readonly sessionId: string | undefined;
  /** The MCP-Protocol-Version header. */
  readonly version: string | undefined;
  /** Of this message: see protocol/classify.ts. */
  readonly era: Era;
  /** The headers of its request, in lower case; undefined: there is no header layer. */
  readonly headers: Headers | undefined;
}

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

export type Handled =
  /** Nothing is to be answered: HTTP 202. */
  | { readonly kind: 'accepted' }
  | { readonly kind: 'answer'; readonly bytes: Buffer; readonly sessionId?: string }
  /** `id`: JSON of the request's id, or `null`. */
  | { readonly kind: 'refused'; readonly error: GatewayError; readonly id: string }
  /** The sink gets the answer. */
  | { readonly kind: 'exchange'; readonly exchange: Exchange };

const CLOSE = Buffer.from('}');

/** `result`: JSON. */
export function answer(message: Message, result: Buffer | string, sessionId?: string): Handled {
  const head = `{"jsonrpc":"2.0","id":${message.id ?? 'null'},"result":`;
  const bytes =
    typeof result === 'string'
      ? Buffer.from(`${head}${result}}`)
      : Buffer.concat([Buffer.from(head), result, CLOSE]);
  return sessionId === undefined ? { kind: 'answer', bytes } : { kind: 'answer', bytes, sessionId };
}

export function refused(message: Message, error: GatewayError): Handled {
  return { kind: 'refused', error, id: message.kind === 'response' ? 'null' : (message.id ?? 'null') };
}

export type Done = (result: 'success' | 'error') => void;

/** Counts one request and its time. */
export function counter(method: MethodStats): Done {
  const started = performance.now();
  return (result) => {
    method[result]++;
    method.duration.observe((performance.now() - started) / 1000);
  };
}
