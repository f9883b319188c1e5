/** Connection to a server over stdio: one message per line (2025-11-25, basic/transports, "stdio"). */
import type { StdioServerConfig } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import type { ChildLease } from '../../protocol/child-lease.js';
import type { WheelTimer } from '../../lib/wheel.js';
import { MessageScan } from '../../wire/message-scan.js';
import { withoutLineBreaks } from '../../wire/splice.js';
import { spawnChild, type Child, type ExitInfo } from './child.js';
import type { CallOwner, Channel, Transport, TransportEvents, UpstreamCall } from '../calls/calls.js';
import { bytesOf, type DroppedLine } from '../../lib/lines.js';
import type { Watcher } from './watcher.js';
import { deliverWhole } from '../calls/shared-channel.js';

export interface StdioDeps {
  readonly config: StdioServerConfig;
  readonly owner: CallOwner;
  readonly events: TransportEvents;
  readonly watcher: Watcher;
  /** undefined: this process may always run the server. */
  readonly lease?: ChildLease | undefined;
}

/** A shared pipe is not paused for one call: what waits for its client is limited instead, see UpstreamCall.notify(). */
const NO_CHANNEL: Channel = { pause() {}, resume() {}, abort() {} };

/** The id, which some servers put last. It names a call to this server: at worst, that call fails. */
const ID_AT_END = /[,}]\s*"id"\s*:\s*"?(\d{1,15})"?\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/;
/** The most that waits for a child that does not read its stdin, in bytes. */
const MAX_STDIN_BYTES = 64 * 1024 * 1024;
/** The most of that which is not requests; while more of it waits, stdout is not read. */
const MAX_REPLY_BYTES = 1_048_576;
/** A reply that the child has not read in this time is dropped, in ms. */
const REPLY_MS = 10_000;

/** The most on stdout that is not messages, in bytes, within GARBAGE_MS. */
const MAX_GARBAGE = 8 * 1_048_576;
const GARBAGE_MS = 1000;
/** The least that a line counts, in bytes: short lines cost as much to read. */
const LINE_COST = 1024;

/** A line that waits for room in the pipe. */
interface Waiting {
  readonly line: Buffer;
  /** When it is dropped, on the monotonic clock; undefined: a request, which has timeouts of its own. */
  readonly until: number | undefined;
}

export class Stdio implements Transport {
  readonly kind = 'stdio';
  /** Resolves when the child has written something to stdout or stderr. */
  readonly hasOutput: Promise<void>;
  readonly #owner: CallOwner;
  readonly #events: TransportEvents;
  readonly #server: string;
  readonly #child: Child;
  readonly #lease: ChildLease | undefined;
  #closed = false;
  #full = false;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #replyBytes = 0;
  #paused = false;
  #sweep: WheelTimer | undefined;
  #garbage = 0;
  #wastedBytes = 0;
  #wastedSince = 0;

  /** Throws a GatewayError if this process may not run the server now. */
  constructor({ config, owner, events, watcher, lease }: StdioDeps) {
    if (lease && !lease.holds())
      throw new GatewayError(
        'upstream_disconnected',
        `upstream '${config.name}' is not run by this replica at the moment`,
      );
    this.#lease = lease;
    this.#owner = owner;
    this.#events = events;
    this.#server = config.name;
    let output = (): void => undefined;
    this.hasOutput = new Promise((resolve) => {
      output = resolve;
    });
    const { boundary } = owner;
    this.#child = spawnChild(config, {
      logger: owner.log,
      stderr: owner.stderr,
      watcher,
      maxLineBytes: owner.messageBytes(),
      budget: owner.budget,
      boundary,
      onLine: boundary.guard('server_line', (line: Buffer) => {
        this.#line([line], line.length);
      }),
      onPieces: boundary.guard('server_line', (pieces: Buffer[]) => {
        this.#line(pieces, bytesOf(pieces));
      }),
      onOutput: () => {
        output();
      },
      onSkipped: boundary.guard('server_line', (bytes: number, head: Buffer) => {
        // A line that begins as a message may be an answer that is too large: it is not counted as garbage.
        if (!/^\s*[[{]/.test(head.toString('latin1', 0, 16))) this.#wasted(bytes);
      }),
      onOversize: boundary.guard('server_line', (line: DroppedLine) => {
        this.#oversize(line);
      }),
      onExit: boundary.guard('link', ({ reason }: ExitInfo) => {
        if (this.#closed) return;
        const stderr = this.#child.lastStderr;
        const error = new GatewayError('upstream_disconnected', `upstream '${config.name}' ${reason}`);
        events.lost(error, { stderr });
      }),
    });
    this.#child.onDrain(() => {
      this.#drain();
    });
    const ended = lease?.started({
      kill: () => {
        this.#child.destroy('was killed: its lease in the store of the fleet was not renewed');
      },
      resume: () => {
        this.#drain();
      },
    });
    if (ended) boundary.detach('link', this.#child.gone.then(ended));
  }

  /** Whether a process was started. */
  get started(): boolean {
    return this.#child.pid !== undefined;
  }

