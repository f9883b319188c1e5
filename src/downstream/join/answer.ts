import type { IncomingMessage } from 'node:http';
import type { GatewayError } from '../../errors.js';
import { objectOf, readObject, textOf } from '../../wire/json.js';
import { EventLines } from '../event-lines.js';
import { follow, isPolled, waitBefore, type JoinContext } from './follow.js';
import { readBody } from './remote.js';

/** Attempts to resume an answer that bring nothing new, at most. */
const MAX_TRIES = 10;

/** How the connection before ended. */
interface Before {
  readonly isClean: boolean;
  /** What `EventLines.pieceCount` was when it began. */
  readonly pieceCount: number;
  readonly tries: number;
}

/** The answer to one POST, on its way to the client. */
export class Answer {
  readonly #context: JoinContext;
  /** Of the request; undefined for a message that gets no answer, `null` for a batch. */
  readonly #rawId: string | undefined;
  readonly #done: (why?: string) => void;
  readonly #reopened: (abort: () => void) => void;

  /**
   * `done` is called once: with the reason, if the answer failed and the client has not been told. `reopened`: the answer now comes
   * over another connection, which `abort` gives up.
   */
  constructor(
    context: JoinContext,
    rawId: string | undefined,
    done: (why?: string) => void,
    reopened: (abort: () => void) => void,
  ) {
    this.#context = context;
    this.#rawId = rawId;
    this.#done = done;
    this.#reopened = reopened;
  }

  receive(res: IncomingMessage): void {
    const status = res.statusCode ?? 0;
    if (status < 200 || status > 299) this.#refused(res, status);
    else if (String(res.headers['content-type']).startsWith('text/event-stream')) this.#stream(res);
    else if (status === 202 || this.#rawId === undefined) this.#nothing(res);
    else this.#body(res);
  }

  #refused(res: IncomingMessage, status: number): void {
    const { boundary, lane, remote } = this.#context;
    const read = readBody(res).then((body) => {
      const refusal = refusalOf(body, this.#rawId);
      if (refusal === 'pass') {
        lane.send(body);
        this.#done();
      } else this.#done(`${remote.url.href} answered ${status}${refusal === '' ? '' : `: ${refusal}`}`);
    });
    boundary.detach('answer', read, (error) => {
      this.#done(error.message);
    });
  }

  #stream(res: IncomingMessage): void {
    const events = new EventLines(this.#context.lane);
    follow(this.#context, res, events, () => {
      if (events.answered || this.#rawId === undefined) return this.#done();
      this.#resume(events, { isClean: res.complete, pieceCount: 0, tries: 0 });
    });
  }

  #nothing(res: IncomingMessage): void {
    res.resume();
    res.on('close', () => {
      this.#done();
    });
  }

  #body(res: IncomingMessage): void {
    const { boundary, lane } = this.#context;
    const answer = lane.message(() => res.resume());
    const failed = (error: GatewayError): void => {
      res.destroy();
      this.#done(error.message);
    };
    const more = (chunk: Buffer): void => {
      if (!answer.write(chunk)) res.pause();
    };
    const ended = (): void => {
      if (res.complete) {
        answer.end();
        this.#done();
      } else {
        answer.cut();
        this.#brokeOff();
      }
    };
    res.on('data', boundary.guard('answer', more, failed));
    res.on('error', () => undefined);
    res.on('close', boundary.guard('answer', ended, failed));
  }

  /** Resumes the stream of an answer where it ended (2025-11-25, basic/transports, "Resumability and Redelivery"). */
  #resume(events: EventLines, before: Before): void {
    const { boundary } = this.#context;
    const { lastId, retryMs, pieceCount } = events;
    if (lastId === undefined) return this.#brokeOff();
    const polls = isPolled(before.isClean, retryMs);
    const tries = (pieceCount > before.pieceCount ? 0 : before.tries) + (polls ? 0 : 1);
    if (tries > MAX_TRIES)
      return this.#brokeOff(`, and ${MAX_TRIES} attempts to resume it brought nothing new`);
    const failed = (error: GatewayError): void => {
      this.#done(error.message);
    };
    const reconnect = (): void => {
      this.#reconnect(events, lastId, tries);
    };
    const timer = setTimeout(boundary.guard('timer', reconnect, failed), waitBefore(retryMs, polls, tries));
    this.#reopened(() => {
      clearTimeout(timer);
    });
  }

  #reconnect(events: EventLines, lastId: string, tries: number): void {
    const { boundary, remote } = this.#context;
    const { pieceCount } = events;
    const again = (isClean: boolean): void => {
      this.#resume(events, { isClean, pieceCount, tries });
    };
    const failed = (error: GatewayError): void => {
      this.#done(error.message);
    };
    const req = remote.request('GET', { Accept: 'text/event-stream', 'Last-Event-ID': lastId });
    this.#reopened(() => req.destroy());
    const unreachable = (): void => {
      again(false);
    };
    const responded = (res: IncomingMessage): void => {
      if (res.statusCode !== 200) {
        res.resume();
        if ((res.statusCode ?? 0) >= 500) return again(false);
        return this.#brokeOff(`, and answered the attempt to resume it with ${res.statusCode}`);
      }
      follow(this.#context, res, events, () => {
        if (events.answered) this.#done();
        else again(res.complete);
      });
    };
    req.on('error', boundary.guard('answer', unreachable, failed));
    req.on('response', boundary.guard('answer', responded, failed));
    req.end();
  }

  #brokeOff(what = ''): void {
    this.#done(`${this.#context.remote.url.href} broke off its answer${what}`);
  }
}

/** `pass`: the body is the answer to this very request. Otherwise the message of the refusal. */
function refusalOf(body: Buffer, rawId: string | undefined): string {
  const message = readObject(body);
  const error = objectOf(message?.['error']);
  if (!message || !error) return '';
  if (rawId !== undefined && JSON.stringify(message['id']) === rawId) return 'pass';
  return (textOf(error['message']) ?? '').slice(0, 2048);
}
