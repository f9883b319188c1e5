/**
 * What the gateway sends to a server beside requests: answers to its requests, refusals, notifications. A limited number is in flight at
 * once, the rest waits; a server that causes more of them than it accepts is not read until it has accepted them.
 */
import type { Logger } from '../../observe/log.js';
import type { HttpSession } from './http.js';
import { postMessage, type Unaccepted } from './post-message.js';
import type { Wheel } from '../../lib/wheel.js';
import { within } from '../../lib/within.js';

/** The most that are in flight at once. */
const MAX_IN_FLIGHT = 16;
/** While more than this waits, the server is not read; in bytes. */
const WAITING_BYTES = 1_048_576;
/** How long the server has to accept one, in ms. */
const REPLY_MS = 10_000;
/** How long a message is waited for that the server should accept before anything else is sent, in ms. */
const ACCEPT_MS = 2000;

/** Called once a message was accepted, or was given up. */
type Ended = (failure?: Unaccepted) => void;

export interface RepliesDeps {
  readonly server: string;
  readonly wheel: Wheel;
  readonly log: Logger;
  /** Sends one, and calls `done` when that has ended. Returns a function that aborts it. */
  readonly send: (body: Buffer, done: Ended) => () => void;
  /** `on`: too much waits, stop reading what causes more of it; else there is room again. */
  readonly full: (on: boolean) => void;
}

export class Replies {
  readonly #deps: RepliesDeps;
  readonly #inFlight = new Set<() => void>();
  readonly #waiting: { readonly body: Buffer; readonly ended: Ended }[] = [];
  #bytes = 0;
  #full = false;
  #closed = false;

  constructor(deps: RepliesDeps) {
    this.#deps = deps;
  }

  /** Replies that are sent by POST. `headers`: the headers of each. */
  static overHttp(http: HttpSession, headers: () => string[]): Replies {
    const { owner, brake } = http;
    const { server, wheel, log } = owner;
    const replies = new Replies({
      server,
      wheel,
      log,
      send: (body, done) => {
        owner.observer.sent(body.length);
        const place = () => ({ origin: http.origin, path: http.path, headers: headers() });
        return postMessage(http, place, body, done);
      },
      full: (on) => {
        if (on) return brake.set(true);
        // Not from within the callback of another exchange: undici reads one socket at a time.
        const resume = (): void => {
          brake.set(replies.full);
        };
        setImmediate(owner.boundary.guard('server_stream', resume));
      },
    });
    return replies;
  }

  /** Too much waits. */
  get full(): boolean {
    return this.#full;
  }

  post(body: Buffer, ended: Ended = () => undefined): void {
    if (this.#closed) return ended();
    if (this.#inFlight.size < MAX_IN_FLIGHT) return this.#send(body, ended);
    this.#waiting.push({ body, ended });
    this.#bytes += body.length;
    this.#regulate();
  }

  /** Resolves once the server has accepted it, or after a limited time. `ended` is called when it has ended: with the reason if it was lost. */
  accepted(body: Buffer, ended: (loss?: string) => void): Promise<void> {
    const end = new Promise<void>((resolve) => {
      this.post(body, (failure) => {
        ended(failure?.isLost ? failure.reason : undefined);
        resolve();
      });
    });
    return within(end, ACCEPT_MS);
  }

  /** Nothing more is sent. */
  destroy(): void {
    this.#closed = true;
    for (const { ended } of this.#waiting.splice(0)) ended();
    this.#bytes = 0;
    for (const giveUp of [...this.#inFlight]) giveUp();
  }

  #send(body: Buffer, ended: Ended): void {
    const { server, wheel, log, send } = this.#deps;
    let abort = (): void => undefined;
    let isOver = false;
    const done: Ended = (failure) => {
      if (isOver) return;
      isOver = true;
      timer.cancel();
      this.#inFlight.delete(giveUp);
      if (failure && !this.#closed)
        log.debug('the upstream did not accept a message', { server, error: failure.reason });
      ended(failure);
      this.#next();
    };
    const giveUp = (): void => {
      // It may have been received: the server may be slow.
      done({ reason: `no answer in ${REPLY_MS} ms`, isLost: false });
      abort();
    };
    this.#inFlight.add(giveUp);
    const timer = wheel.after(REPLY_MS, giveUp);
    abort = send(body, done);
  }

  #next(): void {
    while (!this.#closed && this.#inFlight.size < MAX_IN_FLIGHT) {
      const next = this.#waiting.shift();
      if (!next) break;
      this.#bytes -= next.body.length;
      this.#send(next.body, next.ended);
    }
    this.#regulate();
  }

  #regulate(): void {
    const full = this.#bytes > (this.#full ? WAITING_BYTES / 2 : WAITING_BYTES);
    if (full === this.#full || this.#closed) return;
    this.#full = full;
    const { server, log } = this.#deps;
    if (full) log.debug('the upstream causes more replies than it accepts: reading is paused', { server });
    this.#deps.full(full);
  }
}
