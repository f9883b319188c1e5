/** An event stream to an HTTP client: framing, keep-alive comments, and a timeout for clients that do not read. */
import type { ServerResponse } from 'node:http';
import type { Wheel, WheelTimer } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import type { StreamTarget } from '../../protocol/ports.js';
import { withoutLineBreaks } from '../../wire/splice.js';

/** A client that does not read for this long is disconnected. */
const STALLED_MS = 300_000;

const DATA = 'event: message\ndata: ';
const END_OF_EVENT = Buffer.from('\n\n');
const COMMENT = ': keep-alive\n\n';
export const EVENT_STREAM: readonly string[] = [
  'Content-Type',
  'text/event-stream',
  'Cache-Control',
  'no-cache, no-transform',
  'X-Accel-Buffering',
  'no',
];

const DATA_BYTES = Buffer.from(DATA);

/** `id`: undefined if the stream cannot be resumed. */
function open(id: string | undefined): Buffer {
  return id === undefined ? DATA_BYTES : Buffer.from(`id: ${id}\n${DATA}`);
}

/** A whole message as one event. */
export function eventOf(message: Buffer, id?: string): Buffer {
  return Buffer.concat([open(id), withoutLineBreaks(message), END_OF_EVENT]);
}

/** Watches a client that does not read, until it reads again or is disconnected. */
export class Backpressure {
  readonly #res: ServerResponse;
  readonly #wheel: Wheel;
  readonly #boundary: Boundary;
  readonly #drained: () => void;
  #stall: WheelTimer | undefined;
  #full = false;

  constructor(res: ServerResponse, wheel: Wheel, boundary: Boundary, drained: () => void) {
    this.#res = res;
    this.#wheel = wheel;
    this.#boundary = boundary;
    this.#drained = drained;
  }

  /** `more`: the result of write(), which is returned. After false, `drained` is called once. */
  wrote(more: boolean): boolean {
    if (more || this.#full) return more;
    this.#full = true;
    this.#watch();
    this.#res.once('drain', () => {
      this.#full = false;
      this.#stall?.cancel();
      this.#boundary.run('client_request', this.#drained, () => {
        this.#res.destroy();
      });
    });
    return false;
  }

  /** Stops watching after the last write. */
  ended(): void {
    if (!this.#full && this.#res.writableNeedDrain) this.#watch();
  }

  #watch(): void {
    if (!this.#stall) this.#res.once('close', () => this.#stall?.cancel());
    this.#stall?.cancel();
    this.#stall = this.#wheel.after(STALLED_MS, () => {
      this.#res.destroy(new Error('client reads nothing'));
    });
  }
}

/** Ignores writes after its end. */
export class EventStream implements StreamTarget {
  /** Called when it can take more, after a method returned false. */
  drained: () => void = () => undefined;
  readonly #res: ServerResponse;
  readonly #wheel: Wheel;
  readonly #keepAliveMs: number;
  #timer: WheelTimer | undefined;
  readonly #writer: Backpressure;
  #inEvent = false;
  #ended = false;

  constructor(res: ServerResponse, wheel: Wheel, boundary: Boundary, keepAliveMs: number) {
    this.#res = res;
    this.#wheel = wheel;
    this.#keepAliveMs = keepAliveMs;
    this.#writer = new Backpressure(res, wheel, boundary, () => {
      this.drained();
    });
    res.writeHead(200, [...EVENT_STREAM]);
    res.flushHeaders();
    res.on('close', () => {
      this.#timer?.cancel();
    });
    this.#keepAlive();
  }

  /** Bytes queued for the client. */
  get backlog(): number {
    return this.#res.destroyed ? 0 : this.#res.writableLength;
  }

  prime(id: string): void {
    if (!this.#ended) this.#res.write(`id: ${id}\ndata: \n\n`);
  }

  retryIn(ms: number): void {
    if (!this.#ended && !this.#inEvent) this.#res.write(`retry: ${ms}\n\n`);
  }

  event(message: Buffer, id: string | undefined): boolean {
    if (this.#ended) return true;
    return this.#writer.wrote(this.#res.write(eventOf(message, id)));
  }

  begin(id: string | undefined): void {
    if (this.#ended) return;
    this.#inEvent = true;
    this.#res.write(open(id));
  }

  chunk(bytes: Buffer): boolean {
    if (this.#ended) return true;
    return this.#writer.wrote(this.#res.write(withoutLineBreaks(bytes)));
  }

  finish(): void {
    if (!this.#inEvent) return;
    this.#inEvent = false;
    this.#res.write(END_OF_EVENT);
  }

  /** Ends an incomplete event with a type that clients ignore (the last `event:` field counts). */
  cut(): void {
    if (!this.#inEvent) return;
    this.#inEvent = false;
    this.#res.write('\nevent: cut\n\n');
  }

  end(last?: Buffer, id?: string): void {
    if (this.#ended) return;
    this.#timer?.cancel();
    this.cut();
    this.#ended = true;
    if (last) this.#res.end(eventOf(last, id));
    else this.#res.end();
    this.#writer.ended();
  }

  destroy(): void {
    this.#res.destroy();
  }

  #keepAlive(): void {
    this.#timer = this.#wheel.after(this.#keepAliveMs, () => {
      // A comment must not interrupt an event.
      if (!this.#inEvent && this.#res.writableLength === 0) this.#res.write(COMMENT);
      this.#keepAlive();
    });
  }
}
