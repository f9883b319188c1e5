/** The server-to-client stream of a session (2025-11-25, basic/transports, "Listening for Messages from the Server"). */
import { backoffMs } from '../../lib/backoff.js';
import { mayPass } from '../../lib/may-pass.js';
import { SseError } from '../../wire/sse-read.js';
import { explain, type Controller, type UpstreamHandler } from './dispatcher.js';
import type { Braked } from './brake.js';
import { askAgain } from './credential-refusal.js';
import { EventReader } from '../calls/event-reader.js';
import { header, usable, type Headers, type HttpSession } from './http.js';

const BACKOFF_BASE_MS = 1000;
const BACKOFF_MAX_MS = 30_000;

/** Opened after the handshake by GET, and again when it ends; given up if the server has no such stream. */
export class ServerStream implements UpstreamHandler, Braked {
  readonly #http: HttpSession;
  readonly #generation: number;
  /** The origin of the request. */
  #origin = '';
  #controller: Controller | undefined;
  #reader: EventReader | undefined;
  /** The id of the last event: a server that keeps events resumes after it. */
  #lastId: string | undefined;
  #failures = 0;
  /** How often its credential was refused since it was open last. */
  #refusals = 0;
  /** `stamp` of the credential that the request was sent with. */
  #stamp = 0;
  /** Another credential is being obtained: then it is opened again. */
  #asking = false;
  #opens = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #braked = false;

  constructor(http: HttpSession) {
    this.#http = http;
    this.#generation = http.generation;
  }

  open(): void {
    if (this.#closed || this.#generation !== this.#http.generation) return;
    const { origin, path, dispatcher } = this.#http;
    this.#origin = origin;
    this.#controller = undefined;
    const headers = this.#http.streamHeaders();
    this.#stamp = this.#http.credential?.stamp ?? 0;
    this.#braked = false;
    if (this.#lastId !== undefined) headers.push('last-event-id', this.#lastId);
    dispatcher.dispatch({ method: 'GET', origin, path, headers, body: null, long: true }, this);
  }

  destroy(): void {
    this.#closed = true;
    this.#http.brake.release(this);
    clearTimeout(this.#timer);
    this.#reader?.destroy();
    const controller = this.#controller;
    const abort = (): void => {
      // A paused stream would not notice the abort.
      controller?.resume();
      controller?.abort(new Error('closed by the gateway'));
    };
    // Not from within the callback of another exchange: undici reads one socket at a time.
    if (this.#braked) setImmediate(this.#http.owner.boundary.guard('server_stream', abort));
    else abort();
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#closed) controller.abort(new Error('closed by the gateway'));
  }

  onResponseStart(_controller: Controller, status: number, headers: Headers): void {
    if (status < 200) return;
    const set = headers['set-cookie'];
    if (set !== undefined) this.#http.cookies(set, this.#origin);
    if (status === 200 && header(headers, 'content-type').startsWith('text/event-stream')) {
      const { owner, events, config } = this.#http;
      if (this.#opens++ > 0) events.reopened();
      this.#failures = 0;
      this.#refusals = 0;
      this.#reader = EventReader.shared(
        (bytes) => {
          events.message(bytes);
        },
        owner.answerLimits,
        config.quirks.normalize_sse_events,
      );
      return;
    }
    if (this.#asksAgain(status, headers)) return;
    // The server does not have that event: the next request begins with new ones.
    if (this.#lastId !== undefined) {
      this.#lastId = undefined;
      return;
    }
    // 405: the server has no such stream (2025-11-25). Other statuses that a new request would not change end it as well.
    if (!mayPass(status)) this.#closed = true;
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.#http.owner.observer.received(chunk.length);
    const reader = this.#reader;
    if (!reader) return;
    this.#http.events.seen();
    try {
      const { brake } = this.#http;
      const before = brake.caused;
      reader.push(chunk);
      brake.read(this, chunk.length, before);
    } catch (error) {
      const { owner } = this.#http;
      if (!(error instanceof SseError)) owner.boundary.caught('server_stream', error);
      owner.log.debug('the server-to-client stream is unreadable', { error: String(error) });
      this.#controller?.abort(new Error('unreadable event stream'));
    }
  }

  brake(on: boolean): void {
    if (on === this.#braked) return;
    this.#braked = on;
    if (on) this.#controller?.pause();
    else this.#controller?.resume();
  }

  onResponseEnd(): void {
    this.#again();
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    if (!this.#closed) {
      this.#http.owner.log.debug('the server-to-client stream ended', { error: explain(error) });
      // No connection: the server may be gone.
      if (!this.#controller) this.#http.events.doubt();
    }
    this.#again();
  }

  /** Obtains another credential if the server refused the one that was shown. */
  #asksAgain(status: number, headers: Headers): boolean {
    const sent = { status, headers, stamp: this.#stamp, times: this.#refusals };
    const end = (): void => {
      this.#asking = false;
      this.#closed = true;
    };
    this.#asking = askAgain(this.#http, sent, {
      isOver: () => this.#closed || this.#http.closed,
      again: () => {
        this.#asking = false;
        this.#refusals++;
        this.open();
      },
      failed: end,
      usual: end,
    });
    return this.#asking;
  }

  #again(): void {
    const { brake, owner } = this.#http;
    brake.release(this);
    this.#lastId = usable(this.#reader?.lastId, 'event id', owner.log) ?? this.#lastId;
    this.#reader?.destroy();
    this.#reader = undefined;
    if (this.#closed || this.#http.closed || this.#asking) return;
    this.#failures++;
    const wait = Math.max(BACKOFF_BASE_MS / 2, backoffMs(this.#failures, BACKOFF_BASE_MS, BACKOFF_MAX_MS));
    const open = owner.boundary.guard('server_stream', () => {
      this.open();
    });
    this.#timer = setTimeout(open, wait).unref();
  }
}
