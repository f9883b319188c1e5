/**
 * Pipelined requests (RFC 9112, 9.3.2). One request is handled at a time. When a second one arrives, the socket is paused; requests
 * from the same chunk wait.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

type Handle = (req: IncomingMessage, res: ServerResponse) => void;

/** How many requests may wait on a connection. */
const MAX_WAITING = 64;

class Line {
  /** A request is being handled. */
  busy = false;
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

  /** Ends the current request. Returns the next one; undefined: there is none. */
  next(): [IncomingMessage, ServerResponse] | undefined {
    this.busy = false;
    if (this.#socket.destroyed) this.#waiting = [];
    const next = this.#waiting.shift();
    if (this.#paused && this.#waiting.length === 0) {
      this.#paused = false;
      this.#socket.resume();
    }
    return next;
  }
}

const LINE = Symbol('line');

function lineOf(socket: Socket & { [LINE]?: Line }): Line {
  return (socket[LINE] ??= new Line(socket));
}

/** Whether requests wait on a connection, so that its client is not to blame for the delay. */
export function hasWaiting(socket: object): boolean {
  return ((socket as { [LINE]?: Line })[LINE]?.waiting ?? 0) > 0;
}

/** Handles the requests of each connection one after the other. `over` is called after each that was handled. */
export function oneByOne(handle: Handle, over: () => void): Handle {
  function begin(line: Line, req: IncomingMessage, res: ServerResponse): void {
    line.busy = true;
    res.on('close', () => {
      const next = line.next();
      if (next) begin(line, ...next);
      over();
    });
    handle(req, res);
  }

  return (req, res) => {
    const line = lineOf(req.socket);
    if (line.busy) line.wait(req, res);
    else begin(line, req, res);
  };
}
