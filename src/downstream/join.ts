/**
 * Joins a client that speaks stdio to a gateway that already runs: each line becomes a POST, and what the gateway sends becomes lines.
 * No message is changed; only what the transport needs is read. A request of 2026-07-28 gets the headers that HTTP requires of it.
 */
import { isUtf8 } from 'node:buffer';
import type { Readable, Writable } from 'node:stream';
import { errorMessage, GatewayError } from '../errors.js';
import { createBudget } from '../lib/budget.js';
import { splitLines, type LineSplitter } from '../lib/lines.js';
import { Pace } from '../lib/pace.js';
import { Boundary } from '../observe/boundary.js';
import { silent, type Logger } from '../observe/log.js';
import { MessageError, readMessages, type Message } from '../protocol/message.js';
import type { JoinContext } from './join/follow.js';
import { Posts } from './join/posts.js';
import { Remote } from './join/remote.js';
import { ServerStream } from './join/server-stream.js';
import { Lane } from './lane.js';
import { LineOutlet } from './line-outlet.js';

export interface JoinOptions {
  /** The endpoint of the gateway: `.../mcp` or `.../servers/<name>/mcp`. */
  readonly url: URL;
  readonly token: string | undefined;
  /** Receives one line for people about each failure that the client is not told of. */
  readonly log: (text: string) => void;
}

export interface Joined {
  /** Resolves when the client has left. */
  readonly left: Promise<void>;
  /** Waits up to `graceMs` for answers, then ends the session and the output. */
  close(graceMs: number): Promise<void>;
}

const MAX_LINE = 67_108_864;
const MAX_BUFFERED = 268_435_456;
/** With more requests open, or more bytes waiting for the client, its input pauses. */
const MAX_OPEN = 256;
const MAX_WAITING = 4_194_304;
/** A cancel must not overtake its request, which may take another connection. */
const CANCEL_AFTER_MS = 20;

export function joinGateway(options: JoinOptions, input: Readable, output: Writable): Joined {
  return new Join(options, input, output);
}

class Join implements Joined {
  readonly left: Promise<void>;
  readonly #input: Readable;
  readonly #lane: Lane;
  readonly #boundary: Boundary;
  readonly #remote: Remote;
  readonly #context: JoinContext;
  readonly #posts: Posts;
  readonly #lines: LineSplitter;
  readonly #outputEnded: Promise<void>;
  #markLeft: () => void = () => undefined;
  /** Ends with the last message that was read: the gateway gets them in their order. */
  #sending: Promise<void> = Promise.resolve();
  #queued = 0;
  #serverStream: ServerStream | undefined;
  #isOver = false;
  #closing: Promise<void> | undefined;

