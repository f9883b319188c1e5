/**
 * Resumable streams (2025-11-25, basic/transports, "Resumability and Redelivery"): events are kept for a while and sent again to a client
 * that reconnects with the id of the last event it saw. An event id has the form `<stream>-<event>`: streams of calls have positive
 * numbers, and 0 is the server-to-client stream. In a fleet it is `<generation>-<stream>-<event>`, for calls with the id of the request
 * after that, so that whoever goes on with the session can tell what is lost. Large answers are not kept: while the client is disconnected, the server waits.
 */
import type { Wheel, WheelTimer } from '../lib/wheel.js';
import type { AnswerHead, Cause, Notice, StreamTarget } from '../protocol/ports.js';
import { eventIdOf, firstPart, lastPart } from './event-ids.js';
import { MAX_BYTES, MAX_EVENTS, RecentEvents, type EventLog } from './event-log.js';
import type { Session } from './store.js';

/** An answer up to this size is kept as one event; a larger one is streamed. */
const LARGE = 65_536;
/** Maximum number of call streams that are kept for a session. Beyond it, the oldest one whose call has ended is dropped. */
const MAX_STREAMS = 256;
/** Maximum bytes that wait for a client that does not read. */
const MAX_BACKLOG = 1_048_576;
/** The first revision with event ids. */
const FIRST_RESUMABLE = '2025-03-26';
/** The first revision whose streams begin with an event that has an id and no message. */
const FIRST_PRIMED = '2025-11-25';

/** How a stream controls the call that it carries. */
export interface StreamControl {
  resume(): void;
  cancel(why: Cause): void;
}

/** The control of a call that has ended. */
const OVER: StreamControl = { resume() {}, cancel() {} };

export interface StreamsDeps {
  readonly wheel: Wheel;
  /** http.resume_seconds, in ms. */
  readonly resumeMs: number;
  /** limits.replay_bytes; a reload may change it. */
  readonly replayBytes: () => number;
  /** Called when events are dropped, because a limit was reached or a client reads too slowly. */
  readonly dropped: (reason: string) => void;
  /** The client of a session that another process had opens its stream: tells it that each of its lists may have changed. */
  readonly reopened?: (session: Session) => void;
  /** The message for a request, whose id is JSON, that another process had, which is gone. */
  readonly gone?: (rawId: string) => Buffer;
}

/** The server-to-client stream of a session. */
export type SingleStream = Pick<StreamTarget, 'backlog' | 'event' | 'end' | 'destroy'> &
  Partial<Pick<StreamTarget, 'retryIn'>>;

export interface Streams {
  /** Opens the stream of a call; undefined: the session's revision has no resumable streams. `rawId`: JSON of the id of its request. */
  open(session: Session, target: StreamTarget, control: StreamControl, rawId: string): CallStream | undefined;
  /** Opens the server-to-client stream; an older one ends. Returns a function to call when the client has disconnected. */
  listen(session: Session, target: StreamTarget): () => void;
  /** Attaches the only stream of a client, which cannot be resumed. Returns a function to call when the client has disconnected. */
  attach(session: Session, stream: SingleStream): () => void;
  /**
   * Resumes a stream: sends the missed events, then new ones. Returns a function to call when the client has disconnected, or why the
   * stream cannot be resumed.
   */
  resume(session: Session, lastEventId: string, open: () => StreamTarget): (() => void) | string;
  /** Sends a message on the server-to-client stream. false: there is none, or its client does not read. */
  notify(session: Session, notice: Notice): boolean;
  /** Sends a message on the server-to-client stream; if there is none yet, the message waits for it. */
  notifyOnceOpen(session: Session, notice: Notice): void;
  /** Ends the server-to-client stream of a session; its calls continue. `retryMs`: when its client should come back. */
  endServerStream(session: Session, retryMs?: number): void;
  /** What of a session's calls could be resumed here: nothing, calls that have ended, or some that run. */
  kept(session: Session): 'nothing' | 'ended' | 'running';
  /** Ends all streams of a session. */
  drop(session: Session): void;
}

