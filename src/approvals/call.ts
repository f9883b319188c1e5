/** A call that has a record: waits for its yes, and uses it. */
import { randomBytes } from 'node:crypto';
import type { GatewayError } from '../errors.js';
import type {
  ApprovalState,
  ApprovalView,
  Asked,
  HeldCall,
  InputAsked,
  RefusedReason,
  Round,
  Use,
  VoteProblem,
} from '../protocol/approvals.js';
import { changedSince, digestsOf, type Desk, type Done } from './desk.js';
import { isLive, openPlaces, type ApprovalRecord } from './record.js';
import { Unavailable } from './records.js';
import { pendingError, refusedError, supersededError, unavailableError, waitingText } from './words.js';

/** How long a call is shown as waiting at least, so that one which looks often is not stored often. */
const SHOWN_MS = 60_000;

export interface CallDeps {
  readonly desk: Desk;
  /** The key of the record of a call; undefined: it cannot be read. */
  readonly keyOf: (call: HeldCall) => Promise<string | undefined>;
  /** The answer of the caller himself. */
  readonly answer: (
    record: Pick<ApprovalRecord, 'key' | 'id'>,
    yes: boolean,
  ) => Promise<VoteProblem | undefined>;
  /** The call is sent. */
  readonly sent: (record: ApprovalRecord, call: HeldCall) => void;
}

type Outcome = 'approved' | 'open' | GatewayError;

/** A call in this process that has joined a record. */
export class JoinedCall implements Asked {
  readonly view: ApprovalView;
  readonly pending: GatewayError;
  readonly notice: string;
  readonly url: string;
  readonly wantsCaller: boolean;
  readonly mayAskClient: boolean;
  readonly #deps: CallDeps;
  readonly #desk: Desk;
  readonly #key: string;
  readonly #id: string;
  readonly #round: Round | undefined;
  /** What tells this call from others of the record. */
  readonly #token = randomBytes(12).toString('base64url');
  /** It waits, or has waited. */
  #hasPlace = false;
  #isGone = false;
  readonly #leaving = new Set<() => void>();

  /** `round`: it is that later round of a call that was sent. */
  constructor(deps: CallDeps, record: ApprovalRecord, view: ApprovalView, round: Round | undefined) {
    const { desk } = deps;
    this.#deps = deps;
    this.#desk = desk;
    this.#key = record.key;
    this.#id = record.id;
    this.#round = round;
    this.view = view;
    this.url = desk.deps.urlOf(record.id);
    this.pending = pendingError(record, this.url, desk.deps.now());
    this.notice = waitingText(record, this.url);
    const { entries, votes } = record;
    this.wantsCaller =
      record.state === 'open' && openPlaces(entries, votes).some((at) => entries[at]?.label === null);
    this.mayAskClient = record.asksClient;
  }

  async settled(ms: number, signal: AbortSignal): Promise<Outcome> {
    if (this.#round) return 'approved';
    return await this.#guarded(async () => {
      const now = this.#outcomeOf(await this.#desk.look(this.#key));
      if (typeof now !== 'string') return now;
      const stays = now === 'open' && (ms <= 0 || signal.aborted || this.#isGone || this.#desk.isClosed);
      return stays ? 'open' : await this.#wait(ms, signal);
    });
  }

  /** Takes the place of the call that waits, and waits. */
  async #wait(ms: number, signal: AbortSignal): Promise<Outcome> {
    let settle: (outcome: Outcome) => void = () => undefined;
    const outcome = new Promise<Outcome>((resolve) => {
      settle = resolve;
    });
    const heard = (record: ApprovalRecord | undefined): void => {
      const now = this.#outcomeOf(record);
      if (now !== 'open') settle(now);
    };
    const open = (): void => {
      settle('open');
    };
    const { waits } = this.#desk;
    const ended = waits.add({
      key: this.#key,
      heard: (record) => this.#hasPlace && heard(record),
      closed: open,
    });
    signal.addEventListener('abort', open, { once: true });
    this.#leaving.add(open);
    let cancel = (): void => undefined;
    try {
      heard(await this.#takePlace(ms));
      if (signal.aborted || this.#desk.isClosed) open();
      // A record that may be voted on for longer than the call waits settles it later.
      cancel = this.#desk.after(Math.max(1, ms), open);
      this.#desk.watch();
      return await outcome;
    } finally {
      ended();
      cancel();
      signal.removeEventListener('abort', open);
      this.#leaving.delete(open);
    }
  }

  async #takePlace(ms: number): Promise<ApprovalRecord | undefined> {
    const now = this.#desk.deps.now();
    const record = await this.#desk.look(this.#key);
    const until = record?.waiter?.token === this.#token ? record.waiter.until : 0;
    if (record?.id !== this.#id || (this.#hasPlace && until >= now + ms)) return record;
    // Another call has taken its place since: it does not come back.
    if (this.#hasPlace && until === 0) return record;
    const done = await this.#desk.step(this.#key, this.#id, {
      kind: 'wait',
      token: this.#token,
      until: now + Math.max(ms, SHOWN_MS),
    });
    this.#hasPlace = true;
    return done?.record;
  }

