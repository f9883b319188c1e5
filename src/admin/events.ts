/**
 * The events of the console: a snapshot of each topic, then what changed, gathered for 100 ms. What is sent is made once for all watchers. A
 * watcher that reads slowly misses calls and is told how many; one that does not read is disconnected.
 */
import { GatewayError } from '../errors.js';
import type { ListKind } from '../protocol/shapes.js';
import type { ListPart, Principal } from '../protocol/ports.js';
import { TOPICS, type ChangeEvent, type SessionRow, type SnapshotEvent, type Topic } from './schemas.js';
import { counted, listed, type Listed } from './servers.js';
import { sessionRows } from './sessions.js';
import type { AdminSource, ApprovalNews, Outlet } from './source.js';

const TICK_MS = 100;
const MOST_WATCHERS = 16;
/** With more unread bytes, calls are left out; with still more, the watcher is disconnected. */
const SLOW_BYTES = 262_144;
const DEAD_BYTES = 1_048_576;
/** Calls in one event; of more, the last ones: describing each of thousands a second would cost more than the calls. */
const MOST_CALLS = 20;
/** Calls and lines in the snapshot. */
const MOST_SHOWN = 500;
/** Every so many ticks: the rights of watchers, figures that change with each call. */
const SECOND = 1000 / TICK_MS;
/** Every so many ticks: when clients were last seen. */
const SEEN = 5 * SECOND;
const KINDS: readonly ListKind[] = ['tools', 'prompts', 'resources', 'templates'];

export interface Watching {
  readonly principal: Principal;
  readonly topics: ReadonlySet<Topic>;
  /** The path of the stream, for entries of mcp.auth.admins with routes. */
  readonly path: string;
}

interface Watcher extends Watching {
  readonly outlet: Outlet;
  /** Calls that it missed. */
  dropped: number;
  /** Ends the watching of calls. */
  readonly over: (() => void) | undefined;
  lastWrite: number;
}

/** What was sent of a server last. */
interface Sent {
  mark: string;
  word: string;
  inFlight: number;
}

export function isTopic(text: string): text is Topic {
  return (TOPICS as readonly string[]).includes(text);
}

export class EventHub {
  readonly #source: AdminSource;
  readonly #guard: (work: () => void) => () => void;
  readonly #watchers = new Set<Watcher>();
  readonly #servers = new Map<string, Sent>();
  #timer: NodeJS.Timeout | undefined;
  #ticks = 0;
  #seriesAt = 0;
  #logsAt = 0;
  #parts: readonly (readonly ListPart[])[] = [];
  #sessions = '';
  /** What watchers know; undefined: nobody has watched. */
  #approvals: ApprovalNews | undefined;
  #counting = false;
  #closed = false;

  /** `guard`: wraps what a timer runs. */
  constructor(source: AdminSource, guard: (work: () => void) => () => void) {
    this.#source = source;
    this.#guard = guard;
  }

