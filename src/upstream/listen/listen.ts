/**
 * The notifications of a modern server (2026-07-28, basic/patterns/subscriptions), on the stream of one listen request that stays open.
 * When the topics change, a new request replaces it as soon as that is acknowledged.
 */
import { GatewayError } from '../../errors.js';
import { backoffMs } from '../../lib/backoff.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';
import type { Notice } from '../../protocol/ports.js';
import { asGatewayError, rpcCodeOf } from '../link/failures.js';
import { filterOf, grantedTopics } from './filter.js';
import { nameOf, type Topic } from './topics.js';
import { LISTEN, withoutSubscriptionId, type ListenParams } from './listen-frames.js';
import type { OwnRequest } from '../link/own-requests.js';

/** Changes of the topics within this time make one request, in ms. */
const DEBOUNCE_MS = 5;
/** How long a subscription waits for the acknowledgement, in ms. */
const GRANT_MS = 2000;
/** A stream that is not acknowledged in this time is given up, in ms. */
const ACKNOWLEDGE_MS = 10_000;
const BACKOFF_BASE_MS = 1000;
const BACKOFF_MAX_MS = 30_000;
/** The end of a stream that was open for so long, in ms, is not counted as a failure. */
const STEADY_MS = 5000;

const METHOD_NOT_FOUND = -32601;

export interface ListenDeps {
  readonly server: string;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly open: (method: string, params: string) => OwnRequest;
  /** All messages of the server arrive on one channel, in order. */
  readonly ordered: () => boolean;
  /** The capabilities of the server. */
  readonly capabilities: () => Readonly<Record<string, unknown>>;
  /** The topics that clients are subscribed to. */
  readonly topics: () => readonly Topic[];
  /** Notifications may have been missed. */
  readonly missed: () => void;
  readonly listChanged: () => void;
  readonly updated: (uri: string, notice: Notice) => void;
  readonly taskStatus: (taskId: string, notice: Notice) => void;
}

interface Stream {
  readonly request: OwnRequest;
  /** The topics of the request. */
  readonly topics: ReadonlySet<Topic>;
  readonly opened: number;
  /** The topics that the server granted; undefined: not acknowledged yet. */
  granted: ReadonlySet<Topic> | undefined;
  /** Closed by the gateway: how it ends does not matter. */
  closed: boolean;
  timer: NodeJS.Timeout | undefined;
}

interface Waiting {
  readonly topic: Topic;
  settle(error?: GatewayError): void;
}

export class Listen {
  readonly #deps: ListenDeps;
  #running = false;
  /** The server does not have the method: it is not asked again before the next connection. */
  #isUnsupported = false;
  #current: Stream | undefined;
  /** Replaces `#current` once it is acknowledged. */
  #next: Stream | undefined;
  /** Replaced, but still read for a moment. */
  #old: Stream | undefined;
  /** What the new stream notified since the old one was replaced. */
  readonly #forwarded = new Set<string>();
  /** A stream broke, and none has been acknowledged since. */
  #gap = false;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #acknowledged: (() => void) | undefined;
  /** The first acknowledgement did not arrive in time. */
  #late = false;
  readonly #waiting = new Set<Waiting>();

  readonly #openLater: () => void;

