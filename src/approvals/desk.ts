/** What the parts of the book share: the records and who waits for them, what is told of their changes, and the look at the store. */
import { createHmac, randomBytes } from 'node:crypto';
import type { Boundary } from '../observe/boundary.js';
import type {
  ApprovalState,
  ApprovalView,
  HeldCall,
  HoldEntry,
  RefusedReason,
} from '../protocol/approvals.js';
import type { Sealed } from '../state/sealed.js';
import { Bounds } from './bounds.js';
import {
  isLive,
  step,
  type ApprovalRecord,
  type Conditions,
  type Problem,
  type Stands,
  type Step,
} from './record.js';
import { Records, Unavailable, type Texts } from './records.js';
import { visible } from './shown.js';
import { entryViews } from './voters.js';
import { Waits } from './waits.js';

export interface ApprovalsConfig {
  /** Globs of names in `_meta` that are no part of a yes. */
  readonly ignoreMeta: readonly string[];
  /** How long a yes can be used, and a no answers the same call, in ms. */
  readonly useMs: number;
  /** Calls that wait at the same time, in all and of one principal. */
  readonly open: number;
  readonly perPrincipal: number;
  /** Calls of a principal that are new, in a minute. */
  readonly perMinute: number;
}

/** A record as those see it who hear of it. */
export type ApprovalSummary = Omit<ApprovalView, 'shown' | 'ignored' | 'changes'> & { readonly url: string };

export type ApprovalEvent = { readonly approval: ApprovalSummary } & (
  | { readonly kind: 'asked'; readonly shown: string }
  | { readonly kind: 'voted'; readonly by: string; readonly yes: boolean; readonly note: string | undefined }
  /** `waitMs`: since it was asked for. */
  | {
      readonly kind: 'ended';
      readonly result: Exclude<ApprovalState, 'open' | 'approved'>;
      readonly waitMs: number;
    }
  /** Nothing has run after all: the yes can be used again. */
  | { readonly kind: 'given_back' }
);

export interface ApprovalBookDeps {
  /** Rejects if there is none now. */
  readonly store: () => Promise<Sealed>;
  /** 32 bytes, the same for all processes with the store. */
  readonly hmacKey: () => Promise<Buffer>;
  readonly config: () => ApprovalsConfig;
  /** `audit.redact`: names of members whose values are not shown. */
  readonly redact: () => readonly string[];
  readonly entryOf: (digest: string) => HoldEntry | undefined;
  /** Whether a voter still has the credential that he voted with, and one of `form` or `console_key` always does; whether he still is that person, and one of those who vote. */
  readonly stands: Stands;
  /** The page of a record. */
  readonly urlOf: (id: string) => string;
  /** Unix time in milliseconds. */
  readonly now: () => number;
  /** Calls `run` once after `ms`. */
  readonly timer: { after(ms: number, run: () => void): { cancel(): void } };
  /** For the audit log, figures, the webhook and open pages. Each change is told by the process that has made it. */
  readonly happened: (event: ApprovalEvent) => void;
  readonly boundary: Boundary;
}

/** How often waiting calls look at their records, which another process may have changed. */
const LOOK_MS = 1000;
/** How often what nobody waits for is looked at. */
const SURVEY_MS = 10_000;
/** The first characters of an id. */
const KEY_LENGTH = 22;
const RANDOM_BYTES = 6;

export interface Done {
  readonly record: ApprovalRecord;
  readonly problem?: Problem | undefined;
}

export class Desk {
  readonly deps: ApprovalBookDeps;
  readonly records: Records;
  readonly bounds: Bounds;
  readonly waits = new Waits();
  readonly #timers = new Set<{ cancel(): void }>();
  readonly #background = new Set<Promise<unknown>>();
  #isLooking = false;
  #surveyed: Promise<void> | undefined;
  #surveyedAt = -Infinity;
  #isClosed = false;

  constructor(deps: ApprovalBookDeps) {
    this.deps = deps;
    this.records = new Records(deps.store, deps.now);
    this.bounds = new Bounds(deps.now);
    this.#surveyLater();
  }

  get conditions(): Conditions {
    const { now, config, stands } = this.deps;
    return { now: now(), useMs: config().useMs, stands };
  }

  /** A name that says nothing about these texts. */
  async name(...parts: readonly (string | null)[]): Promise<string> {
    const hmac = createHmac('sha256', await this.hmacKey());
    return hmac.update(JSON.stringify(parts)).digest('base64url').slice(0, KEY_LENGTH);
  }