  /** Why no more watchers are admitted; undefined: there is room. */
  get refusal(): GatewayError | undefined {
    if (this.#closed) return new GatewayError('unavailable', 'gateway shutting down');
    if (this.#watchers.size < MOST_WATCHERS) return undefined;
    return new GatewayError('busy', `${MOST_WATCHERS} consoles watch already: close one of them`);
  }

  /** Begins to send. Returns a function to call once the watcher has gone. */
  open(watching: Watching, outlet: Outlet): () => void {
    const { topics } = watching;
    const watches = topics.has('calls') || topics.has('sessions');
    const watcher: Watcher = {
      ...watching,
      outlet,
      dropped: 0,
      over: watches ? this.#source.watch.begin() : undefined,
      lastWrite: performance.now(),
    };
    if (this.#watchers.size === 0) this.#begin();
    this.#watchers.add(watcher);
    outlet.write('retry: 1000\n\n');
    for (const topic of topics) outlet.write(eventText('snapshot', this.#snapshot(topic)));
    return () => {
      this.#remove(watcher);
    };
  }

  close(): void {
    this.#closed = true;
    for (const watcher of [...this.#watchers]) this.#end(watcher);
  }

  #begin(): void {
    this.#servers.clear();
    this.#seriesAt = this.#source.series.ticks;
    this.#logsAt = this.#source.logs.count;
    this.#parts = this.#listed();
    this.#sessions = '';
    this.#approvals = undefined;
    this.#timer = setInterval(
      this.#guard(() => {
        this.#tick();
      }),
      TICK_MS,
    ).unref();
  }

  #end(watcher: Watcher): void {
    this.#remove(watcher);
    watcher.outlet.end();
  }

  #remove(watcher: Watcher): void {
    if (!this.#watchers.delete(watcher)) return;
    watcher.over?.();
    if (this.#watchers.size === 0) clearInterval(this.#timer);
  }

  #snapshot(topic: Topic): SnapshotEvent {
    const source = this.#source;
    switch (topic) {
      case 'status':
      case 'servers':
        return { topic, servers: listed(source).map((each) => each.row()) };
      case 'calls':
        return {
          topic,
          calls: source.watch
            .all()
            .slice(0, MOST_SHOWN)
            .map(({ shown }) => shown),
        };
      case 'sessions':
        return { topic, sessions: sessionRows(source) };
      case 'logs':
        return { topic, logs: source.logs.since(0).slice(-MOST_SHOWN) };
      case 'series':
        return { topic, series: source.series.view() };
      case 'approvals': {
        const { news } = source.approvals;
        this.#approvals ??= news;
        return { topic, open: news.open };
      }
    }
  }

  #tick(): void {
    this.#ticks++;
    if (this.#ticks % SECOND === 0) this.#review();
    const changes = new Map<Topic, ChangeEvent>();
    this.#serverChanges(changes);
    const { calls, dropped } = this.#source.watch.takeNews(MOST_CALLS);
    if (calls.length > 0)
      changes.set('calls', {
        topic: 'calls',
        calls: calls.map(({ shown }) => shown),
        ...(dropped > 0 && { dropped }),
      });
    this.#sessionChanges(changes);
    const { logs, series } = this.#source;
    if (logs.count > this.#logsAt) {
      changes.set('logs', { topic: 'logs', logs: logs.since(this.#logsAt) });
      this.#logsAt = logs.count;
    }
    if (series.ticks > this.#seriesAt) {
      this.#seriesAt = series.ticks;
      changes.set('series', { topic: 'series', series: series.view(1) });
    }
    this.#approvalChanges(changes);
    const texts = new Map([...changes].map(([topic, change]) => [topic, eventText('change', change)]));
    for (const watcher of [...this.#watchers]) this.#send(watcher, changes, texts);
  }

  #send(watcher: Watcher, changes: ReadonlyMap<Topic, ChangeEvent>, texts: ReadonlyMap<Topic, string>): void {
    const { outlet, topics } = watcher;
    if (outlet.backlog > DEAD_BYTES) return this.#end(watcher);
    const now = performance.now();
    for (const [topic, text] of texts) {
      if (!topics.has(topic)) continue;
      watcher.lastWrite = now;
      if (topic !== 'calls') outlet.write(text);
      else this.#sendCalls(watcher, changes.get('calls') as ChangeEvent, text);
    }
    if (now - watcher.lastWrite < this.#source.keepAliveMs()) return;
    watcher.lastWrite = now;
    if (outlet.backlog === 0) outlet.write(': keep-alive\n\n');
  }

  #sendCalls(watcher: Watcher, change: ChangeEvent, text: string): void {
    const { outlet, dropped } = watcher;
    if (outlet.backlog > SLOW_BYTES) {
      watcher.dropped += (change.calls?.length ?? 0) + (change.dropped ?? 0);
      return;
    }
    watcher.dropped = 0;
    const missed = dropped + (change.dropped ?? 0);
    outlet.write(dropped === 0 ? text : eventText('change', { ...change, dropped: missed }));
  }

  /** Disconnects those who may not watch any more. */
  #review(): void {
    for (const watcher of [...this.#watchers]) {
      const { principal, path, topics } = watcher;
      const role = topics.has('logs') ? 'operator' : 'viewer';
      const isExpired = principal.expires !== undefined && principal.expires <= Date.now();
      if (!this.#source.config().console.enabled || isExpired || !this.#source.permits(principal, role, path))
        this.#end(watcher);
    }
  }

  #serverChanges(changes: Map<Topic, ChangeEvent>): void {
    if (!this.#isWatched('servers') && !this.#isWatched('status')) return;
    const source = this.#source;
    const isSecond = this.#ticks % SECOND === 0;
    const isNewStep = source.series.ticks > this.#seriesAt;
    const changed: Listed[] = [];
    const turned: Listed[] = [];
    const present = new Set<string>();
    for (const each of listed(source)) {
      const { name, status, inFlight } = each;
      present.add(name);
      const mark = each.mark();
      const word = `${status.word} ${status.cause ?? ''} ${status.since}`;
      const sent = this.#servers.get(name);
      if (sent?.word !== word) turned.push(each);
      if (sent?.mark !== mark || isNewStep || (isSecond && sent.inFlight !== inFlight)) changed.push(each);
      else continue;
      this.#servers.set(name, { mark, word, inFlight });
    }
    const removed = [...this.#servers.keys()].filter((name) => !present.has(name));
    for (const name of removed) this.#servers.delete(name);
    const parts = this.#listed();
    const lists = parts.some((part, i) => part !== this.#parts[i]);
    this.#parts = parts;
    if (lists) this.#count();
    const rows = (of: readonly Listed[]): ChangeEvent => ({
      topic: 'servers',
      ...(of.length > 0 && { servers: of.map((each) => each.row()) }),
      ...(removed.length > 0 && { removed }),
      ...(lists && { lists: true }),
    });
    if (changed.length > 0 || removed.length > 0 || lists) changes.set('servers', rows(changed));
    if (turned.length > 0 || removed.length > 0 || lists)
      changes.set('status', { ...rows(turned), topic: 'status' });
  }

  /** The rows show tokens once they are counted. */
  #count(): void {
    if (this.#counting) return;
    this.#counting = true;
    void counted(this.#source)
      .catch(() => undefined)
      .finally(() => {
        this.#counting = false;
      });
  }

  #listed(): readonly (readonly ListPart[])[] {
    const view = this.#source.view();
    return KINDS.map((kind) => view.parts(kind));
  }

  #sessionChanges(changes: Map<Topic, ChangeEvent>): void {
    if (this.#ticks % SECOND !== 0 || !this.#isWatched('sessions')) return;
    const sessions = sessionRows(this.#source);
    const withTimes = this.#ticks % SEEN === 0;
    const mark = JSON.stringify(withTimes ? sessions : sessions.map(withoutTimes));
    if (mark === this.#sessions) return;
    this.#sessions = JSON.stringify(sessions.map(withoutTimes));
    changes.set('sessions', { topic: 'sessions', sessions });
  }

  /** Says that something changed: who may see what is for `GET approvals` to judge. */
  #approvalChanges(changes: Map<Topic, ChangeEvent>): void {
    if (!this.#isWatched('approvals')) return;
    const { news } = this.#source.approvals;
    if (news.changes === this.#approvals?.changes && news.open === this.#approvals.open) return;
    this.#approvals = news;
    changes.set('approvals', { topic: 'approvals', changed: true, open: news.open });
  }

  #isWatched(topic: Topic): boolean {
    for (const { topics } of this.#watchers) if (topics.has(topic)) return true;
    return false;
  }
}

function withoutTimes({ last_seen: _, ...row }: SessionRow): object {
  return row;
}

function eventText(kind: 'snapshot' | 'change', data: SnapshotEvent | ChangeEvent): string {
  return `event: ${kind}\ndata: ${JSON.stringify(data)}\n\n`;
}
