/**
 * What the gateway sends to a server beside requests: answers to its questions and pings, refusals, notifications. So many are under way at
 * once, the rest waits; a server that makes more of them than it takes is not read from until it has.
 */
import type { Logger } from '../../observe/log.js';
import type { Wheel } from '../../lib/wheel.js';

/** Under way at once. */
const UNDER_WAY = 16;
/** With more than this waiting the server is not read from. */
const WAITING_BYTES = 1_048_576;
/** One that the server has not taken by then is given up. */
const REPLY_MS = 10_000;

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
  readonly #waiting: Buffer[] = [];
  #bytes = 0;
  #full = false;
  #closed = false;

  constructor(deps: RepliesDeps) {
    this.#deps = deps;
  }

  /** What makes more of them is to pause. */
  get full(): boolean {
    return this.#full;
  }

  post(body: Buffer): void {
    if (this.#closed) return;
    if (this.#underWay.size < UNDER_WAY) return this.#send(body);
    this.#waiting.push(body);
    this.#bytes += body.length;
    this.#regulate();
  }

  /** Nothing more is sent. */
  destroy(): void {
    this.#closed = true;
    this.#waiting.length = 0;
    this.#bytes = 0;
    for (const giveUp of [...this.#underWay]) giveUp();
  }

  #send(body: Buffer): void {
    const { server, wheel, log, send } = this.#deps;
    let abort = (): void => undefined;
    let over = false;
    const done = (error?: string): void => {
      if (over) return;
      over = true;
      timer.cancel();
      this.#underWay.delete(giveUp);
      if (error !== undefined && !this.#closed)
        log.debug('a message did not reach the upstream', { server, error });
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
      const body = this.#waiting.shift();
      if (!body) break;
      this.#bytes -= body.length;
      this.#send(body);
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