  async hmacKey(): Promise<Buffer> {
    return await this.deps.hmacKey().catch((error: unknown) => {
      throw new Unavailable('the key of the state cannot be used', { cause: error });
    });
  }

  newId(key: string): string {
    return key + randomBytes(RANDOM_BYTES).toString('base64url');
  }

  /** undefined: there is no record of this id. */
  async find(id: string): Promise<ApprovalRecord | undefined> {
    if (!/^[\w-]{30}$/.test(id)) return undefined;
    const record = await this.look(id.slice(0, KEY_LENGTH));
    return record?.id === id ? record : undefined;
  }

  /** All records as they are now. */
  async all(): Promise<ApprovalRecord[]> {
    const found: ApprovalRecord[] = [];
    for (const key of await this.records.keys()) {
      const record = await this.look(key);
      if (record) found.push(record);
    }
    return found;
  }

  /** The record of a key as it is now. */
  async look(key: string): Promise<ApprovalRecord | undefined> {
    const record = await this.records.read(key);
    if (!record || step(record, { kind: 'time' }, this.conditions).record === record) return record;
    return (await this.step(key, record.id, { kind: 'time' }))?.record;
  }

  /**
   * Makes a step that is stored before this resolves, and tells of it. undefined: there is no record of this id. `first`: what is done before
   * anybody hears of a step that was made.
   */
  async step(
    key: string,
    id: string,
    what: Step | ((record: ApprovalRecord) => Step | Problem),
    first?: (record: ApprovalRecord) => Promise<void>,
  ): Promise<Done | undefined> {
    const done = await this.records.change(key, (before) => {
      if (before?.id !== id) return { value: undefined, result: undefined };
      const chosen = typeof what === 'function' ? what(before) : what;
      const made = step(before, typeof chosen === 'string' ? { kind: 'time' } : chosen, this.conditions);
      const problem = typeof chosen === 'string' ? chosen : made.problem;
      return { value: made.record, result: { before, record: made.record, problem } };
    });
    if (!done) return undefined;
    if (first && !done.problem) await first(done.record);
    this.#changed(done.before, done.record);
    return done;
  }

  /** A record was made. */
  made(record: ApprovalRecord, shown: string | undefined): void {
    this.bounds.note(record);
    this.waits.tell(record.key, record);
    if (shown !== undefined) this.#happened({ kind: 'asked', shown, approval: this.summary(record) });
  }

