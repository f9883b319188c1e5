/**
 * Resumable streams (2025-11-25, basic/transports, "Resumability and Redelivery"): events are kept for a while and sent again to a client
 * that reconnects with the id of the last event it saw. Streams of calls have positive numbers; 0 is the server-to-client stream. Large
 * answers are never kept: while the client is away, their server waits.
 */
import type { Wheel, WheelTimer } from '../lib/wheel.js';
import type { AnswerHead, Cause, Notice, StreamTarget } from '../protocol/ports.js';
import { MAX_BYTES, MAX_EVENTS, RecentEvents, type EventLog } from './event-log.js';
import type { Session } from './store.js';

/** An answer up to this size is kept as one event; a larger one is streamed. */
const LARGE = 65_536;
/** Streams that are kept per session, at the most; the oldest is dropped. */
const MAX_STREAMS = 256;
/** Bytes that wait for a client that does not read, at the most. */
const MAX_BACKLOG = 1_048_576;
const FIRST_RESUMABLE = '2025-03-26';
const FIRST_PRIMED = '2025-11-25';

/** How a stream controls the call that it carries. */
export interface StreamControl {
  resume(): void;
  cancel(why: Cause): void;
}

const OVER: StreamControl = { resume() {}, cancel() {} };

export interface StreamsDeps {
  readonly wheel: Wheel;
  /** http.resume_seconds, in ms. */
  readonly resumeMs: number;
  /** limits.replay_bytes; a reload may change it. */
  readonly replayBytes: () => number;
  /** Events were dropped: a bound was reached, or a client read too slowly. */
  readonly dropped: (reason: string) => void;
}

/** The server-to-client streams of sessions. */
export type SingleStream = Pick<StreamTarget, 'backlog' | 'event' | 'end' | 'destroy'>;

export interface Streams {
  /** The stream of a call that sends events; undefined: the session's revision has no resumable streams. */
  open(session: Session, target: StreamTarget, control: StreamControl): CallStream | undefined;
  /** Opens a server-to-client stream; an older one ends. Returns a function to call when the client has left. */
  listen(session: Session, target: StreamTarget): () => void;
  /** The same for a client with a single stream, which cannot be resumed. */
  attach(session: Session, stream: SingleStream): () => void;
  /**
   * Resumes a stream: sends the missed events, then new ones. Returns a function to call when the client has left, or why it cannot be
   * resumed.
   */
  resume(session: Session, lastEventId: string, open: () => StreamTarget): (() => void) | string;
  /** Sends a message on the server-to-client stream. false: there is none, or its client does not read. */
  notify(session: Session, notice: Notice): boolean;
  /** The same; if there is no stream yet, the message waits for it. */
  notifyOnceOpen(session: Session, notice: Notice): void;
  /** Ends the server-to-client stream of a session; its calls continue. */
  endServerStream(session: Session): void;
  /** Ends all streams of a session. */
  drop(session: Session): void;
}

/** The stream of one call, with or without a connected client. */
export class CallStream {
  readonly #log: EventLog;
  /** Released when the call is over, so that kept events do not keep the exchange alive. */
  #control: StreamControl;
  readonly #deps: StreamsDeps;
  readonly #gone: () => void;
  #target: StreamTarget | undefined;
  #head: AnswerHead | undefined;
  #whole: Buffer | undefined;
  /** Chunks of a large answer that arrived while no client was connected. */
  #held: Buffer[] = [];
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

  /** The call is over, and its events are sent or kept. */
  get ended(): boolean {
    return this.#ended;
  }

  /** It cannot be resumed any more. */
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

  /** Ends a call without an answer, or with half of one. `last`: the error that takes its place. */
  fail(last: Buffer | undefined): void {
    this.#ended = true;
    this.#held = [];
    const id = last && this.#log.push(last);
    this.#target?.end(last, id);
    this.#flowing = false;
    this.#target = undefined;
    this.#keep();
  }

