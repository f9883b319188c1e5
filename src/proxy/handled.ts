/** Where a message comes from, and what becomes of it: the words that the gate and its methods share. */
import type { GatewayError } from '../errors.js';
import type { MethodStats } from '../observe/stats.js';
import type { Message } from '../protocol/message.js';
import type { Exchange, Principal, View } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import type { Session } from '../session/store.js';

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
  /** Where it comes from, on a network. */
  readonly remote?: { readonly remoteAddress?: string | undefined } | undefined;
  /** Of this message: see protocol/classify.ts. */
  readonly era: Era;
  /** The headers of its request, in lower case; undefined: there is no header layer. */
  readonly headers: Headers | undefined;
}

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

export type Handled =
  | Settled
  /** A session is being opened elsewhere: its client is answered then. Never rejects. */
  | { readonly kind: 'opening'; readonly opened: Promise<Settled> };

export type Settled =
  /** Nothing is to be answered: HTTP 202. */
  | { readonly kind: 'accepted' }
  /** `session`: the one that it opened. */
  | { readonly kind: 'answer'; readonly bytes: Buffer; readonly session?: Session }
  /** `id`: JSON of the request's id, or `null`. */
  | { readonly kind: 'refused'; readonly error: GatewayError; readonly id: string }
  /** The sink gets the answer. */
  | { readonly kind: 'exchange'; readonly exchange: Exchange };

const CLOSE = Buffer.from('}');

/** `result`: JSON. */
export function answer(message: Message, result: Buffer | string, session?: Session): Settled {
  const head = `{"jsonrpc":"2.0","id":${message.id ?? 'null'},"result":`;
  const bytes =
    typeof result === 'string'
      ? Buffer.from(`${head}${result}}`)
      : Buffer.concat([Buffer.from(head), result, CLOSE]);
  return session ? { kind: 'answer', bytes, session } : { kind: 'answer', bytes };
}

export function refused(message: Message, error: GatewayError): Settled {
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