  #outcomeOf(record: ApprovalRecord | undefined): Outcome {
    if (record?.id !== this.#id) return this.#superseded();
    if (record.state === 'sent') return this.#superseded();
    if (!isLive(record)) return refusedError(record);
    if (this.#hasPlace && record.waiter && record.waiter.token !== this.#token) return this.#superseded();
    return record.state === 'approved' ? 'approved' : 'open';
  }

  #superseded(): GatewayError {
    return supersededError(this.#id, this.view.entries[0]?.rule);
  }

  async decided(signal: AbortSignal): Promise<ApprovalState> {
    let state: ApprovalState = 'open';
    await new Promise<void>((resolve) => {
      const over = (): void => {
        ended();
        signal.removeEventListener('abort', over);
        resolve();
      };
      const heard = (record: ApprovalRecord | undefined): void => {
        state = record?.id === this.#id ? record.state : 'void';
        if (state !== 'open') over();
      };
      const ended = this.#desk.waits.add({ key: this.#key, heard, closed: over });
      signal.addEventListener('abort', over, { once: true });
      if (signal.aborted || this.#desk.isClosed) return over();
      this.#desk.watch();
      // A store that is away is asked again by what watches.
      void this.#desk.look(this.#key).then(heard, () => undefined);
    });
    return state;
  }

  async answer(yes: boolean): Promise<VoteProblem | undefined> {
    return await this.#deps.answer({ key: this.#key, id: this.#id }, yes);
  }

  async take(call: HeldCall): Promise<Use | GatewayError> {
    return await this.#guarded(async () => {
      const { deps } = this.#desk;
      const isSame = (await this.#deps.keyOf(call)) === this.#key;
      const use = randomBytes(12).toString('base64url');
      const waiter = this.#hasPlace ? this.#token : undefined;
      let changed: RefusedReason | undefined;
      const done = await this.#desk.step(this.#key, this.#id, (record) => {
        const since = changedSince({ ...record, entries: digestsOf(record) }, call, deps.entryOf);
        changed = isSame ? since : 'policy_changed';
        if (changed) return { kind: 'void', reason: changed };
        return { kind: 'take', use, waiter, round: this.#round };
      });
      if (done && changed) return refusedError(done.record, done.record.reason ?? changed);
      if (done?.record.state !== 'sent' || done.record.use !== use) return this.#whyNot(done);
      if (!this.#round) this.#deps.sent(done.record, call);
      return new StoredUse(this.#desk, done.record, use);
    });
  }

  #whyNot(done: Done | undefined): GatewayError {
    if (!done || done.problem === 'superseded') return this.#superseded();
    const { record } = done;
    if (record.state === 'sent') return this.#superseded();
    return record.state === 'open' ? this.pending : refusedError(record);
  }

  leave(): void {
    this.#isGone = true;
    for (const open of [...this.#leaving]) open();
    if (!this.#hasPlace) return;
    const left = this.#desk.step(this.#key, this.#id, { kind: 'leave', token: this.#token });
    this.#desk.inBackground(left);
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T | GatewayError> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Unavailable) return unavailableError();
      return this.#desk.deps.boundary.caught('detached', error);
    }
  }
}

class StoredUse implements Use {
  readonly id: string;
  readonly #desk: Desk;
  readonly #key: string;
  readonly #use: string;

  constructor(desk: Desk, { id, key }: ApprovalRecord, use: string) {
    this.id = id;
    this.#desk = desk;
    this.#key = key;
    this.#use = use;
  }

  nothingRan(): void {
    this.#desk.inBackground(this.#desk.step(this.#key, this.id, { kind: 'give_back', use: this.#use }));
  }

  answered(asked: InputAsked | undefined): void {
    this.#desk.inBackground(this.#desk.step(this.#key, this.id, { kind: 'answered', use: this.#use, asked }));
  }
}
