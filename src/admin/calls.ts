/**
 * What the console knows about calls: names, times, sizes and outcome, never arguments or results. Failed and slow calls are always kept, all
 * calls while somebody watches, up to 100 in 100 ms: the others are counted. As long as nobody watches, a call costs one look at its outcome.
 */
import { randomBytes } from 'node:crypto';
import { SlotSet, type Slotted } from '../lib/slot-set.js';
import {
  errorType,
  outcomeOf,
  type CallObserver,
  type Calls,
  type EndedCall,
  type ObservedCall,
} from '../observe/calls.js';
import { redactUrl } from '../config/index.js';
import type { Call } from './schemas.js';
import { Callers, nameOfClient } from './callers.js';
import { Eras } from './eras.js';

/** A call that takes longer counts as slow. */
const SLOW_MS = 10_000;
/** Failed and slow calls that are kept. */
const MOST_NOTABLE = 200;
/** Calls in flight that are shown. */
const MOST_OPEN = 1000;
const NAME_CHARS = 512;
const DETAIL_CHARS = 1024;
const MOST_ASKED = 16;
/** Calls that are kept between two times that news are taken: more of them pass by too fast to be read. */
const MOST_AT_A_TIME = 100;
/** Their number says nothing about what clients do. */
const IGNORED: ReadonlySet<string> = new Set(['ping', 'listen', 'terminate', 'invalid']);

/** A call as it is kept; `Call` is made of it when somebody wants to see it. */
export class KeptCall implements Slotted {
  slot = -1;
  readonly id: string;
  /** As long as it is in flight. */
  call: ObservedCall | undefined;
  /** It waits to be told. */
  isNews = false;
  readonly method: string;
  server: string | null = null;
  serverEra: Call['server_era'] = null;
  name: string | null = null;
  readonly principal: string | null;
  readonly route: string | null;
  readonly session: string | null;
  readonly clientInfo: string | undefined;
  readonly clientEra: Call['client_era'];
  /** Unix milliseconds. */
  readonly started: number;
  outcome: Call['outcome'] = null;
  reason: string | null = null;
  detail: string | null = null;
  ms: number | null = null;
  gatewayMs: number | null = null;
  waitMs: number | null = null;
  streamMs: number | null = null;
  bytesIn: number | null = null;
  bytesOut: number | null = null;
  asked: readonly string[] = [];
  trace: string | null = null;
  captured: { readonly request: string | null; readonly response: string | null } | undefined;
  /** When it was sent to its server, by performance.now(). */
  #sent: number | undefined;

  constructor(id: string, call: ObservedCall, ms: number) {
    const { from } = call;
    this.id = id;
    this.method = call.method;
    this.principal = call.principal?.id ?? null;
    this.route = call.route ?? null;
    this.session = call.sessionId?.slice(0, 8) ?? null;
    this.clientInfo = from?.clientInfo;
    this.clientEra = from?.era ?? null;
    const arrived = call.details?.arrived;
    this.started = arrived === undefined ? Date.now() - ms : performance.timeOrigin + arrived;
    if (call.sent) this.sent(call);
  }

  sent(call: ObservedCall): void {
    this.#sent = performance.now();
    this.#name(call);
  }

