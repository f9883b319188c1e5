/** stdio for clients (2025-11-25, basic/transports, "stdio"): one message per line, over any pair of streams. */
import { isUtf8 } from 'node:buffer';
import type { Readable, Writable } from 'node:stream';
import type { Config } from '../config/types.js';
import { GatewayError } from '../errors.js';
import type { Budget } from '../lib/budget.js';
import { splitLines, type DroppedLine } from '../lib/lines.js';
import type { Boundary } from '../observe/boundary.js';
import type { Logger } from '../observe/log.js';
import { classify } from '../protocol/classify.js';
import { MessageError, readMessages } from '../protocol/message.js';

import type { Era } from '../protocol/revisions.js';
import type { Endpoint, Gate } from '../proxy/gate.js';
import { LineOutlet } from './line-outlet.js';
import { OneStream } from './one-stream.js';

export interface StdioDeps {
  /** The endpoint: all servers, or a profile. */
  readonly to: Endpoint;
  readonly gate: Gate;
  readonly config: () => Config;
  readonly budget: Budget;
  readonly log: Logger;
  readonly boundary: Boundary;
  /** Called when the client, of this era, needs upstreams. The message waits for the promise; undefined: it does not wait. */
  readonly wanted: (era: Era) => Promise<void> | undefined;
}

export interface StdioClient {
  /** Resolves when the client has left: its input has ended, or the output is closed. */
  readonly left: Promise<void>;
  /** Resolves when the output has ended. */
  readonly closed: Promise<void>;
  /** Ends the output once running requests are answered; after `graceMs` they are cancelled. */
  close(graceMs: number): Promise<void>;
  destroy(): void;
}

/** Requests with which clients probe what they have started; they need no upstream. */
const PROBES = new Set(['initialize', 'ping', 'server/discover']);

/** How many messages wait until upstreams are ready; beyond that the input pauses. */
const MAX_HELD = 256;

type Messages = ReturnType<typeof readMessages>;

/** The clients of a gateway on streams. */
export class StdioClients {
  readonly #clients = new Set<StdioClient>();

  /** Resolves when the client has left. */
  attach(...from: Parameters<typeof attachStdio>): Promise<void> {
    const client = attachStdio(...from);
    this.#clients.add(client);
    void client.closed.then(() => this.#clients.delete(client));
    return client.left;
  }

  async close(graceMs: number): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.close(graceMs)));
  }

  destroy(): void {
    for (const client of this.#clients) client.destroy();
  }
}

export function attachStdio(deps: StdioDeps, input: Readable, output: Writable): StdioClient {
  const { gate, log, boundary } = deps;
  const { body_bytes } = deps.config().limits;
  const route = gate.route(deps.to, 'stdio', gate.local);
  if (!route) throw new Error('no such profile');
  let hold: Messages[] | undefined;
  let ended = false;
  let timer: NodeJS.Timeout | undefined;
  let leave: () => void = () => undefined;
  let close: () => void = () => undefined;
  const left = new Promise<void>((resolve) => (leave = resolve));
  const closed = new Promise<void>((resolve) => (close = resolve));

  const stream = new OneStream({
    gate,
    outlet: new LineOutlet(output),
    origin: { principal: gate.local, route },
    budget: deps.budget,
    log,
    boundary,
    modern: true,
    messageBytes: () => deps.config().limits.message_bytes,
    room: regulate,
  });

  const lines = splitLines({
    maxBytes: body_bytes,
    budget: deps.budget,
    onLine: boundary.guard('client_line', read, complain),
    onDropped: boundary.guard('client_line', dropped, complain),
  });

  function complain(error: GatewayError): void {
    stream.complain(error, 'null');
  }

  function read(line: Buffer): void {
    if (line.every((c) => c === 0x20 || c === 0x09)) return;
    let messages: Messages;
    try {
      if (!isUtf8(line)) throw new MessageError('parse_error', 'Parse error: the line is not UTF-8');
      messages = readMessages(line);
    } catch (failure) {
      if (!(failure instanceof MessageError)) throw failure;
      gate.countInvalid('invalid');
      stream.complain(failure, failure.id);
      return;
    }
    if (isProbe(messages)) return take(messages);
    if (!hold) {
      const wait = deps.wanted(eraOf(messages));
      if (!wait) return take(messages);
      hold = [];
      boundary.detach('client_line', wait.then(release));
    }
    hold.push(messages);
  }

  function release(): void {
    const held = hold ?? [];
    hold = undefined;
    for (const messages of held)
      boundary.run(
        'client_line',
        () => {
          take(messages);
        },
        complain,
      );
    if (ended) stream.finish();
    else regulate();
  }

  function take(messages: Messages): void {
    const taken = stream.take(messages, undefined);
    if (taken instanceof Promise) {
      const told = taken.then((error) => {
        refused(messages, error);
      });
      boundary.detach('client_line', told, complain);
    } else refused(messages, taken);
  }

  function refused(messages: Messages, error: GatewayError | undefined): void {
    if (!error) return;
    if (Array.isArray(messages)) stream.complain(error, 'null');
    else log.debug('a message of the client failed', { why: error.message });
  }

  function dropped({ bytes, reason }: DroppedLine): void {
    gate.countInvalid('invalid');
    const error =
      reason === 'line'
        ? new GatewayError(
            'body_too_large',
            `a line of ${bytes} bytes is larger than ${body_bytes} (limits.body_bytes)`,
          )
        : new GatewayError('unavailable', 'too much is being buffered (limits.buffered_bytes)');
    stream.complain(error, 'null');
  }

  /** Pauses the input of a client that does not read its answers, or whose session is being opened. */
  function regulate(): void {
    const wait = stream.full || stream.opening || (hold?.length ?? 0) > MAX_HELD;
    if (wait === input.isPaused()) return;
    if (wait) input.pause();
    else input.resume();
  }

  function inputEnded(): void {
    if (ended) return;
    ended = true;
    lines.end();
    leave();
    void finish(deps.config().mcp.session.shutdown_grace_seconds * 1000);
  }

  function outputGone(): void {
    clearTimeout(timer);
    ended = true;
    stream.left();
    input.pause();
    leave();
    close();
  }

  function finish(graceMs: number): Promise<void> {
    if (!hold) stream.finish();
    clearTimeout(timer);
    timer = setTimeout(
      boundary.guard('timer', () => {
        stream.close('the client has ended its input');
        // The client has had the whole grace period to read this.
        output.destroy();
      }),
      graceMs,
    );
    return closed;
  }

  input.on('data', (chunk: Buffer) => {
    if (ended) return;
    lines.push(chunk);
    regulate();
  });
  const end = boundary.guard('client_line', inputEnded);
  const gone = boundary.guard('client_line', outputGone);
  input.on('end', end).on('error', end).on('close', end);
  output.on('finish', gone).on('error', gone).on('close', gone);

  return {
    left,
    closed,
    close: finish,
    destroy() {
      outputGone();
      output.destroy();
    },
  };
}

function eraOf(messages: Messages): Era {
  const first = Array.isArray(messages) ? messages[0] : messages;
  return first && !(first instanceof MessageError) ? classify(undefined, first) : 'legacy';
}

function isProbe(messages: Messages): boolean {
  return !Array.isArray(messages) && PROBES.has(messages.method);
}