/** The stream of one call, with or without a connected client. */
export class CallStream {
  readonly #log: EventLog;
  /** Replaced by OVER when the call has ended, so that kept events do not keep its exchange in memory. */
  #control: StreamControl;
  readonly #deps: StreamsDeps;
  /** Called when the stream can no longer be resumed. */
  readonly #gone: () => void;
  #target: StreamTarget | undefined;
  #head: AnswerHead | undefined;
  #whole: Buffer | undefined;
  /** Chunks of a large answer that arrived while no client was connected. */
  #held: Buffer[] = [];
  /** Whether a large answer has begun: its chunks are sent as they arrive. */
  #flowing = false;
  #ended = false;
  #timer: WheelTimer | undefined;

  constructor(
    log: EventLog,
    target: StreamTarget,
    control: StreamControl,
    deps: StreamsDeps,
    gone: () => void,
  ) {
    this.#log = log;
    this.#control = control;
    this.#deps = deps;
    this.#gone = gone;
    this.#target = target;
    target.drained = () => {
      control.resume();
    };
  }

  /** Whether the call has ended. Its events were sent, or are kept. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Ends the stream, which can no longer be resumed. */
  forget(): void {
    this.destroy();
    this.#gone();
  }

  retryIn(ms: number): void {
    this.#target?.retryIn(ms);
  }

  event(bytes: Buffer): boolean {
    const id = this.#log.push(bytes);
    return this.#target?.event(bytes, id) ?? true;
  }

  start(head: AnswerHead): void {
    this.#head = head;
  }

  write(chunk: Buffer): boolean {
    if (chunk.length === this.#head?.bytes && chunk.length <= LARGE) {
      this.#whole = chunk;
      return true;
    }
    const target = this.#target;
    if (!target || this.#held.length > 0) {
      this.#held.push(chunk);
      return false;
    }
    this.#begin(target);
    return target.chunk(chunk);
  }