  ended(call: EndedCall): void {
    this.call = undefined;
    this.#name(call);
    const { details } = call;
    this.outcome = outcomeOf(call);
    this.reason = errorType(call, details) ?? null;
    this.detail = this.reason === null ? null : this.#explain(call);
    const now = performance.now();
    const { arrived, began } = details ?? {};
    this.ms = arrived === undefined ? call.ms : now - arrived;
    if (arrived !== undefined && this.#sent !== undefined) this.gatewayMs = this.#sent - arrived;
    if (this.#sent !== undefined) this.waitMs = (began ?? now) - this.#sent;
    if (began !== undefined) this.streamMs = now - began;
    if (!details) return;
    this.bytesIn = details.bytesIn;
    this.bytesOut = details.bytesOut;
    this.trace = details.traceId ?? null;
  }

  get shown(): Call {
    return {
      id: this.id,
      method: this.method,
      server: this.server,
      name: this.name,
      client: nameOfClient(this.clientInfo),
      principal: this.principal,
      route: this.route,
      session: this.session,
      client_era: this.clientEra,
      server_era: this.serverEra,
      started: new Date(this.started).toISOString(),
      state: this.call ? 'open' : 'over',
      outcome: this.outcome,
      reason: this.reason,
      detail: this.detail,
      ms: round(this.ms),
      gateway_ms: round(this.gatewayMs),
      wait_ms: round(this.waitMs),
      stream_ms: round(this.streamMs),
      bytes_in: this.bytesIn,
      bytes_out: this.bytesOut,
      asked: [...this.asked],
      trace: this.trace,
      captured: this.captured !== undefined,
    };
  }

  #name({ target, details, method }: ObservedCall): void {
    if (target) {
      this.server = target.link.server;
      this.serverEra = target.link.peer ? target.link.era : null;
    }
    const name = target?.name ?? details?.named?.name;
    if (name === undefined) return;
    // The name of a resource is a URI, which may hold secrets.
    this.name = (method.startsWith('resources/') ? redactUrl(name) : name).slice(0, NAME_CHARS);
  }

  #explain({ details, refusal, outcome, method }: EndedCall): string | null {
    const error = details?.error ?? refusal;
    // The texts of these repeat what the client or its server wrote.
    if (error?.code === 'header_mismatch') return 'a header of the request differs from its body';
    let text = (error?.message ?? outcome).replace(/^(upstream '[^']*' answered HTTP \d+).*$/s, '$1');
    const named = details?.named?.name;
    if (named !== undefined && method.startsWith('resources/'))
      text = text.replaceAll(named, redactUrl(named));
    return text === '' ? null : text.slice(0, DETAIL_CHARS);
  }
}

export interface WatchDeps {
  readonly calls: Calls;
  /** console.calls */
  readonly limit: () => number;
}

export class Watch {
  readonly callers = new Callers();
  readonly eras = new Eras();
  /** Gets each call that is being sent, while it is watched. */
  sent: ((call: ObservedCall, kept: KeptCall) => void) | undefined;
  readonly #deps: WatchDeps;
  readonly #open = new SlotSet<KeptCall>();
  /** Oldest first. */
  #notable: KeptCall[] = [];
  #recent: KeptCall[] = [];
  #news: KeptCall[] = [];
  #dropped = 0;
  #openCount = 0;
  #watchers = 0;
  #number = 0;
  /** How many more calls are kept until news are taken. */
  #room = MOST_AT_A_TIME;
  /** The one that is subscribed. */
  #observer: CallObserver;
  /** Tells the calls of this process from those of the one before. */
  readonly #prefix = randomBytes(3).toString('hex');
  readonly #quiet: CallObserver = {
    over: (call) => {
      if (isFailed(call) || call.ms > SLOW_MS) this.#over(call);
    },
  };
  readonly #full: CallObserver = {
    detailed: true,
    opened: (call) => {
      this.#opened(call);
    },
    asked: noteQuestion,
    over: (call) => {
      this.#over(call);
    },
  };

  /** Somebody watches, and more calls pass than anybody can read: those that succeed are only counted. */
  readonly #crowded: CallObserver = {
    asked: noteQuestion,
    over: (call) => {
      if (isFailed(call) || call.ms > SLOW_MS || call.details?.watched instanceof KeptCall) this.#over(call);
      else if (isOfClient(call)) {
        this.eras.count(call);
        this.#dropped++;
      }
    },
  };

  constructor(deps: WatchDeps) {
    this.#deps = deps;
    this.#observer = this.#quiet;
    deps.calls.add(this.#quiet);
  }

  get isOn(): boolean {
    return this.#watchers > 0;
  }

  /** Somebody watches: all calls are kept until the returned function is called. */
  begin(): () => void {
    if (this.#watchers++ === 0) this.#subscribe(this.#full);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      if (--this.#watchers > 0) return;
      this.#subscribe(this.#quiet);
      for (const kept of this.#open.all()) this.#close(kept);
      this.#news = [];
      this.#dropped = 0;
    };
  }

  /** Every call that is known, the newest first. */
  all(): KeptCall[] {
    const known = new Set([...this.#notable, ...this.#recent, ...this.#open.all()]);
    return [...known].sort((a, b) => b.started - a.started);
  }

  /** Those in flight, in no order. */
  open(): KeptCall[] {
    return this.#open.all();
  }

  find(id: string): KeptCall | undefined {
    return this.all().find((kept) => kept.id === id);
  }

  /** What began or ended since the last time, at most `most` calls, and how many more there were. */
  takeNews(most: number): { readonly calls: readonly KeptCall[]; readonly dropped: number } {
    const news = this.#news;
    const dropped = this.#dropped + Math.max(0, news.length - most);
    this.#news = [];
    this.#dropped = 0;
    for (const kept of news) kept.isNews = false;
    this.#room = MOST_AT_A_TIME;
    if (this.isOn) this.#subscribe(this.#full);
    return { calls: news.slice(-most), dropped };
  }

  #subscribe(observer: CallObserver): void {
    if (observer === this.#observer) return;
    this.#deps.calls.remove(this.#observer);
    this.#deps.calls.add(observer);
    this.#observer = observer;
  }

  #opened(call: ObservedCall): void {
    if (!call.details || !isOfClient(call)) return;
    const kept = this.#make(call, 0);
    call.details.watched = kept;
    this.sent?.(call, kept);
    if (this.#openCount >= MOST_OPEN) return;
    kept.call = call;
    this.#openCount++;
    this.#open.add(kept);
    this.#tell(kept);
  }

  #over(call: EndedCall): void {
    if (!isOfClient(call)) return;
    const known = call.details?.watched;
    const kept = known instanceof KeptCall ? known : this.#make(call, call.ms);
    this.#close(kept);
    kept.ended(call);
    if (isFailed(call) || call.ms > SLOW_MS) this.#notable = keep(this.#notable, kept, MOST_NOTABLE);
    if (!this.isOn) return;
    this.eras.count(call);
    this.#recent = keep(this.#recent, kept, this.#deps.limit());
    this.#tell(kept);
  }

  #make(call: ObservedCall, ms: number): KeptCall {
    // A capture has to see all.
    if (--this.#room <= 0 && this.isOn && !this.sent) this.#subscribe(this.#crowded);
    if (call.from && call.sessionId === undefined) this.callers.note(call.from, call.route ?? '');
    return new KeptCall(`${this.#prefix}-${++this.#number}`, call, ms);
  }

  #close(kept: KeptCall): void {
    kept.call = undefined;
    if (kept.slot === -1) return;
    this.#open.delete(kept);
    this.#openCount--;
  }

  #tell(kept: KeptCall): void {
    if (kept.isNews) return;
    kept.isNews = true;
    this.#news.push(kept);
    if (this.#news.length <= MOST_OPEN) return;
    // Nobody has taken them for long.
    const gone = this.#news.splice(0, MOST_OPEN / 2);
    for (const each of gone) each.isNews = false;
    this.#dropped += gone.length;
  }
}

function noteQuestion({ details }: ObservedCall, method: string): void {
  const kept = details?.watched;
  if (kept instanceof KeptCall && kept.asked.length < MOST_ASKED) kept.asked = [...kept.asked, method];
}

function isFailed({ result, reason }: EndedCall): boolean {
  return result === 'error' || reason !== undefined;
}

/** Whether a client that is known has sent it and waits for an answer. */
function isOfClient({ principal, id, method }: ObservedCall): boolean {
  return principal !== undefined && id !== undefined && !IGNORED.has(method);
}

/** Appends; the array may be longer than `most` for a while, so that not every call moves all others. */
function keep(list: KeptCall[], kept: KeptCall, most: number): KeptCall[] {
  list.push(kept);
  return list.length > most + 64 ? list.slice(-most) : list;
}

function round(ms: number | null): number | null {
  return ms === null ? null : Math.max(0, Math.round(ms * 10) / 10);
}
