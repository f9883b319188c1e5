import type { ClientRequest, IncomingMessage } from 'node:http';
import { EventLines } from '../event-lines.js';
import { follow, isPolled, MAX_RETRY_MS, RETRY_MS, waitBefore, type JoinContext } from './follow.js';
import type { Headers, RemoteSession } from './remote.js';

/** The server-to-client stream of one session, reconnected until `close`, or until the session ends. */
export class ServerStream {
  readonly #context: JoinContext;
  readonly #session: RemoteSession;
  readonly #events: EventLines;
  #req: ClientRequest | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;

  constructor(context: JoinContext) {
    this.#context = context;
    this.#session = context.remote.session;
    this.#events = new EventLines(context.lane);
  }

  open(): void {
    const { boundary, remote } = this.#context;
    const { lastId } = this.#events;
    const more: Headers = lastId === undefined ? {} : { 'Last-Event-ID': lastId };
    const req = remote.request('GET', { Accept: 'text/event-stream', ...more });
    this.#req = req;
    const unreachable = (): void => {
      this.#backOff();
    };
    const responded = (res: IncomingMessage): void => {
      if (res.statusCode === 200) this.#follow(res);
      else this.#refused(res);
    };
    req.on('error', boundary.guard('server_stream', unreachable));
    req.on('response', boundary.guard('server_stream', responded));
    req.end();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#req?.destroy();
  }

  #follow(res: IncomingMessage): void {
    const events = this.#events;
    const { pieceCount } = events;
    follow(this.#context, res, events, () => {
      const polls = isPolled(res.complete, events.retryMs);
      this.#failures = polls || events.pieceCount > pieceCount ? 0 : this.#failures + 1;
      this.#reopenIn(waitBefore(events.retryMs, polls || this.#failures === 0, this.#failures));
    });
  }

  /** Any other refusal is final: there is no session, or no stream. */
  #refused(res: IncomingMessage): void {
    res.resume();
    if (res.statusCode === 400 && this.#events.lastId !== undefined) {
      // The last event is too old to resume from: begin anew.
      this.#events.lastId = undefined;
      this.#reopenIn(RETRY_MS);
    } else if ((res.statusCode ?? 0) >= 500) this.#backOff();
  }

  #backOff(): void {
    this.#reopenIn(Math.min(RETRY_MS * 2 ** this.#failures++, MAX_RETRY_MS));
  }

  #reopenIn(ms: number): void {
    const { boundary, isOver, remote } = this.#context;
    if (isOver() || remote.session !== this.#session) return;
    const open = (): void => {
      this.open();
    };
    this.#timer = setTimeout(boundary.guard('timer', open), ms);
  }
}