  end(): void {
    if (this.#whole) this.event(this.#whole);
    this.#whole = undefined;
    this.#ended = true;
    if (this.#held.length > 0) return;
    if (this.#flowing) this.#target?.finish();
    this.#flowing = false;
    this.#close();
  }

  /** Ends a call without a complete answer. `last`: the error that is sent instead. */
  fail(last: Buffer | undefined): void {
    this.#ended = true;
    this.#held = [];
    const id = last && this.#log.push(last);
    this.#target?.end(last, id);
    this.#flowing = false;
    this.#target = undefined;
    this.#keep();
  }

  /** The connection of `target` has ended. */
  left(target: StreamTarget): void {
    if (this.#target !== target) return;
    this.#target = undefined;
    if (this.#flowing) {
      // A large answer was sent in part and was not kept, so the stream cannot be resumed.
      this.#control.cancel('client gone');
      this.#gone();
      return;
    }
    this.#keep();
    // Events for a disconnected client are kept, so the server need not wait for it.
    this.#control.resume();
  }

  /** Whether all events after `seq` are still kept. */
  has(seq: number): boolean {
    return this.#log.after(seq) !== undefined;
  }

  /** Whether the call has ended and no event follows `seq`. */
  isOverAfter(seq: number): boolean {
    return this.#ended && this.#held.length === 0 && this.#log.after(seq)?.length === 0;
  }

  attach(target: StreamTarget, after: number): void {
    const events = this.#log.after(after) ?? [];
    this.#target?.end();
    this.#timer?.cancel();
    this.#target = target;
    target.drained = () => {
      this.#control.resume();
    };
    for (const { id, bytes } of events) target.event(bytes, id);
    const held = this.#held;
    this.#held = [];
    if (held.length > 0) {
      this.#begin(target);
      for (const chunk of held) target.chunk(chunk);
      if (this.#ended) target.finish();
    }
    if (this.#ended) {
      this.#flowing = false;
      this.#close();
    } else this.#control.resume();
  }

  cancel(why: Cause): void {
    this.#control.cancel(why);
  }

  destroy(): void {
    this.#timer?.cancel();
    this.#target?.end();
    this.#target = undefined;
    this.#held = [];
    this.#log.clear();
  }

  #begin(target: StreamTarget): void {
    if (this.#flowing) return;
    this.#flowing = true;
    target.begin(this.#log.nextId());
  }

  #close(): void {
    this.#target?.end();
    this.#target = undefined;
    this.#keep();
  }

  /** Keeps the events for http.resume_seconds. */
  #keep(): void {
    const { wheel, resumeMs } = this.#deps;
    this.#timer?.cancel();
    if (this.#ended) this.#control = OVER;
    const drop = (): void => {
      if (!this.#ended) this.#control.cancel('client gone');
      this.#gone();
    };
    this.#timer = wheel.after(resumeMs, drop);
    // A timer of 0 ms never fires.
    if (resumeMs === 0) drop();
  }
}

/** The streams of one session. */
interface SessionStreams {
  readonly calls: Map<number, CallStream>;
  nextCall: number;
  /** The events of the server-to-client stream, kept while a client may resume it. */
  log: EventLog | undefined;
  /** The server-to-client stream; undefined: the client has not opened it, or has disconnected. */
  target: SingleStream | undefined;
  /** Messages for a stream that the client has not opened yet. */
  waiting: Notice[];
}

/** Maximum number of messages that wait for a stream. Their bytes are limited by MAX_BACKLOG. */
const MAX_WAITING = 64;

export function createStreams(deps: StreamsDeps): Streams {
  const bySession = new Map<Session, SessionStreams>();
  /** Logs that hold events, oldest first. */
  const logs = new Set<EventLog>();
  /** Bytes in all logs. */
  let kept = 0;

  /** Counts `bytes` more or less in a log, and clears the oldest logs beyond limits.replay_bytes. */
  function account(log: EventLog, bytes: number): void {
    kept += bytes;
    if (log.bytes > 0) logs.add(log);
    else logs.delete(log);
    while (kept > deps.replayBytes()) {
      const oldest = logs.values().next().value;
      if (!oldest) return;
      deps.dropped('replay_bytes');
      oldest.clear();
    }
  }

  function streamsOf(session: Session): SessionStreams {
    let streams = bySession.get(session);
    if (!streams)
      bySession.set(
        session,
        (streams = { calls: new Map(), nextCall: 1, log: undefined, target: undefined, waiting: [] }),
      );
    return streams;
  }

  /** Makes `target` the server-to-client stream. Returns a function to call when the client has disconnected. */
  function connect(session: Session, streams: SessionStreams, target: SingleStream): () => void {
    const older = streams.target;
    streams.target = target;
    older?.end();
    session.listening = true;
    return () => {
      if (streams.target !== target) return;
      streams.target = undefined;
      session.listening = false;
    };
  }

  return {
    open(session, target, control, rawId) {
      if (session.revision < FIRST_RESUMABLE) return undefined;
      const streams = streamsOf(session);
      const number = streams.nextCall++;
      const log = new RecentEvents(firstPart(session, number), account, lastPart(session, rawId));
      const stream = new CallStream(log, target, control, deps, () => {
        streams.calls.delete(number);
        log.clear();
      });
      streams.calls.set(number, stream);
      if (streams.calls.size > MAX_STREAMS)
        for (const oldest of streams.calls.values())
          if (oldest.ended) {
            oldest.forget();
            break;
          }
      if (session.revision >= FIRST_PRIMED) target.prime(log.lastId);
      return stream;
    },
    listen(session, target) {
      const streams = streamsOf(session);
      // The numbers of events continue, so that an id of the previous stream does not name an event of this one.
      streams.log?.clear();
      if (session.revision >= FIRST_RESUMABLE)
        streams.log ??= new RecentEvents(firstPart(session, 0), account);
      const left = connect(session, streams, target);
      if (streams.log && session.revision >= FIRST_PRIMED) target.prime(streams.log.lastId);
      for (const notice of streams.waiting.splice(0))
        target.event(notice.bytes, streams.log?.push(notice.bytes));
      return left;
    },
    attach(session, stream) {
      const streams = streamsOf(session);
      const left = connect(session, streams, stream);
      for (const { bytes } of streams.waiting.splice(0)) stream.event(bytes, undefined);
      return left;
    },
    resume(session, lastEventId, open) {
      const event = eventIdOf(session, lastEventId);
      const streams = bySession.get(session);
      const kept = `events are kept for ${deps.resumeMs / 1000} s, ${MAX_EVENTS} or ${MAX_BYTES} bytes a stream`;
      const unknown = `the event '${lastEventId.slice(0, 64)}' is not one of this session's, or too old: ${kept}`;
      if (event?.isOlder) {
        const target = open();
        if (event.number === 0) {
          const left = this.listen(session, target);
          deps.reopened?.(session);
          return left;
        }
        const { number, seq, rawId } = event;
        const id = `${firstPart(session, number)}-${seq + 1}${lastPart(session, rawId)}`;
        target.end(deps.gone?.(rawId), id);
        return () => undefined;
      }
      if (!event || !streams) return unknown;
      const { number, seq } = event;
      if (number === 0) {
        const events = streams.log?.after(seq);
        if (!events) return unknown;
        const target = open();
        const left = connect(session, streams, target);
        for (const { id, bytes } of events) target.event(bytes, id);
        // Messages that wait arrived after the stream had ended, so they are among the events that were just sent.
        streams.waiting = [];
        return left;
      }
      const stream = streams.calls.get(number);
      if (!stream) return unknown;
      if (!stream.has(seq)) {
        stream.cancel('client came back too late');
        return unknown;
      }
      // A client reconnects after an empty stream.
      if (stream.isOverAfter(seq)) return `nothing follows the event '${lastEventId}': its call has ended`;
      const target = open();
      stream.attach(target, seq);
      return () => {
        stream.left(target);
      };
    },
    notifyOnceOpen(session, notice) {
      if (!session.open || this.notify(session, notice)) return;
      const { waiting } = streamsOf(session);
      const bytes = waiting.reduce((sum, each) => sum + each.bytes.length, 0);
      // A single message may be larger than the limit: a request can have images.
      const fits = waiting.length === 0 || bytes + notice.bytes.length <= MAX_BACKLOG;
      if (fits && waiting.length < MAX_WAITING) waiting.push(notice);
      else deps.dropped('no_stream');
    },
    notify(session, notice) {
      const streams = bySession.get(session);
      if (!streams) return false;
      const id = streams.log?.push(notice.bytes);
      const { target } = streams;
      if (!target) return false;
      if (target.backlog > MAX_BACKLOG) {
        deps.dropped('slow_client');
        target.destroy();
        return false;
      }
      target.event(notice.bytes, id);
      return true;
    },
    endServerStream(session, retryMs) {
      const target = bySession.get(session)?.target;
      if (retryMs !== undefined) target?.retryIn?.(retryMs);
      target?.end();
    },
    kept(session) {
      let found: 'nothing' | 'ended' = 'nothing';
      for (const { ended } of bySession.get(session)?.calls.values() ?? [])
        if (ended) found = 'ended';
        else return 'running';
      return found;
    },
    drop(session) {
      const streams = bySession.get(session);
      if (!streams) return;
      bySession.delete(session);
      streams.target?.end();
      streams.log?.clear();
      for (const stream of streams.calls.values()) stream.destroy();
    },
  };
}
