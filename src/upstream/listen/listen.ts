/**
 * What a modern upstream tells by itself (2026-07-28, basic/patterns/subscriptions): one listen request stands open. Other resources
 * or tasks mean another request, which takes the place of the first once it is acknowledged.
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

/** Changes of what is to be heard within this time make one request. */
const DEBOUNCE_MS = 5;
/** How long who subscribes waits for the acknowledgement. */
const GRANT_MS = 2000;
/** A stream that is not acknowledged in this time is no stream. */
const ACKNOWLEDGE_MS = 10_000;
const BACKOFF_BASE_MS = 1000;
const BACKOFF_MAX_MS = 30_000;
/** A stream that lived for so long is no sign that the next one will not. */
const STEADY_MS = 5000;

const METHOD_NOT_FOUND = -32601;

export interface ListenDeps {
  readonly server: string;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly open: (method: string, params: string) => OwnRequest;
  /** Everything comes over one channel, in order. */
  readonly ordered: () => boolean;
  /** What the upstream declared. */
  readonly capabilities: () => Readonly<Record<string, unknown>>;
  /** What somebody wants to hear of. */
  readonly topics: () => readonly Topic[];
  /** Something may have changed that nobody told. */
  readonly missed: () => void;
  readonly listChanged: () => void;
  readonly updated: (uri: string, notice: Notice) => void;
  readonly taskStatus: (taskId: string, notice: Notice) => void;
}

interface Stream {
  readonly request: OwnRequest;
  /** What was asked for. */
  readonly topics: ReadonlySet<Topic>;
  readonly opened: number;
  /** What of it was granted; undefined: not acknowledged yet. */
  granted: ReadonlySet<Topic> | undefined;
  /** Closed by us: how it ends is of no interest. */
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
  /** The upstream has no such method: it is not asked again before the next connection. */
  #none = false;
  #current: Stream | undefined;
  /** On its way to take the place of `#current`. */
  #next: Stream | undefined;
  /** Replaced, but for a moment still heard. */
  #old: Stream | undefined;
  /** What the new stream has told since the old one was replaced. */
  readonly #told = new Set<string>();
  /** A stream broke, and none has been acknowledged since. */
  #gap = false;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #acknowledged: (() => void) | undefined;
  /** The first acknowledgement came when nobody waited for it any more. */
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

  /** Begins to listen. Resolves when that is acknowledged, refused, or has taken `patienceMs`. */
  start(patienceMs: number): Promise<void> {
    this.#running = true;
    this.#none = false;
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

  /** What is to be heard is another thing. */
  update(): void {
    if (!this.#running || this.#none) return;
    // One that waits after a failure asks for what is wanted then.
    this.#timer ??= setTimeout(this.#openLater, DEBOUNCE_MS);
  }

  /** Resolves once the upstream has granted `topic`, which is among those asked for already. */
  granted(topic: Topic): Promise<void> {
    const { server } = this.#deps;
    if (!this.#running)
      return Promise.reject(
        new GatewayError('upstream_disconnected', `upstream '${server}' is disconnected`),
      );
    if (this.#none) return Promise.reject(this.#refused(topic));
    // One that is on its way without it takes the place of one that has it.
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

  /** A message with the subscription id `id`. */
  heard(id: unknown, method: string, params: ListenParams, bytes: Buffer): void {
    const stream = [this.#current, this.#next, this.#old].find((each) => each?.request.call.id === id);
    if (!stream) return;
    switch (method) {
      case 'notifications/subscriptions/acknowledged':
        this.#acknowledge(stream, params.notifications ?? {});
        return;
      case 'notifications/cancelled':
        // Over stdio a server ends a stream so, with or without an answer to the request before.
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
        this.#tell(stream, bytes, (own) => {
          this.#deps.updated(uri, { method, bytes: own });
        });
        return;
      }
      case 'notifications/tasks': {
        const { taskId } = params;
        if (typeof taskId !== 'string') return;
        this.#tell(stream, bytes, (own) => {
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
   * Hands a message on, unless the stream that took the place of this one has told the same: whoever looks then sees both. The
   * other way round it may be news again, and is never dropped.
   */
  #tell(stream: Stream, bytes: Buffer, tell: (bytes: Buffer) => void): void {
    const own = withoutSubscriptionId(bytes);
    if (!own) {
      const { server, log } = this.#deps;
      log.warn('dropped an unreadable message of a listen stream', { server });
      return;
    }
    if (this.#old) {
      const key = own.toString('latin1');
      if (stream !== this.#old) this.#told.add(key);
      else if (this.#told.has(key)) return;
    }
    tell(own);
  }

  #open(): void {
    if (!this.#running || this.#none) return;
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
      this.#deps.log.info('an upstream does not tell of all it was asked to', {
        server: this.#deps.server,
        refused,
      });
  }

  /** The new stream stands. On a connection of its own the old one may have told something that is yet to be read. */
  #replace(stream: Stream): void {
    this.#close(this.#old);
    const old = (this.#old = this.#current);
    this.#current = stream;
    this.#next = undefined;
    this.#told.clear();
    const end = (): void => {
      if (this.#old !== old) return;
      this.#close(old);
      this.#old = undefined;
    };
    // On one channel for both all of it has been read.
    if (this.#deps.ordered()) end();
    else setImmediate(() => setImmediate(this.#guard(end)));
  }

  /** The upstream ended it, or it broke. */
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
      // What is on its way takes its place.
      if (this.#next) {
        this.#current = this.#next;
        this.#next = undefined;
        return;
      }
    } else return;
    if (!this.#running) return;
    const { log, server } = this.#deps;
    if (error && isUnknown(error)) {
      this.#none = true;
      log.info('the upstream does not tell of changes: its lists are read by the clock alone', { server });
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
      `upstream '${this.#deps.server}' does not tell of updates of ${nameOf(topic).slice(0, 256)}`,
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