  constructor(deps: ListenDeps) {
    this.#deps = deps;
    this.#openLater = this.#guard(() => {
      this.#timer = undefined;
      this.#open();
    });
  }

  /** Opens the stream. Resolves when it is acknowledged, refused, or `patienceMs` have passed. */
  start(patienceMs: number): Promise<void> {
    this.#running = true;
    this.#isUnsupported = false;
    this.#gap = false;
    this.#late = false;
    this.#failures = 0;
    this.#open();
    if (!this.#current) return Promise.resolve();
    return new Promise((resolve) => {
      const late = this.#guard(() => {
        this.#late = true;
        this.#settleFirst();
      });
      const timer = setTimeout(late, patienceMs);
      this.#acknowledged = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const stream of [this.#current, this.#next, this.#old]) this.#close(stream);
    this.#current = this.#next = this.#old = undefined;
    this.#settleFirst();
    for (const waiting of [...this.#waiting])
      waiting.settle(
        new GatewayError('upstream_disconnected', `upstream '${this.#deps.server}' is disconnected`),
      );
  }

  /** The topics changed. */
  update(): void {
    if (!this.#running || this.#isUnsupported) return;
    // A stream that waits after a failure takes the topics of then.
    this.#timer ??= setTimeout(this.#openLater, DEBOUNCE_MS);
  }

  /** Resolves once the server has granted `topic`, which is among the topics already. Rejects with a GatewayError. */
  granted(topic: Topic): Promise<void> {
    const { server } = this.#deps;
    if (!this.#running)
      return Promise.reject(
        new GatewayError('upstream_disconnected', `upstream '${server}' is disconnected`),
      );
    if (this.#isUnsupported) return Promise.reject(this.#refused(topic));
    // Check the pending stream first: it will replace the current one.
    const newest = this.#next ?? this.#current;
    if (newest?.granted?.has(topic)) return Promise.resolve();
    if (newest?.granted && newest.topics.has(topic)) return Promise.reject(this.#refused(topic));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.settle(
          new GatewayError(
            'upstream_protocol_error',
            `upstream '${server}' did not acknowledge the subscription in ${GRANT_MS} ms`,
          ),
        );
      }, GRANT_MS);
      const waiting: Waiting = {
        topic,
        settle: (error) => {
          clearTimeout(timer);
          this.#waiting.delete(waiting);
          if (error) reject(error);
          else resolve();
        },
      };
      this.#waiting.add(waiting);
      this.update();
    });
  }

  /** A notification on the stream of the listen request `id`. */
  notified(id: unknown, method: string, params: ListenParams, bytes: Buffer): void {
    const stream = [this.#current, this.#next, this.#old].find((each) => each?.request.call.id === id);
    if (!stream) return;
    switch (method) {
      case 'notifications/subscriptions/acknowledged':
        this.#acknowledge(stream, params.notifications ?? {});
        return;
      case 'notifications/cancelled':
        // This is how a server ends a stream over stdio, with or without an answer to the request before it.
        stream.request.call.failWith('upstream_disconnected', 'the server ended the stream');
        return;
      case 'notifications/tools/list_changed':
      case 'notifications/prompts/list_changed':
      case 'notifications/resources/list_changed':
        this.#deps.listChanged();
        return;
      case 'notifications/resources/updated': {
        const { uri } = params;
        if (typeof uri !== 'string') return;
        this.#forward(stream, bytes, (own) => {
          this.#deps.updated(uri, { method, bytes: own });
        });
        return;
      }
      case 'notifications/tasks': {
        const { taskId } = params;
        if (typeof taskId !== 'string') return;
        this.#forward(stream, bytes, (own) => {
          this.#deps.taskStatus(taskId, { method, bytes: own });
        });
        return;
      }
      default:
        this.#deps.log.debug('dropped a notification of a listen stream', {
          server: this.#deps.server,
          method,
        });
    }
  }

  /**
   * Forwards a notification, unless the stream that replaced this one has sent the same: a client that reads the resource then sees both
   * changes. In the other direction it may be another change, and is never dropped.
   */
  #forward(stream: Stream, bytes: Buffer, forward: (bytes: Buffer) => void): void {
    const own = withoutSubscriptionId(bytes);
    if (!own) {
      const { server, log } = this.#deps;
      log.warn('dropped an unreadable message of a listen stream', { server });
      return;
    }
    if (this.#old) {
      const key = own.toString('latin1');
      if (stream !== this.#old) this.#forwarded.add(key);
      else if (this.#forwarded.has(key)) return;
    }
    forward(own);
  }

  #open(): void {
    if (!this.#running || this.#isUnsupported) return;
    const topics = new Set(this.#deps.topics());
    const newest = this.#next ?? this.#current;
    if (newest && sameSet(newest.topics, topics)) return;
    this.#close(this.#next);
    this.#next = undefined;
    const filter = filterOf(this.#deps.capabilities(), topics);
    if (!filter) {
      this.#close(this.#current);
      this.#current = undefined;
      return;
    }
    const request = this.#deps.open(LISTEN, JSON.stringify({ notifications: filter }));
    const stream: Stream = {
      request,
      topics,
      opened: performance.now(),
      granted: undefined,
      closed: false,
      timer: undefined,
    };
    const giveUp = this.#guard(() => {
      this.#close(stream);
      this.#ended(stream, new GatewayError('upstream_timeout', 'it was not acknowledged'));
    });
    stream.timer = setTimeout(giveUp, ACKNOWLEDGE_MS).unref();
    if (this.#current) this.#next = stream;
    else this.#current = stream;
    const answered = request.answer.then(
      () => {
        if (!stream.closed) this.#ended(stream, undefined);
      },
      (error: unknown) => {
        if (!stream.closed) this.#ended(stream, asGatewayError(error, this.#deps.server));
      },
    );
    this.#deps.boundary.detach('listen', answered);
  }

  #acknowledge(stream: Stream, granted: NonNullable<ListenParams['notifications']>): void {
    if (stream.granted || stream === this.#old) return;
    clearTimeout(stream.timer);
    stream.granted = grantedTopics(granted);
    if (stream === this.#next) this.#replace(stream);
    this.#settleFirst();
    if (this.#gap || this.#late) this.#deps.missed();
    this.#gap = this.#late = false;
    for (const waiting of [...this.#waiting]) {
      if (stream.granted.has(waiting.topic)) waiting.settle();
      else if (stream.topics.has(waiting.topic)) waiting.settle(this.#refused(waiting.topic));
    }
    const refused = [...stream.topics].filter((topic) => !stream.granted?.has(topic)).length;
    if (refused > 0)
      this.#deps.log.info('the upstream does not notify all that it was asked to', {
        server: this.#deps.server,
        refused,
      });
  }

  /** The new stream is acknowledged. The old one, on a connection of its own, may have sent something that is not read yet. */
  #replace(stream: Stream): void {
    this.#close(this.#old);
    const old = (this.#old = this.#current);
    this.#current = stream;
    this.#next = undefined;
    this.#forwarded.clear();
    const end = (): void => {
      if (this.#old !== old) return;
      this.#close(old);
      this.#old = undefined;
    };
    // On a common channel all of it has been read.
    if (this.#deps.ordered()) end();
    else setImmediate(() => setImmediate(this.#guard(end)));
  }

  /** The server ended it, or it broke. */
  #ended(stream: Stream, error: GatewayError | undefined): void {
    clearTimeout(stream.timer);
    if (stream === this.#old) {
      this.#old = undefined;
      return;
    }
    if (stream === this.#next) this.#next = undefined;
    else if (stream === this.#current) {
      this.#current = undefined;
      this.#gap = true;
      // The pending stream replaces it.
      if (this.#next) {
        this.#current = this.#next;
        this.#next = undefined;
        return;
      }
    } else return;
    if (!this.#running) return;
    const { log, server } = this.#deps;
    if (error && isUnknown(error)) {
      this.#isUnsupported = true;
      log.info('the upstream does not notify changes: its lists are read at intervals alone', { server });
      this.#settleFirst();
      for (const waiting of [...this.#waiting]) waiting.settle(this.#refused(waiting.topic));
      return;
    }
    if (stream.granted && performance.now() - stream.opened > STEADY_MS) this.#failures = 0;
    log.debug('a listen stream ended', { server, error: error?.message });
    if (error && !stream.granted)
      for (const waiting of [...this.#waiting]) if (stream.topics.has(waiting.topic)) waiting.settle(error);
    this.#failures++;
    const wait = Math.max(BACKOFF_BASE_MS / 2, backoffMs(this.#failures, BACKOFF_BASE_MS, BACKOFF_MAX_MS));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#openLater, wait).unref();
  }

  #guard(work: () => void): () => void {
    return this.#deps.boundary.guard('listen', work);
  }

  #close(stream: Stream | undefined): void {
    if (!stream || stream.closed) return;
    stream.closed = true;
    clearTimeout(stream.timer);
    stream.request.call.cancel('no longer listening');
  }

  #settleFirst(): void {
    this.#acknowledged?.();
    this.#acknowledged = undefined;
  }

  #refused(topic: Topic): GatewayError {
    return new GatewayError(
      'invalid_params',
      `upstream '${this.#deps.server}' does not notify updates of ${nameOf(topic).slice(0, 256)}`,
    );
  }
}

function isUnknown(error: GatewayError): boolean {
  const { status } = (error.data ?? {}) as { status?: unknown };
  return rpcCodeOf(error) === METHOD_NOT_FOUND || status === 404 || status === 405;
}

function sameSet(a: ReadonlySet<Topic>, b: ReadonlySet<Topic>): boolean {
  return a.size === b.size && [...a].every((each) => b.has(each));
}
