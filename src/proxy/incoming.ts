/** One message from its arrival to its end: its origin, its caller and its outcome. */
import type { GatewayError } from '../errors.js';
import type { Calls, Decision, EndedCall } from '../observe/calls.js';
import type { SlotSet, Slotted } from '../lib/slot-set.js';
import type { Outcome, ToolErrorReason } from '../observe/stats.js';
import { idKey, type Message } from '../protocol/message.js';
import { methodOf } from '../protocol/methods.js';
import type { HoldEntry } from '../protocol/approvals.js';
import type { Caller, Cause, Exchange, Holds, Outgoing, Principal, Sink, Target } from '../protocol/ports.js';
import type { FromPeer } from '../protocol/elsewhere.js';
import type { Era } from '../protocol/revisions.js';
import { resultMessage } from '../protocol/sinks.js';
import type { Session } from '../session/store.js';
import type { Route } from './route.js';
import { Details } from './details.js';

/** What the transport knows about a message. */
export interface Origin {
  readonly principal: Principal;
  readonly route: Route;
  readonly sessionId: string | undefined;
  /** The MCP-Protocol-Version header. */
  readonly version: string | undefined;
  /** The peer's socket, on a network. */
  readonly remote?: { readonly remoteAddress?: string | undefined } | undefined;
  /** The era of this message: see protocol/classify.ts. */
  readonly era: Era;
  /** HTTP headers in lower case; undefined: the transport has none. */
  readonly headers: Headers | undefined;
  /** Another replica of the fleet sent it, and has authenticated its client; absent: the client itself did. */
  readonly peer?: FromPeer | undefined;
  /** See Preferred.client. */
  readonly client?: string | undefined;
}

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

export type Handled =
  | Settled
  /** A session is being opened in a remote store; its client is answered then. Never rejects. */
  | { readonly kind: 'opening'; readonly opened: Promise<Settled> };

export type Settled =
  /** No answer: HTTP 202. */
  | { readonly kind: 'accepted' }
  /** `session`: the one that it opened. */
  | { readonly kind: 'answer'; readonly bytes: Buffer; readonly session?: Session }
  /** `id`: JSON of the request's id, or `null`. */
  | { readonly kind: 'refused'; readonly error: GatewayError; readonly id: string }
  /** The answer goes to the sink. */
  | { readonly kind: 'exchange'; readonly exchange: Exchange };

export interface IncomingDeps {
  readonly calls: Calls;
  /** Requests under way without a session; undefined: nobody ends them. */
  readonly sessionless?: SlotSet<Incoming> | undefined;
}

export class Incoming implements EndedCall, Slotted {
  slot = -1;
  /** What it is under way as, if it has no session. */
  exchange: Exchange | undefined;
  readonly origin: Origin;
  /** As it is sent to the server: see `rewrite` and `become`. */
  message: Message;
  /** Gets the answer, if the request becomes an exchange. */
  readonly sink: Sink;
  /** undefined: nobody asks for them. */
  readonly details: Details | undefined;
  session: Session | undefined;
  /** It is a call that `call_tool` asked for: the client does not know the definition. `reads`: only a read-only tool may be called. */
  found: { readonly reads: boolean } | undefined;
  /** The id by which its client knows the task that it is about, where that is another one than the view's. */
  shownTask: string | undefined;
  /** What a rule that may hold it says about this message. */
  held:
    | {
        readonly holds: Holds;
        readonly message: Message;
        readonly principal: Principal;
        readonly entries: readonly HoldEntry[] | undefined;
      }
    | undefined;
  /** Set once the target is known. */
  target: Target | undefined;
  /** Whether it was sent to its server. */
  sent = false;
  result: Outcome = 'error';
  reason: ToolErrorReason | undefined;
  outcome = '';
  ms = 0;
  refusal: GatewayError | undefined;
  readonly #calls: Calls;
  #caller: Caller | undefined;
  #started = performance.now();
  #over = false;
  #release: (() => void) | undefined;

  readonly #sessionless: SlotSet<Incoming> | undefined;

