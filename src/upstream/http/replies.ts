/**
 * What the gateway sends to a server beside requests: answers to its questions and pings, refusals, notifications. So many are under way at
 * once, the rest waits; a server that makes more of them than it takes is not read from until it has.
 */
import type { Logger } from '../../observe/log.js';
import { Unread, type HttpSession } from './http.js';
import type { Wheel } from '../../lib/wheel.js';
import { within } from '../../lib/within.js';

/** Under way at once. */
const UNDER_WAY = 16;
/** With more than this waiting the server is not read from. */
const WAITING_BYTES = 1_048_576;
/** One that the server has not taken by then is given up. */
const REPLY_MS = 10_000;
/** What is to be taken before anything else is sent is waited for no longer. */
const TAKEN_MS = 2000;

export interface RepliesDeps {
  readonly server: string;
  readonly wheel: Wheel;
  readonly log: Logger;
  /** Sends one, and calls `done` when it is over. Returns what gives it up. */
  readonly send: (body: Buffer, done: (error?: string) => void) => () => void;
  /** Too much waits: what makes more of it is to pause; or there is room again. */
  readonly full: (on: boolean) => void;
}

export class Replies {
  readonly #deps: RepliesDeps;
  readonly #underWay = new Set<() => void>();
  readonly #waiting: { readonly body: Buffer; readonly over: () => void }[] = [];
  #bytes = 0;
  #full = false;
  #closed = false;

  constructor(deps: RepliesDeps) {
    this.#deps = deps;
  }

  /** Over POSTs of their own. `headers`: those of each. */
  static overHttp(http: HttpSession, headers: () => string[]): Replies {
    const { owner, brake } = http;
    const { server, wheel, log } = owner;
    const replies = new Replies({
      server,
      wheel,
      log,
      send: (body, done) => {
        owner.observer.sent(body.length);
        const handler = new Unread(done);
        const { origin, path, dispatcher } = http;
        dispatcher.dispatch({ method: 'POST', origin, path, headers: headers(), body }, handler);
        return () => {
          handler.abort();
        };
      },
      full: (on) => {
        if (on) return brake.set(true);
        // Not from within the end of another exchange: undici reads one socket at a time.
        const resume = (): void => {
          brake.set(replies.full);
        };
        setImmediate(owner.boundary.guard('server_stream', resume));
      },
    });
    return replies;
  }

  /** What makes more of them is to pause. */
  get full(): boolean {
    return this.#full;
  }

  /** `over`: called once the server has taken it, or did not. */
  post(body: Buffer, over: () => void = () => undefined): void {
    if (this.#closed) return over();
    if (this.#underWay.size < UNDER_WAY) return this.#send(body, over);
    this.#waiting.push({ body, over });
    this.#bytes += body.length;
    this.#regulate();
  }

  /** Resolves once the server has taken it, or has had its time. */
  taken(body: Buffer): Promise<void> {
    return within(new Promise<void>((resolve) => this.post(body, resolve)), TAKEN_MS);
  }

  /** Nothing more is sent. */
  destroy(): void {
    this.#closed = true;
    for (const { over } of this.#waiting.splice(0)) over();
    this.#bytes = 0;
    for (const giveUp of [...this.#underWay]) giveUp();
  }

  #send(body: Buffer, over: () => void): void {
    const { server, wheel, log, send } = this.#deps;
    let abort = (): void => undefined;
    let isOver = false;
    const done = (error?: string): void => {
      if (isOver) return;
      isOver = true;
      timer.cancel();
      this.#underWay.delete(giveUp);
      if (error !== undefined && !this.#closed)
        log.debug('a message did not reach the upstream', { server, error });
      over();
      this.#next();
    };
    const giveUp = (): void => {
      done(`not taken in ${REPLY_MS} ms`);
      abort();
    };
    this.#underWay.add(giveUp);
    const timer = wheel.after(REPLY_MS, giveUp);
    abort = send(body, done);
  }

  #next(): void {
    while (!this.#closed && this.#underWay.size < UNDER_WAY) {
      const next = this.#waiting.shift();
      if (!next) break;
      this.#bytes -= next.body.length;
      this.#send(next.body, next.over);
    }
    this.#regulate();
  }

  #regulate(): void {
    const full = this.#bytes > (this.#full ? WAITING_BYTES / 2 : WAITING_BYTES);
    if (full === this.#full || this.#closed) return;
    this.#full = full;
    const { server, log } = this.#deps;
    if (full) log.debug('the upstream makes more replies than it takes: it is not read from', { server });
    this.#deps.full(full);
  }
}
