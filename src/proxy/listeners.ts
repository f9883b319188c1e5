/**
 * Subscription streams of modern clients (2026-07-28, basic/patterns/subscriptions): what each stream subscribes to, and its messages.
 */
import { LIST_KINDS, type ListKind } from '../protocol/lists.js';
import { META } from '../protocol/modern/meta.js';
import type { Caller, Cause, Exchange, Notice, Sink } from '../protocol/ports.js';
import { answerWith } from '../protocol/sinks.js';
import { scanObject } from '../wire/json.js';
import { splice } from '../wire/splice.js';
import { find } from '../protocol/message.js';
import type { Route } from './route.js';

/** The kinds of list changes that a stream can subscribe to. */
export type Change = 'tools' | 'prompts' | 'resources';

/** The change to subscribe to for each kind of list. */
export const CHANGE_OF: Readonly<Record<ListKind, Change>> = {
  tools: 'tools',
  prompts: 'prompts',
  resources: 'resources',
  templates: 'resources',
  skills: 'resources',
};

/** Maximum number of messages that wait for a client that does not read. */
const MAX_WAITING = 2000;

export interface ListenerOptions {
  readonly caller: Caller;
  readonly route: Route;
  /** JSON of the request id, which is the subscription id. */
  readonly rawId: string;
  readonly sink: Sink;
  readonly changes: ReadonlySet<Change>;
  /** Called when the stream has ended. */
  readonly left: (listener: Listener) => void;
}

export class Listener implements Exchange {
  /** A reload can replace its view. */
  caller: Caller;
  readonly route: Route;
  readonly changes: ReadonlySet<Change>;
  readonly #rawId: string;
  readonly #sink: Sink;
  readonly #left: (listener: Listener) => void;
  /** Messages that wait for the acknowledgement, or for a client that does not read, by the key of `tell`. */
  readonly #waiting = new Map<string, Notice>();
  /** Digests of the lists as they were when the client was last notified. */
  readonly #shown = new Map<ListKind, string>();
  /** Whether `begin` was called: list changes are reported from then on. */
  #begun = false;
  #acknowledged = false;
  /** Whether the client reads too slowly: messages wait. */
  #full = false;
  #over = false;

  constructor(options: ListenerOptions) {
    this.caller = options.caller;
    this.route = options.route;
    this.changes = options.changes;
    this.#rawId = options.rawId;
    this.#sink = options.sink;
    this.#left = options.left;
  }

  /** The server that the route names; undefined: a merged endpoint. */
  get server(): string | undefined {
    return this.route.server;
  }

  /** The kinds of lists whose changes the stream reports. */
  get kinds(): readonly ListKind[] {
    return LIST_KINDS.filter((kind) => this.changes.has(CHANGE_OF[kind]));
  }

  get over(): boolean {
    return this.#over;
  }

  /** Records the current lists. Later changes are reported relative to them. */
  begin(): void {
    this.#begun = true;
    for (const kind of this.kinds) this.recordList(kind);
  }

  /** Records the current list. Returns whether it differs from the recorded one; false before `begin`. */
  recordList(kind: ListKind): boolean {
    if (this.#over || !this.#begun) return false;
    const digest = this.caller.view.list(kind, 'modern').digest;
    if (this.#shown.get(kind) === digest) return false;
    this.#shown.set(kind, digest);
    return true;
  }

  /** Sends the first message of the stream. `granted`: JSON of the accepted filter. */
  acknowledge(granted: string): void {
    if (this.#over || this.#acknowledged) return;
    this.#acknowledged = true;
    const method = 'notifications/subscriptions/acknowledged';
    const bytes = `{"jsonrpc":"2.0","method":"${method}","params":{"_meta":${this.#meta()},"notifications":${granted}}}`;
    this.#full = !this.#sink.notify({ method, bytes: Buffer.from(bytes) });
    if (!this.#full) this.resume();
  }

  /** Sends a message, or lets it wait. `key` identifies what changed: of the messages with one key, only the last one waits. */
  tell(key: string, notice: Notice): void {
    if (this.#over) return;
    if (!this.#acknowledged || this.#full) {
      this.#waiting.set(key, notice);
      // The number of sub-resources is unbounded. The client can subscribe again and read everything again, so it misses nothing.
      if (this.#waiting.size > MAX_WAITING) this.end();
    } else {
      const bytes = this.#withSubscriptionId(notice.bytes);
      if (bytes) this.#full = !this.#sink.notify({ ...notice, bytes });
    }
  }

  /** Answers the subscription request, which ends the stream. */
  end(): void {
    if (this.#over) return;
    this.#finish();
    answerWith(this.#sink, this.#rawId, `{"resultType":"complete","_meta":${this.#meta()}}`);
  }

  resume(): void {
    this.#full = false;
    for (const [key, notice] of this.#waiting) {
      if (this.#full || !this.#acknowledged) return;
      this.#waiting.delete(key);
      this.tell(key, notice);
    }
  }

  cancel(why: Cause): void {
    if (this.#over) return;
    this.#finish();
    this.#sink.cancelled(why);
  }

  #finish(): void {
    this.#over = true;
    this.#waiting.clear();
    this.#left(this);
  }

  #meta(): string {
    return `{${JSON.stringify(META.subscriptionId)}:${this.#rawId}}`;
  }

  /** Adds the subscription id to a notification; undefined: it is unreadable. */
  #withSubscriptionId(bytes: Buffer): Buffer | undefined {
    const read = scanObject(bytes);
    if (!read) return undefined;
    const own = `${JSON.stringify(META.subscriptionId)}:${this.#rawId}`;
    const insert = (at: number, text: string): Buffer =>
      splice(bytes, [{ start: at, end: at, bytes: Buffer.from(text) }]);
    const meta = find(read.params, '_meta');
    if (meta && bytes[meta.start] === 0x7b)
      return insert(meta.start + 1, read.meta.length > 0 ? `${own},` : own);
    const params = find(read.top, 'params');
    if (params && bytes[params.start] === 0x7b)
      return insert(params.start + 1, `"_meta":{${own}}${read.params.length > 0 ? ',' : ''}`);
    return insert(bytes.lastIndexOf(0x7d), `,"params":{"_meta":{${own}}}`);
  }
}

export interface Listeners {
  readonly size: number;
  add(listener: Listener): void;
  delete(listener: Listener): void;
  all(): Iterable<Listener>;
  /** Ends the streams for which `which` is true. */
  endWhere(which: (listener: Listener) => boolean): void;
}

export function createListeners(): Listeners {
  const listeners = new Set<Listener>();
  return {
    get size() {
      return listeners.size;
    },
    add: (listener) => {
      listeners.add(listener);
    },
    delete: (listener) => {
      listeners.delete(listener);
    },
    all: () => listeners,
    endWhere(which) {
      for (const listener of [...listeners]) if (which(listener)) listener.end();
    },
  };
}