  constructor({ calls, sessionless }: IncomingDeps, origin: Origin, message: Message, sink: Sink) {
    this.#calls = calls;
    this.#sessionless = sessionless;
    this.origin = origin;
    this.message = message;
    this.details =
      calls.detailed && message.kind === 'request'
        ? new Details(origin, message, sink, this.#started)
        : undefined;
    this.sink = this.details ?? sink;
  }

  /** Sets the sender. `session`: that of a legacy client, if it has one. */
  admit(caller: Caller, session: Session | undefined): void {
    this.#caller = caller;
    this.session = session;
    if (this.details) this.details.revision = caller.revision;
  }

  /** Becomes another request with the same id. */
  become(message: Message, found: { readonly reads: boolean }): void {
    this.rewrite(message);
    this.found = found;
  }

  /** The same request, whose answer goes elsewhere: its client has got another one. */
  detached(sink: Sink): Incoming {
    const made = new Incoming({ calls: this.#calls }, this.origin, this.message, sink);
    made.admit(this.caller, undefined);
    return made;
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

  get from(): Caller | undefined {
    return this.#caller;
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

  /** Where it is noted while it is under way; undefined: it has a session, or no credential that can be withdrawn. */
  get sessionless(): SlotSet<Incoming> | undefined {
    return this.session || this.principal.credential === '' ? undefined : this.#sessionless;
  }

  /** Whether it came to the merged endpoint. */
  get merged(): boolean {
    return this.origin.route.server === undefined;
  }

  /** Identifies the request in its session; undefined: no session. */
  get key(): string | undefined {
    return this.session && idKey(this.message.id as string);
  }

  cancel(why: Cause): void {
    const { key, session } = this;
    const noted = key === undefined ? undefined : session?.inFlight?.get(key);
    (noted ?? this.exchange)?.cancel(why);
  }

  /** Records for the observers what a policy decided. `rule`: the one that decided. */
  decided(decision: Decision, rule: string | undefined): void {
    if (!this.details) return;
    this.details.decision = decision;
    this.details.rule = rule;
  }

  /** Replaces the message, before anything reads its arguments. */
  rewrite(message: Message): void {
    this.message = message;
    this.details?.rewritten(message);
  }

  /** Calls `release` when the request is over: at once if it is. */
  holds(release: () => void): void {
    if (this.#over) release();
    else this.#release = release;
  }

  /** Records that the request is being sent. Its duration is measured from now on. Returns its trace, if it has one. */
  markSent(target: Target): Outgoing['trace'] {
    this.target = target;
    this.sent = true;
    this.#started = performance.now();
    return this.#calls.opened(this);
  }

  /** Reports that the server sent a request to the client. */
  asked(method: string): void {
    this.#calls.asked(this, method);
  }

  /** Reports the end of a request that was answered immediately. */
  settled(handled: Settled): void {
    if (handled.kind === 'refused') {
      this.refusal = handled.error;
      this.details?.refused(handled.error);
    } else if (handled.kind === 'answer') {
      this.session ??= handled.session;
      this.details?.answered(handled.bytes.length);
    }
    this.over(handled.kind === 'refused' ? 'error' : 'success');
  }

  /** Reports the end to the observers; only the first call counts. */
  over(result: Outcome, reason = this.reason, outcome = ''): void {
    if (this.#over) return;
    this.#over = true;
    this.#release?.();
    this.result = result;
    this.reason = reason;
    this.outcome = outcome;
    this.ms = performance.now() - this.#started;
    this.#calls.over(this);
  }
}

/** `result`: JSON, as a string or in parts. */
export function answer(message: Message, result: string | readonly Buffer[], session?: Session): Settled {
  const { bytes } = resultMessage(message.id ?? 'null', result);
  return session ? { kind: 'answer', bytes, session } : { kind: 'answer', bytes };
}

export function refused(message: Message, error: GatewayError): Settled {
  return { kind: 'refused', error, id: message.kind === 'response' ? 'null' : (message.id ?? 'null') };
}
