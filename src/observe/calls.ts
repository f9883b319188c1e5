/** The stream of requests from clients. Metrics, the log and the audit log subscribe to it. */
import type { GatewayError } from '../errors.js';
import type { Caller, Cause, NameKind, Outgoing, Principal, Target } from '../protocol/ports.js';
import type { TraceParent } from '../protocol/traceparent.js';
import type { AuthFailureReason, Decision, Outcome, ToolErrorReason } from './stats.js';

export type { Decision } from './stats.js';

/** A client's request. */
export interface ObservedCall {
  /** A method that the gateway knows, or `unknown`, `invalid`, `listen`, `terminate`. */
  readonly method: string;
  /** JSON of its id; undefined: it has none. */
  readonly id: string | undefined;
  readonly principal: Principal | undefined;
  /** `/mcp`, `/servers/<name>/mcp`; undefined: the request was refused before it had one. */
  readonly route: string | undefined;
  readonly sessionId: string | undefined;
  /** The tool, prompt or resource that it names; undefined: none, or unknown. */
  readonly target: Target | undefined;
  /** Whether it was sent to its server. */
  readonly sent: boolean;
  /** Who sent it; undefined: it was refused before that was known. */
  readonly from?: Caller | undefined;
  /** undefined: no observer has `detailed`, or it is not a request. */
  readonly details?: CallDetails | undefined;
  /** Cancels it, if it is under way. A request that began before an observer had `detailed` may not be found. */
  cancel?(why: Cause): void;
}

export interface EndedCall extends ObservedCall {
  /** `success` also where a tool reports a failure of its own. */
  readonly result: Outcome;
  /** Why it failed; undefined: it succeeded, or was refused. */
  readonly reason: ToolErrorReason | undefined;
  /** For people: `ok`, `cancelled by the client`. */
  readonly outcome: string;
  /** Time since it was sent, or since it arrived if it was not sent. */
  readonly ms: number;
  /** The error that it was refused with, before it was sent. */
  readonly refusal?: GatewayError | undefined;
}

/** What is collected about a request only if an observer asks for it. */
export interface CallDetails {
  /** What the policy decided; undefined: the error says it, or the call was allowed. */
  readonly decision: Decision | undefined;
  /** The rule that decided; undefined: the error says it, or no rule did. */
  readonly rule: string | undefined;
  /** The record of the yes that the call waited for; undefined: it needed none. */
  readonly approval?: string | undefined;
  /** The error that the gateway answered with. */
  readonly error: GatewayError | undefined;
  /** The code of the error that the server answered with. */
  readonly rpcCode: number | undefined;
  /** What the request names, as the client wrote it. */
  readonly named: { readonly kind: NameKind; readonly name: string } | undefined;
  /** The client's address; undefined: it is not on a network. */
  readonly address: string | undefined;
  readonly revision: string | undefined;
  readonly bytesIn: number;
  /** Of the answer, and of the messages before it. */
  readonly bytesOut: number;
  /** 32 hexadecimal digits; undefined: the request belongs to no trace. A tracer sets it. */
  traceId: string | undefined;
  /** W3C Trace Context that came with the request, if it is valid: in `_meta`, and in its header. */
  readonly parents: readonly [meta: TraceParent | undefined, header: TraceParent | undefined];
  /** When the request arrived, by performance.now(). */
  readonly arrived: number;
  /** When the answer began, by performance.now(); undefined: there was none, or the gateway made it at once. */
  readonly began: number | undefined;
  /** What an observer that is removed at times keeps about the request. */
  watched?: object | undefined;
  /** Gets each chunk of the answer. It must not change it. */
  tap?: ((chunk: Buffer) => void) | undefined;
  /** JSON of `params.arguments` as received. */
  argumentBytes(): Buffer | undefined;
}

/** A refused credential. */
export interface RefusedCredential {
  readonly reason: AuthFailureReason;
  readonly address: string | undefined;
  /** The path that was asked for. */
  readonly route: string;
}

