/**
 * Pipelined requests (RFC 9112, 9.3.2). One request is handled at a time. When a second one arrives, the socket is paused; requests
 * from the same chunk wait.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

type Handle = (req: IncomingMessage, res: ServerResponse) => void;

/** How many requests may wait on a connection. */
const MAX_WAITING = 64;

/** The requests of one connection. */
class Pipeline {
  /** Whether a request is being handled. */
  busy = false;
  /** The connection closes once its current request is answered. */
  closing = false;
  readonly #socket: Socket;
  #waiting: [IncomingMessage, ServerResponse][] = [];
  #paused = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  wait(req: IncomingMessage, res: ServerResponse): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#waiting = [];
      this.#socket.destroy();
      return;
    }
    this.#waiting.push([req, res]);
    if (this.#paused) return;
    this.#paused = true;
    // The parser resumes reading after each request: pause after that.
    setImmediate(() => {
      if (this.#paused) this.#socket.pause();
    });
  }

  /** Sends what is still queued, and closes the connection; requests that wait are not handled. */
  close(): void {
    this.#waiting = [];
    this.#socket.end(() => this.#socket.destroy());
  }

  /** Ends the current request. Returns the next one; undefined: there is none. */
  next(): [IncomingMessage, ServerResponse] | undefined {
    this.busy = false;
    if (this.closing) this.close();
    if (this.#socket.destroyed) this.#waiting = [];
    const next = this.#waiting.shift();
    if (this.#paused && this.#waiting.length === 0) {
      this.#paused = false;
      this.#socket.resume();
    }
    return next;
  }
}

const PIPELINE = Symbol('pipeline');

function pipelineOf(socket: Socket & { [PIPELINE]?: Pipeline }): Pipeline {
  return (socket[PIPELINE] ??= new Pipeline(socket));
}

/** Whether requests wait on a connection, so that its client is not to blame for the delay. */
export function hasWaiting(socket: object): boolean {
  return ((socket as { [PIPELINE]?: Pipeline })[PIPELINE]?.waiting ?? 0) > 0;
}

/** Closes a connection: at once, or when the request that is being handled has been answered. */
export function closeAfterAnswer(socket: Socket): void {
  const pipeline = pipelineOf(socket);
  pipeline.closing = true;
  if (!pipeline.busy) pipeline.close();
}

/** Handles the requests of each connection one after the other. `over` is called when a response has ended. */
export function oneByOne(handle: Handle, over: () => void): Handle {
  function begin(pipeline: Pipeline, req: IncomingMessage, res: ServerResponse): void {
    pipeline.busy = true;
    res.on('close', () => {
      const next = pipeline.next();
      if (next) begin(pipeline, ...next);
      over();
    });
    handle(req, res);
  }

  return (req, res) => {
    const pipeline = pipelineOf(req.socket);
    if (pipeline.closing) return;
    if (pipeline.busy) pipeline.wait(req, res);
    else begin(pipeline, req, res);
  };
}
