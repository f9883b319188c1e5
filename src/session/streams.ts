/**
 * Resumable streams (2025-11-25, basic/transports, "Resumability and Redelivery"): events are kept for a while and sent again to a client
 * that reconnects with the id of the last event it saw. An event id has the form `<stream>-<event>`: streams of calls have positive
 * numbers, and 0 is the server-to-client stream. In a fleet it is `<generation>-<stream>-<event>`, for calls with the id of the request
 * after that, so that whoever goes on with the session can tell what is lost. Large answers are not kept: while the client is disconnected, the server waits.
 */
import type { Notice, StreamTarget } from '../protocol/ports.js';
import { CallStream, type CallStreamDeps, type StreamControl } from './call-stream.js';
import { eventIdOf, firstPart, lastPart } from './event-ids.js';
import { MAX_BYTES, MAX_EVENTS, RecentEvents, type EventLog } from './event-log.js';
import type { Session } from './store.js';

/** Maximum number of call streams that are kept for a session. Beyond it, the oldest one whose call has ended is dropped. */
const MAX_STREAMS = 256;
/** Maximum bytes that wait for a client that does not read. */
const MAX_BACKLOG = 1_048_576;
/** The first revision with event ids. */
const FIRST_RESUMABLE = '2025-03-26';
/** The first revision whose streams begin with an event that has an id and no message. */
const FIRST_PRIMED = '2025-11-25';

export interface StreamsDeps extends CallStreamDeps {
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
  /** What of a session's calls could be resumed here: nothing, calls that have ended, or some that run or are awaited. */
  kept(session: Session): 'nothing' | 'ended' | 'running';
  /** Whether the client of a call has lost its connection a moment ago: it comes back for what follows. */
  awaits(session: Session): boolean;
  /** Ends all streams of a session. */
  drop(session: Session): void;
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
        // A stream of its own: its client may come back with this id, which must not lead to another call.
        const number = streamsOf(session).nextCall++;
        target.end(
          deps.gone?.(event.rawId),
          `${firstPart(session, number)}-1${lastPart(session, event.rawId)}`,
        );
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
      for (const { ended, isAwaited } of bySession.get(session)?.calls.values() ?? [])
        if (ended && !isAwaited) found = 'ended';
        else return 'running';
      return found;
    },
    awaits: (session) => [...(bySession.get(session)?.calls.values() ?? [])].some((call) => call.isAwaited),
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
