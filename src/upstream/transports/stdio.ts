/** stdio towards an upstream: one message a line (2025-11-25, basic/transports, "stdio"). */
import type { StdioServerConfig } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import { MessageScan } from '../../wire/message-scan.js';
import { withoutLineBreaks } from '../../wire/splice.js';
import { spawnChild, type Child } from '../child.js';
import type { CallOwner, Channel, Transport, TransportEvents, UpstreamCall } from '../calls.js';
import { bytesOf, type DroppedLine } from '../../lib/lines.js';
import type { Watcher } from '../watcher.js';
import { deliverWhole } from './shared-channel.js';

export interface StdioDeps {
  readonly config: StdioServerConfig;
  readonly owner: CallOwner;
  readonly events: TransportEvents;
  readonly watcher: Watcher;
}

/** A shared pipe is not paused for one call: its queue is bounded instead, see UpstreamCall.notify(). */
const NO_CHANNEL: Channel = { pause() {}, resume() {}, abort() {} };

/** The id that some servers put last. What it names is a call to this very server: at worst that one fails. */
const ID_AT_END = /[,}]\s*"id"\s*:\s*(\d{1,15})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/;
/** Most bytes that wait for a child that does not read its stdin. */
const MAX_STDIN_BYTES = 64 * 1024 * 1024;

export class Stdio implements Transport {
  readonly kind = 'stdio';
  /** Resolves when the child has written something, to whichever output. */
  readonly spoke: Promise<void>;
  readonly #owner: CallOwner;
  readonly #events: TransportEvents;
  readonly #server: string;
  readonly #child: Child;
  #closed = false;
  #full = false;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #garbage = 0;

  constructor({ config, owner, events, watcher }: StdioDeps) {
    this.#owner = owner;
    this.#events = events;
    this.#server = config.name;
    let spoke = (): void => undefined;
    this.spoke = new Promise((resolve) => {
      spoke = resolve;
    });
    this.#child = spawnChild(config, {
      logger: owner.log,
      watcher,
      maxLineBytes: owner.messageBytes(),
      budget: owner.budget,
      onLine: (line) => {
        this.#line([line], line.length);
      },
      onPieces: (pieces) => {
        this.#line(pieces, bytesOf(pieces));
      },
      onOutput: () => {
        spoke();
      },
      onOversize: (line) => {
        this.#oversize(line);
      },
      onExit: ({ reason }) => {
        if (this.#closed) return;
        const stderr = this.#child.lastStderr;
        const error = new GatewayError('upstream_disconnected', `upstream '${config.name}' ${reason}`);
        events.lost(error, { stderr });
      },
    });
    this.#child.onDrain(() => {
      this.#drain();
    });
  }

  /** Whether there is, or was, a process. */
  get started(): boolean {
    return this.#child.pid !== undefined;
  }

  send(call: UpstreamCall): void {
    call.channel = NO_CHANNEL;
    if (this.#waitingBytes > MAX_STDIN_BYTES) {
      setImmediate(() => {
        call.failWith('busy', `upstream '${this.#server}' does not read its input`);
      });
      return;
    }
    this.post(call.body);
  }

  post(body: Buffer): void {
    if (this.#closed) return;
    this.#owner.stats.bytesSent += body.length + 1;
    const line = withoutLineBreaks(body);
    if (!this.#full) this.#full = !this.#child.write(line);
    else {
      this.#waiting.push(line);
      this.#waitingBytes += line.length;
    }
  }

  ready(): void {}

  update(): void {}

  reset(): void {}

  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    await this.#child.close(graceMs);
  }

  destroy(): void {
    this.#closed = true;
    this.#child.destroy();
  }

  #drain(): void {
    this.#full = false;
    while (!this.#full && this.#waiting.length > 0) {
      const line = this.#waiting.shift() as Buffer;
      this.#waitingBytes -= line.length;
      this.#full = !this.#child.write(line);
    }
  }

  #line(pieces: Buffer[], bytes: number): void {
    this.#owner.stats.bytesReceived += bytes + 1;
    if (bytes === 0) return;
    this.#events.seen();
    if (!deliverWhole(pieces, bytes, this.#owner, this.#events)) {
      // The first ones are worth a line each; a server that prints its banner for ever is not.
      this.#garbage++;
      const excerpt = JSON.stringify(pieces[0]?.toString('utf8', 0, 200));
      if (this.#garbage <= 3) this.#owner.log.warn(`skipped a line on stdout that is no message: ${excerpt}`);
      else this.#owner.log.debug(`skipped a line on stdout that is no message: ${excerpt}`);
    }
  }

  /** A line too long to be held: if its ends tell whose answer it is, that call fails and no other. */
  #oversize({ bytes, head, tail, reason }: DroppedLine): void {
    const limit = reason === 'line' ? 'limits.message_bytes' : 'limits.buffered_bytes';
    this.#owner.log.warn(`dropped a line of ${bytes} bytes from stdout: over ${limit}`, {
      server: this.#server,
    });
    const start = new MessageScan();
    start.push(head);
    const id = start.id ? start.idText : ID_AT_END.exec(tail.toString('latin1'))?.[1];
    if (id !== undefined && /^\d{1,15}$/.test(id))
      this.#events.callFor(Number(id))?.broken(`answered with a line of ${bytes} bytes, over ${limit}`);
  }
}
