/** A message on its way through the gateway: where it comes from, who sent it, and what becomes of it. */
import type { GatewayError } from '../errors.js';
import type { Calls, EndedCall } from '../observe/calls.js';
import type { Outcome, ToolErrorReason } from '../observe/stats.js';
import { idKey, type Message } from '../protocol/message.js';
import { methodOf } from '../protocol/methods.js';
import type { Caller, Exchange, Principal, Sink, Target } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import type { Session } from '../session/store.js';

/** A route class with sessions of its own: the merged endpoint, or one server. */
export interface Route {
  /** `/mcp`, `/servers/<name>/mcp`: identifies the route in sessions. */
  readonly key: string;
  /** undefined: the merged endpoint. */
  readonly server: string | undefined;
}

/** Where a message comes from: what the transport knows. */
export interface Origin {
  readonly principal: Principal;
  readonly route: Route;
  readonly sessionId: string | undefined;
  /** The MCP-Protocol-Version header. */
  readonly version: string | undefined;
  /** The peer, on a network. */
  readonly remote?: { readonly remoteAddress?: string | undefined } | undefined;
  /** Of this message: see protocol/classify.ts. */
  readonly era: Era;
  /** The headers of its request, in lower case; undefined: there is no header layer. */
  readonly headers: Headers | undefined;
}

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

export type Handled =
  | Settled
  /** A session is being opened in a remote store; its client is answered then. Never rejects. */
  | { readonly kind: 'opening'; readonly opened: Promise<Settled> };

export type Settled =
  /** Nothing is answered: HTTP 202. */
  | { readonly kind: 'accepted' }
  /** `session`: the one that it opened. */
  | { readonly kind: 'answer'; readonly bytes: Buffer; readonly session?: Session }
  /** `id`: JSON of the request's id, or `null`. */
  | { readonly kind: 'refused'; readonly error: GatewayError; readonly id: string }
  /** The sink gets the answer. */
  | { readonly kind: 'exchange'; readonly exchange: Exchange };

/** One message while the gateway handles it. */
export class Incoming implements EndedCall {
  readonly origin: Origin;
  readonly message: Message;
  /** Gets the answer of a request that becomes an exchange. */
  readonly sink: Sink;
  session: Session | undefined;
  /** Set once it is known where the request goes. */
  target: Target | undefined;
  /** It was sent to its server. */
  sent = false;
  result: Outcome = 'error';
  reason: ToolErrorReason | undefined;
  outcome = '';
  ms = 0;
  readonly #calls: Calls;
  #caller: Caller | undefined;
  #started = performance.now();
  #over = false;

  constructor(calls: Calls, origin: Origin, message: Message, sink: Sink) {
    this.#calls = calls;
    this.origin = origin;
    this.message = message;
    this.sink = sink;
  }

  /** The sender is known: `session` in the legacy era, if it has one. */
  admit(caller: Caller, session: Session | undefined): void {
    this.#caller = caller;
    this.session = session;
  }

  get caller(): Caller {
    if (!this.#caller) throw new Error('a message is used before it is admitted');
    return this.#caller;
  }

  /** The label of its metrics, from a closed set. */
  get method(): string {
    const { kind, method } = this.message;
    if (kind === 'response') return 'invalid';
    return methodOf(method) ? method : 'unknown';
  }

  get principal(): Principal {
    return this.origin.principal;
  }

  get route(): string {
    return this.origin.route.key;
  }

  get id(): string | undefined {
    return this.message.id;
  }

  get sessionId(): string | undefined {
    return this.session?.id;
  }

  /** Of the merged endpoint. */
  get merged(): boolean {
    return this.origin.route.server === undefined;
  }

  /** What identifies the request in its session; undefined: it has none. */
  get key(): string | undefined {
    return this.session && idKey(this.message.id as string);
  }

  /** The request goes to its server now; time is measured from here. */
  send(target: Target): void {
    this.target = target;
    this.sent = true;
    this.#started = performance.now();
    this.#calls.opened(this);
  }

  /** Its server asks its client. */
  asked(method: string): void {
    this.#calls.asked(this, method);
  }

  /** Tells the observers how it ended; the first call counts. */
  over(result: Outcome, reason = this.reason, outcome = ''): void {
    if (this.#over) return;
    this.#over = true;
    this.result = result;
    this.reason = reason;
    this.outcome = outcome;
    this.ms = performance.now() - this.#started;
    this.#calls.over(this);
  }
}

const CLOSE = Buffer.from('}');

/** `result`: JSON, as a string or in parts. */
export function answer(message: Message, result: string | readonly Buffer[], session?: Session): Settled {
  const head = `{"jsonrpc":"2.0","id":${message.id ?? 'null'},"result":`;
  const bytes =
    typeof result === 'string'
      ? Buffer.from(`${head}${result}}`)
      : Buffer.concat([Buffer.from(head), ...result, CLOSE]);
  return session ? { kind: 'answer', bytes, session } : { kind: 'answer', bytes };
}

export function refused(message: Message, error: GatewayError): Settled {
  return { kind: 'refused', error, id: message.kind === 'response' ? 'null' : (message.id ?? 'null') };
}

/** Says a whole answer to a request that was waited for. */
export function deliver(message: Message, result: string | readonly Buffer[], sink: Sink): void {
  const { bytes } = answer(message, result) as { bytes: Buffer };
  const length =
    typeof result === 'string'
      ? Buffer.byteLength(result)
      : result.reduce((sum, part) => sum + part.length, 0);
  sink.start({ kind: 'result', bytes: bytes.length, value: bytes.length - 1 - length, code: undefined });
  sink.write(bytes);
  sink.end({ isError: false });
}