  /** The connection under `target` has ended. */
  left(target: StreamTarget): void {
    if (this.#target !== target) return;
    this.#target = undefined;
    if (this.#flowing) {
      // Half of a large answer was sent and none of it was kept: it cannot be resumed.
      this.#control.cancel('client gone');
      this.#gone();
      return;
    }
    this.#keep();
    // Stop waiting for a slow client: events for an absent one are kept.
    this.#control.resume();
  }

  /** Whether all events after `seq` are still kept. */
  has(seq: number): boolean {
    return this.#log.after(seq) !== undefined;
  }

  /** `seq` is the last event, and it is still kept. */
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

  /** Resumable. */
  #keep(): void {
    this.#timer?.cancel();
    if (this.#ended) this.#control = OVER;
    this.#timer = this.#deps.wheel.after(this.#deps.resumeMs, () => {
      if (!this.#ended) this.#control.cancel('client gone');
      this.#gone();
    });
    if (this.#deps.resumeMs === 0) {
      if (!this.#ended) this.#control.cancel('client gone');
      this.#gone();
    }
  }
}

/** The streams of one session. */
interface SessionStreams {
  readonly calls: Map<number, CallStream>;
  nextCall: number;
  /** The server-to-client stream. Its log is kept while a client may resume it. */
  log: EventLog | undefined;
  target: SingleStream | undefined;
  /** Messages for a stream that the client has not opened yet. */
  waiting: Notice[];
}

/** Messages that wait for a stream, at the most; their bytes are bounded like those of a stream. */
const MAX_WAITING = 64;

export function createStreams(deps: StreamsDeps): Streams {
  const bySession = new Map<Session, SessionStreams>();
  /** Logs that hold events, oldest first. */
  const logs = new Set<EventLog>();
  let kept = 0;

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

  function of(session: Session): SessionStreams {
    let streams = bySession.get(session);
    if (!streams)
      bySession.set(
        session,
        (streams = { calls: new Map(), nextCall: 1, log: undefined, target: undefined, waiting: [] }),
      );
    return streams;
  }

  function hear(session: Session, streams: SessionStreams, target: SingleStream): () => void {
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
    open(session, target, control) {
      if (session.revision < FIRST_RESUMABLE) return undefined;
      const streams = of(session);
      const number = streams.nextCall++;
      const log = new RecentEvents(number, account);
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
      const streams = of(session);
      // Numbering continues: ids of the previous stream must not name events of this one.
      streams.log?.clear();
      if (session.revision >= FIRST_RESUMABLE) streams.log ??= new RecentEvents(0, account);
      const left = hear(session, streams, target);
      if (streams.log && session.revision >= FIRST_PRIMED) target.prime(streams.log.lastId);
      for (const notice of streams.waiting.splice(0))
        target.event(notice.bytes, streams.log?.push(notice.bytes));
      return left;
    },
    attach(session, stream) {
      const streams = of(session);
      const left = hear(session, streams, stream);
      for (const { bytes } of streams.waiting.splice(0)) stream.event(bytes, undefined);
      return left;
    },
    resume(session, lastEventId, open) {
      const parts = /^(\d{1,9})-(\d{1,9})$/.exec(lastEventId);
      const streams = bySession.get(session);
      const unknown = `the event '${lastEventId.slice(0, 64)}' is not one of this session's, or too old: events are kept for ${deps.resumeMs / 1000} s, ${MAX_EVENTS} or ${MAX_BYTES} bytes a stream`;
      if (!parts || !streams) return unknown;
      const [number, seq] = [Number(parts[1]), Number(parts[2])];
      if (number === 0) {
        const events = streams.log?.after(seq);
        if (!events) return unknown;
        const target = open();
        const left = hear(session, streams, target);
        for (const { id, bytes } of events) target.event(bytes, id);
        // Waiting messages arrived after the stream had ended and are among the kept ones.
        streams.waiting = [];
        return left;
      }
      const stream = streams.calls.get(number);
      if (!stream) return unknown;
      if (!stream.has(seq)) {
        stream.cancel('client came back too late');
        return unknown;
      }
      // An empty stream would only make the client reconnect.
      if (stream.isOverAfter(seq)) return `nothing follows the event '${lastEventId}': its call has ended`;
      const target = open();
      stream.attach(target, seq);
      return () => {
        stream.left(target);
      };
    },
    notifyOnceOpen(session, notice) {
      if (!session.open || this.notify(session, notice)) return;
      const { waiting } = of(session);
      const bytes = waiting.reduce((sum, each) => sum + each.bytes.length, 0);
      // The first one may be a request with images.
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
    endServerStream(session) {
      bySession.get(session)?.target?.end();
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