  constructor({ url, token, log }: JoinOptions, input: Readable, output: Writable) {
    const budget = createBudget(MAX_BUFFERED);
    this.#input = input;
    this.#boundary = new Boundary(faultsOnly(log), { add: () => undefined });
    this.#remote = new Remote(url, token, this.#boundary);
    this.#lane = new Lane(new LineOutlet(output), budget, () => {
      log('the client does not read its messages: too many bytes are queued');
      output.destroy();
    });
    this.#context = {
      remote: this.#remote,
      lane: this.#lane,
      pace: new Pace(),
      boundary: this.#boundary,
      log,
      isOver: () => this.#isOver,
    };
    this.#posts = new Posts(this.#context);
    this.#lane.room = this.#posts.changed = () => {
      this.#regulate();
    };
    const read = (line: Buffer): void => {
      this.#read(line);
    };
    this.#lines = splitLines({
      maxBytes: MAX_LINE,
      budget,
      onLine: this.#boundary.guard('client_line', read, (error) => {
        this.#complain('null', error);
      }),
      onDropped: ({ bytes }) => {
        this.#complain('null', new GatewayError('body_too_large', `a line of ${bytes} bytes is too large`));
      },
    });
    let markEnded: () => void = () => undefined;
    this.left = new Promise((resolve) => (this.#markLeft = resolve));
    this.#outputEnded = new Promise((resolve) => (markEnded = resolve));
    const received = (chunk: Buffer): void => {
      this.#lines.push(chunk);
      this.#regulate();
    };
    const gone = (): void => {
      markEnded();
      this.#markLeft();
    };
    input.on('data', this.#boundary.guard('client_line', received));
    input.on('end', this.#markLeft).on('error', this.#markLeft).on('close', this.#markLeft);
    output.on('finish', markEnded).on('error', gone).on('close', gone);
  }

  close(graceMs: number): Promise<void> {
    return (this.#closing ??= this.#close(graceMs));
  }

  async #close(graceMs: number): Promise<void> {
    this.#markLeft();
    this.#input.pause();
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise<void>((resolve) => (timer = setTimeout(resolve, graceMs)));
    await Promise.race([grace, this.#sending]);
    await Promise.race([grace, this.#posts.idle()]);
    clearTimeout(timer);
    this.#isOver = true;
    this.#posts.abort();
    await this.#endSession();
    this.#remote.destroy();
    this.#lane.end();
    await Promise.race([this.#outputEnded, new Promise((resolve) => setTimeout(resolve, graceMs))]);
  }

  #read(line: Buffer): void {
    let messages: ReturnType<typeof readMessages>;
    try {
      if (!isUtf8(line)) throw new MessageError('parse_error', 'Parse error: the line is not UTF-8');
      messages = readMessages(line);
    } catch (failure) {
      if (!(failure instanceof MessageError)) throw failure;
      return this.#complain(failure.id, failure);
    }
    this.#queued++;
    this.#sending = this.#sendAfter(this.#sending, line, Array.isArray(messages) ? undefined : messages);
  }

  async #sendAfter(before: Promise<void>, body: Buffer, message: Message | undefined): Promise<void> {
    await before;
    // Lets Node notice idle connections that the gateway has closed, so that a call is not sent twice.
    await new Promise(setImmediate);
    this.#queued--;
    try {
      await this.#send(body, message);
    } catch (thrown) {
      const error = thrown instanceof GatewayError ? thrown : this.#boundary.caught('client_line', thrown);
      if (!message) this.#complain('null', error);
      else if (message.id !== undefined) this.#complain(message.id, error);
    }
    this.#regulate();
  }

  /** Resolves when the next message may be sent. `message`: undefined for a batch. */
  async #send(body: Buffer, message: Message | undefined): Promise<void> {
    const method = message?.method;
    if (method === 'initialize') void this.#endSession();
    if (message && method === 'notifications/cancelled') {
      if (this.#posts.cancel(message)) return;
      await new Promise((resolve) => setTimeout(resolve, CANCEL_AFTER_MS));
    }
    const posted = this.#posts.send(body, message);
    // What follows `initialize` needs the session that it opens.
    await (method === 'initialize' ? posted.answered : posted.sent);
    if (method === 'notifications/initialized') void posted.answered.then(() => this.#openServerStream());
  }

  #openServerStream(): void {
    if (this.#isOver || this.#serverStream || this.#remote.session.id === undefined) return;
    this.#serverStream = new ServerStream(this.#context);
    this.#serverStream.open();
  }

  #endSession(): Promise<void> {
    this.#serverStream?.close();
    this.#serverStream = undefined;
    return this.#remote.endSession();
  }

  #complain(rawId: string, error: GatewayError): void {
    this.#lane.send(Buffer.from(errorMessage(error, rawId, 'legacy')));
  }

  #regulate(): void {
    const wait = this.#lane.waiting > MAX_WAITING || this.#posts.size + this.#queued > MAX_OPEN;
    if (wait === this.#input.isPaused()) return;
    if (wait) this.#input.pause();
    else this.#input.resume();
  }
}

/** Logs faults of the program itself, with their stack, and nothing else. */
function faultsOnly(log: (text: string) => void): Logger {
  return {
    ...silent,
    error: (text, more) => {
      log(`${text}: ${JSON.stringify(more)}`);
    },
  };
}
