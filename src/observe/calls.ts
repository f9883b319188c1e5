/** The stream of requests from clients. Metrics and the log subscribe to it. */
import type { Principal, Target } from '../protocol/ports.js';
import type { Decision, Outcome, ToolErrorReason } from './stats.js';

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
  readonly decision: Decision;
  /** The rule that decided; undefined: there is no policy, or it was not asked. */
  readonly rule: string | undefined;
  /** Whether it was sent to its server. */
  readonly sent: boolean;
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
}

/** Gets told about calls. It must not throw, and must not keep the objects it gets. */
export interface CallObserver {
  /** The request is sent to its server. */
  opened?(call: ObservedCall): void;
  /** The server sends a request to the client: `method` is `elicitation/create`, `sampling/createMessage` or `roots/list`. */
  asked?(call: ObservedCall, method: string): void;
  /** The request has ended, or was answered or refused without a server. Called once per request. */
  over?(call: EndedCall): void;
}

/** The observers of a gateway. */
export class Calls {
  readonly #opened: CallObserver[] = [];
  readonly #asked: CallObserver[] = [];
  readonly #over: CallObserver[] = [];

  add(observer: CallObserver): void {
    if (observer.opened) this.#opened.push(observer);
    if (observer.asked) this.#asked.push(observer);
    if (observer.over) this.#over.push(observer);
  }

  opened(call: ObservedCall): void {
    for (const observer of this.#opened) observer.opened?.(call);
  }

  asked(call: ObservedCall, method: string): void {
    for (const observer of this.#asked) observer.asked?.(call, method);
  }

  over(call: EndedCall): void {
    for (const observer of this.#over) observer.over?.(call);
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
      decision: 'allow',
      rule: undefined,
      sent: false,
      result,
      reason: undefined,
      outcome: '',
      ms,
    });
  }
}
