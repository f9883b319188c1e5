/** What happens to requests of clients, for all who observe it: metrics and the log subscribe here. */
import type { Principal, Target } from '../protocol/ports.js';
import type { Outcome, ToolErrorReason } from './stats.js';

/** A request of a client. */
export interface ObservedCall {
  /** A method that the gateway knows, or `unknown`, `invalid`, `listen`, `terminate`. */
  readonly method: string;
  /** JSON of its id; undefined: it has none. */
  readonly id: string | undefined;
  readonly principal: Principal | undefined;
  /** `/mcp`, `/servers/<name>/mcp`; undefined: the request was refused before it had one. */
  readonly route: string | undefined;
  readonly sessionId: string | undefined;
  /** Where it goes; undefined: to no server, or not known. */
  readonly target: Target | undefined;
  /** It was sent to its server. */
  readonly sent: boolean;
}

export interface EndedCall extends ObservedCall {
  /** `success` also where a tool reports a failure of its own. */
  readonly result: Outcome;
  /** Why it failed; undefined: it did not, or it was refused. */
  readonly reason: ToolErrorReason | undefined;
  /** For people: `ok`, `cancelled by the client`. */
  readonly outcome: string;
  /** From the moment it was sent, or else came, to its end. */
  readonly ms: number;
}

/** Hears of calls. It must not throw, and must not keep what it gets. */
export interface CallObserver {
  /** It is sent to its server. */
  opened?(call: ObservedCall): void;
  /** Its server asks its client: `method` is `elicitation/create`, `sampling/createMessage` or `roots/list`. */
  asked?(call: ObservedCall, method: string): void;
  /** It has ended, or was answered or refused without a server. Once for each request. */
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

  /** A request that ended before it was a message. */
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