/** Gets told about calls. It must not throw, and must not keep the objects it gets after their end. */
export interface CallObserver {
  /** It needs `details`, which cost every call a little. */
  readonly detailed?: true;
  /** The request is sent to its server. */
  opened?(call: ObservedCall): void;
  /** The server sends a request to the client: `method` is `elicitation/create`, `sampling/createMessage` or `roots/list`. */
  asked?(call: ObservedCall, method: string): void;
  /** The request has ended, or was answered or refused without a server. Called once per request. */
  over?(call: EndedCall): void;
  /** A credential was refused, or there was none. */
  refused?(refused: RefusedCredential): void;
}

/** Decides which calls are traced. */
export interface Tracer extends CallObserver {
  /** The call is being sent. undefined: it is not traced. */
  begin(call: ObservedCall): Outgoing['trace'];
}

/** The observers of a gateway. */
export class Calls {
  // Replaced, not changed: an observer may be added or removed while they are told.
  #opened: readonly CallObserver[] = [];
  #asked: readonly CallObserver[] = [];
  #over: readonly CallObserver[] = [];
  #refused: readonly CallObserver[] = [];
  /** Whether requests that arrive now collect `details`. */
  detailed = false;
  readonly #observers = new Set<CallObserver>();
  #tracer: Tracer | undefined;

  add(observer: CallObserver): void {
    this.#observers.add(observer);
    this.#arrange();
  }

  /** Ends what `add` began. */
  remove(observer: CallObserver): void {
    this.#observers.delete(observer);
    this.#arrange();
  }

  #arrange(): void {
    const all = [...this.#observers];
    this.#opened = all.filter((each) => 'opened' in each);
    this.#asked = all.filter((each) => 'asked' in each);
    this.#over = all.filter((each) => 'over' in each);
    this.#refused = all.filter((each) => 'refused' in each);
    this.detailed = all.some((each) => each.detailed);
  }

  /** Adds a tracer before other observers, which see the trace then. */
  trace(tracer: Tracer): void {
    this.#tracer = tracer;
    this.add(tracer);
  }

  /** Returns the trace of the call, if it has one. */
  opened(call: ObservedCall): Outgoing['trace'] {
    for (const observer of this.#opened) observer.opened?.(call);
    return this.#tracer?.begin(call);
  }

  asked(call: ObservedCall, method: string): void {
    for (const observer of this.#asked) observer.asked?.(call, method);
  }

  over(call: EndedCall): void {
    for (const observer of this.#over) observer.over?.(call);
  }

  refused(refused: RefusedCredential): void {
    for (const observer of this.#refused) observer.refused?.(refused);
  }

  /** Reports a request that ended before its message was read. */
  without(method: 'invalid' | 'unknown' | 'listen' | 'terminate', result: Outcome, ms = 0): void {
    this.over({
      method,
      id: undefined,
      principal: undefined,
      route: undefined,
      sessionId: undefined,
      target: undefined,
      sent: false,
      result,
      reason: undefined,
      outcome: '',
      ms,
    });
  }
}

/** How a request ended, in one word. */
export function outcomeOf({
  result,
  reason,
}: Pick<EndedCall, 'result' | 'reason'>): 'ok' | 'tool_error' | 'error' | 'cancelled' {
  if (reason === 'cancelled') return 'cancelled';
  if (result === 'error') return 'error';
  return reason === undefined ? 'ok' : 'tool_error';
}

/** The gateway's own code, the JSON-RPC code of the server's error, `tool_error`, or why the call ended; undefined: it succeeded. */
export function errorType(call: EndedCall, details: CallDetails | undefined): string | undefined {
  const error = details?.error ?? call.refusal;
  if (error) return error.code;
  if (details?.rpcCode !== undefined) return String(details.rpcCode);
  const outcome = outcomeOf(call);
  return outcome === 'ok' ? undefined : outcome === 'tool_error' ? outcome : (call.reason ?? 'internal');
}