  send(call: UpstreamCall): void {
    call.channel = NO_CHANNEL;
    if (this.#waitingBytes > MAX_STDIN_BYTES) {
      const fail = (): void => {
        call.failWith('busy', `upstream '${this.#server}' does not read its input`);
      };
      setImmediate(this.#owner.boundary.guard('answer', fail));
      return;
    }
    this.#write(call.body, undefined);
  }

  post(body: Buffer): void {
    this.#write(body, performance.now() + REPLY_MS);
  }

  ready(_revision: string, initialized: Buffer, ended: () => void): Promise<void> {
    this.post(initialized);
    ended();
    return Promise.resolve();
  }

  update(): void {}

  reset(): void {}

  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    this.#sweep?.cancel();
    await this.#child.close(graceMs);
  }

  destroy(): void {
    this.#closed = true;
    this.#sweep?.cancel();
    this.#child.destroy();
  }

  #write(body: Buffer, until: number | undefined): void {
    if (this.#closed) return;
    this.#owner.observer.sent(body.length + 1);
    const line = withoutLineBreaks(body);
    // Without its lease, nothing is sent: the lease says when it may go on, or kills the child.
    if (this.#lease && !this.#lease.holds()) this.#full = true;
    if (!this.#full) {
      this.#full = !this.#child.write(line);
      return;
    }
    this.#waiting.push({ line, until });
    this.#waitingBytes += line.length;
    if (until === undefined) return;
    this.#replyBytes += line.length;
    this.#sweep ??= this.#owner.wheel.after(REPLY_MS, () => {
      this.#dropLate();
    });
    this.#regulate();
  }

  #drain(): void {
    if (this.#lease && !this.#lease.holds()) return;
    this.#full = false;
    while (!this.#full && this.#waiting.length > 0) {
      const next = this.#waiting.shift() as Waiting;
      this.#left(next);
      this.#full = !this.#child.write(next.line);
    }
    this.#regulate();
  }

  #left({ line, until }: Waiting): void {
    this.#waitingBytes -= line.length;
    if (until !== undefined) this.#replyBytes -= line.length;
  }

  /** Drops replies that wait for too long. */
  #dropLate(): void {
    this.#sweep = undefined;
    const now = performance.now();
    const late = this.#waiting.filter(({ until }) => until !== undefined && until <= now);
    if (late.length > 0) {
      const dropped = new Set(late);
      this.#waiting = this.#waiting.filter((each) => !dropped.has(each));
      for (const each of late) this.#left(each);
      this.#owner.log.debug('replies that the child did not read were dropped', {
        server: this.#server,
        count: late.length,
      });
    }
    const first = this.#waiting.find(({ until }) => until !== undefined);
    if (first?.until !== undefined && !this.#closed)
      this.#sweep = this.#owner.wheel.after(Math.max(1, first.until - now), () => {
        this.#dropLate();
      });
    this.#regulate();
  }

  /** stdout is not read while the child does not read the replies that its requests cause. */
  #regulate(): void {
    const full = this.#replyBytes > (this.#paused ? MAX_REPLY_BYTES / 2 : MAX_REPLY_BYTES);
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) this.#child.pause();
    else this.#child.resume();
  }

  #line(pieces: Buffer[], bytes: number): void {
    this.#owner.observer.received(bytes + 1);
    if (bytes === 0) return;
    this.#events.seen();
    if (!deliverWhole(pieces, bytes, this.#owner, this.#events)) {
      // Only the first ones are logged as warnings: a server may print its banner again and again.
      this.#wasted(Math.max(bytes, LINE_COST));
      this.#garbage++;
      const { log, server } = this.#owner;
      if (this.#garbage > 3 && !log.debugEnabled) return;
      const excerpt = JSON.stringify(pieces[0]?.toString('utf8', 0, 200));
      log[this.#garbage <= 3 ? 'warn' : 'debug'](
        `skipped a line on stdout that is not a message: ${excerpt}`,
        {
          server,
        },
      );
    }
  }

  /** Stops a child that writes too much that is not messages: reading it would delay all others. */
  #wasted(bytes: number): void {
    const now = performance.now();
    if (now - this.#wastedSince > GARBAGE_MS) {
      this.#wastedSince = now;
      this.#wastedBytes = 0;
    }
    this.#wastedBytes += bytes;
    if (this.#wastedBytes <= MAX_GARBAGE) return;
    this.#wastedBytes = 0;
    this.#child.destroy(
      `wrote more than ${MAX_GARBAGE / 1_048_576} MB a second to its standard output that were not MCP messages, and was stopped: logs belong on standard error`,
    );
  }

  /** A line that is too long: if its ends tell which call it answers, that call fails. */
  #oversize({ bytes, head, tail, reason }: DroppedLine): void {
    const limit = reason === 'line' ? 'limits.message_bytes' : 'limits.buffered_bytes';
    this.#owner.log.warn(`dropped a line of ${bytes} bytes from stdout: over ${limit}`, {
      server: this.#server,
    });
    const start = new MessageScan();
    start.push(head);
    const id = start.id ? start.answersId : ID_AT_END.exec(tail.toString('latin1'))?.[1];
    if (id !== undefined && /^\d{1,15}$/.test(id))
      this.#events.callFor(Number(id))?.broken(`answered with a line of ${bytes} bytes, over ${limit}`);
  }
}