  #changed(before: ApprovalRecord, record: ApprovalRecord): void {
    if (before === record) return;
    this.bounds.note(record);
    const approval = this.summary(record);
    const vote = record.votes.at(-1);
    if (vote && !before.votes.includes(vote))
      this.#happened({ kind: 'voted', by: vote.by, yes: vote.yes, note: vote.note, approval });
    if (isLive(before) && record.state !== 'open' && record.state !== 'approved')
      this.#happened({
        kind: 'ended',
        result: record.state,
        waitMs: this.deps.now() - record.created,
        approval,
      });
    if (before.state === 'sent' && isLive(record)) this.#happened({ kind: 'given_back', approval });
    this.waits.tell(record.key, record);
  }

  #happened(event: ApprovalEvent): void {
    this.deps.boundary.run('detached', () => {
      this.deps.happened(event);
    });
  }

  summary(record: ApprovalRecord): ApprovalSummary {
    const { waiter, until, expires } = record;
    return {
      id: record.id,
      state: record.state,
      reason: record.reason,
      principal: record.principal,
      name: visible(record.name),
      person: record.person,
      client: record.client === undefined ? undefined : visible(record.client),
      server: record.server,
      tool: visible(record.tool),
      digest: record.digest,
      entries: entryViews(record),
      votes: record.votes.map(({ by, at, yes, note }) => ({ by, at, yes, note: note && visible(note) })),
      created: record.created,
      expires: until ?? expires,
      wideUntil: record.wideUntil,
      waiting: waiter !== undefined && waiter.until > this.deps.now(),
      url: this.deps.urlOf(record.id),
    };
  }

  view(record: ApprovalRecord, texts: Texts): ApprovalView {
    const { url: _, ...summary } = this.summary(record);
    return { ...summary, shown: texts.shown, ignored: texts.ignored, changes: texts.changes };
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Calls `run` after `ms`, unless this is closed before. Returns what cancels that. */
  after(ms: number, run: () => void): () => void {
    if (this.#isClosed) return () => undefined;
    const timer = this.deps.timer.after(
      ms,
      this.deps.boundary.guard('timer', () => {
        this.#timers.delete(timer);
        run();
      }),
    );
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
      timer.cancel();
    };
  }

  /** Resolves after `ms`, or once this is closed. */
  async pause(ms: number): Promise<void> {
    if (this.#isClosed) return;
    await new Promise<void>((resolve) => {
      const over = (): void => {
        ended();
        cancel();
        resolve();
      };
      const ended = this.waits.add({ key: '', heard: () => undefined, closed: over });
      const cancel = this.after(ms, over);
    });
  }

  /** Looks at the records that calls wait for, until none does. */
  watch(): void {
    if (this.#isLooking || this.#isClosed) return;
    this.#isLooking = true;
    this.after(LOOK_MS, () => {
      this.deps.boundary.detach('detached', this.#lookAtAll());
    });
  }

  async #lookAtAll(): Promise<void> {
    try {
      for (const key of this.waits.keys.filter((each) => each !== ''))
        try {
          this.waits.tell(key, await this.#lookWaiting(key));
        } catch (error) {
          // Whoever waits goes on waiting: the store may come back.
          if (!(error instanceof Unavailable)) throw error;
        }
    } finally {
      this.#isLooking = false;
      if (this.waits.keys.some((key) => key !== '')) this.watch();
    }
  }

  /** The same, of a call that waits here. It ends if the policy here does not have its entries any more. */
  async #lookWaiting(key: string): Promise<ApprovalRecord | undefined> {
    const record = await this.look(key);
    if (!record || !isLive(record) || digestsOf(record).every((each) => this.deps.entryOf(each)))
      return record;
    return (await this.step(key, record.id, { kind: 'void', reason: 'policy_changed' }))?.record;
  }

  /** Looks at all records, if that was not done a short time ago: what other processes have made is counted, and what is over ends. */
  async survey(): Promise<void> {
    if (this.deps.now() - this.#surveyedAt < SURVEY_MS) return;
    this.#surveyed ??= this.#survey().finally(() => {
      this.#surveyed = undefined;
    });
    await this.#surveyed;
  }

  async #survey(): Promise<void> {
    const known = new Set(this.bounds.keys);
    for (const key of await this.records.keys()) {
      known.delete(key);
      const record = await this.look(key);
      if (record) this.bounds.note(record);
      else this.bounds.gone(key);
    }
    for (const key of known) if (!(await this.records.read(key))) this.bounds.gone(key);
    this.#surveyedAt = this.deps.now();
  }

  #surveyLater(): void {
    this.after(SURVEY_MS, () => {
      if (this.#isClosed) return;
      const done = this.survey()
        .catch((error: unknown) => {
          if (!(error instanceof Unavailable)) throw error;
        })
        .finally(() => {
          if (!this.#isClosed) this.#surveyLater();
        });
      this.deps.boundary.detach('detached', done);
    });
  }

  /** What nobody waits for. What cannot be stored is lost. */
  inBackground(work: Promise<unknown>): void {
    const done = work
      .catch((error: unknown) => {
        if (!(error instanceof Unavailable)) throw error;
      })
      .finally(() => this.#background.delete(done));
    this.#background.add(done);
    this.deps.boundary.detach('detached', done);
  }

  /** Resolves once nothing is under way in the background, and no record is being changed. */
  async idle(): Promise<void> {
    while (this.#background.size > 0) await Promise.allSettled(this.#background);
    await this.records.idle();
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.waits.close();
  }
}

/** What has changed since a record was made that makes its yes void; undefined: nothing. */
export function changedSince(
  {
    definition,
    config,
    login,
    entries,
  }: Pick<ApprovalRecord, 'definition' | 'config' | 'login'> & {
    readonly entries: readonly string[];
  },
  call: HeldCall,
  entryOf: ApprovalBookDeps['entryOf'],
): RefusedReason | undefined {
  const now = new Set(call.entries.map(({ digest }) => digest));
  const areSame = now.size === entries.length && entries.every((each) => now.has(each) && entryOf(each));
  if (!areSame) return 'policy_changed';
  if (definition !== call.definition) return 'tool_changed';
  // A server may ask for a login only once it is called: that is no other one.
  const isOther = login !== undefined && call.login !== null && login !== call.login;
  return config === call.config && !isOther ? undefined : 'server_changed';
}

export function digestsOf({ entries }: ApprovalRecord): readonly string[] {
  return entries.map(({ digest }) => digest);
}
