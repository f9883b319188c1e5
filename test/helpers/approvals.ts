/** Books of approvals over a store, with a clock and timers that tests move. */
import type { GatewayError } from '../../src/errors.js';
import { ApprovalBook } from '../../src/approvals/book.js';
import type { ApprovalBookDeps, ApprovalEvent, ApprovalsConfig } from '../../src/approvals/desk.js';
import { silent } from '../../src/observe/log.js';
import { Boundary } from '../../src/observe/boundary.js';
import type { Asked, HeldCall, HoldEntry, Voter } from '../../src/protocol/approvals.js';
import type { Principal } from '../../src/protocol/principal.js';
import { memoryState } from '../../src/state/memory.js';
import type { Sealed } from '../../src/state/sealed.js';

/** Timers that fire when a test moves the clock. */
export class FakeTime {
  now = Date.parse('2026-11-28T10:00:00Z');
  readonly #timers = new Set<{ at: number; run: () => void }>();

  readonly timer = {
    after: (ms: number, run: () => void): { cancel(): void } => {
      const timer = { at: this.now + ms, run };
      this.#timers.add(timer);
      return { cancel: () => this.#timers.delete(timer) };
    },
  };

  get pending(): number {
    return this.#timers.size;
  }

  /** Fires what is due in order, and lets what follows from each run. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.#timers.delete(next);
      this.now = Math.max(this.now, next.at);
      next.run();
      await turns();
    }
    this.now = end;
    await turns();
  }
}

/** Lets the promises of a store in memory settle. */
export async function turns(count = 30): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

export function principal(id: string, more: Partial<Principal> = {}): Principal {
  return {
    id,
    kind: 'key',
    name: id,
    groups: [],
    scopes: [],
    claims: {},
    credential: `credential of ${id}`,
    expires: undefined,
    ...more,
  };
}

/** A person who has signed in. */
export function signedIn(id: string, ...groups: string[]): Voter {
  return { principal: principal(id, { kind: 'token', groups }), way: 'sign_in' };
}

export function listEntry(group: string, more: Partial<HoldEntry> = {}): HoldEntry {
  return {
    rule: `${group} decides`,
    digest: `list of ${group}`,
    by: { label: group, fits: ({ groups }) => groups.includes(group) },
    need: 1,
    expiresMs: 900_000,
    confirm: 'client',
    repeat: undefined,
    ...more,
  };
}

export function callerEntry(more: Partial<HoldEntry> = {}): HoldEntry {
  return { ...listEntry('nobody'), rule: 'ask', digest: 'by the caller', by: 'caller', ...more };
}

export interface Office {
  readonly time: FakeTime;
  readonly store: Sealed;
  readonly book: ApprovalBook;
  readonly events: ApprovalEvent[];
  /** The entries of the policy in force. */
  readonly policy: HoldEntry[];
  /** The credentials that were withdrawn. */
  readonly withdrawn: Set<string>;
  readonly errors: string[];
  config: ApprovalsConfig;
}

export function office(policy: HoldEntry[], more: Partial<ApprovalBookDeps> = {}): Office {
  const time = new FakeTime();
  return officeOn(
    memoryState(() => time.now),
    policy,
    time,
    more,
  );
}

export function officeOn(
  store: Sealed,
  policy: HoldEntry[],
  time: FakeTime,
  more: Partial<ApprovalBookDeps> = {},
): Office {
  const events: ApprovalEvent[] = [];
  const withdrawn = new Set<string>();
  const errors: string[] = [];
  const made = {
    time,
    store,
    events,
    policy,
    withdrawn,
    errors,
    config: {
      ignoreMeta: ['claudecode/*', 'vscode.*'],
      useMs: 600_000,
      open: 1000,
      perPrincipal: 20,
      perMinute: 10,
    },
  };
  const log = {
    ...silent,
    error: (message: string, fields?: object) => errors.push(JSON.stringify({ message, fields })),
  };
  const book = new ApprovalBook({
    store: () => Promise.resolve(store),
    hmacKey: () => Promise.resolve(Buffer.alloc(32, 7)),
    config: () => made.config,
    redact: () => ['password'],
    entryOf: (digest) => made.policy.find((entry) => entry.digest === digest),
    stands: ({ voter }) => !withdrawn.has(voter.credential),
    urlOf: (id) => `https://gateway.example/-/approvals/${id}`,
    now: () => time.now,
    timer: time.timer,
    happened: (event) => events.push(event),
    boundary: new Boundary(log, { add: () => undefined }),
    ...more,
  });
  return Object.assign(made, { book });
}

export function held(policy: readonly HoldEntry[], args: unknown, more: Partial<HeldCall> = {}): HeldCall {
  return {
    principal: principal('key:agent', { owner: 'corp:al' }),
    client: 'claude-code 2.1.0',
    server: 'billing',
    tool: 'refund',
    params: Buffer.from(JSON.stringify({ name: 'refund', arguments: args })),
    passed: undefined,
    definition: 'definition 1',
    config: 'config 1',
    login: 'login 1',
    entries: policy,
    ...more,
  };
}

/** Fails if it is an error. */
export function good<T extends object>(value: T | GatewayError): T {
  if (value instanceof Error) throw value;
  return value;
}

export async function ask(at: Office, call: HeldCall): Promise<Asked> {
  return good(await at.book.ask(call));
}

/** A wait that has not ended becomes undefined. */
export async function now<T>(promise: Promise<T>): Promise<T | undefined> {
  let value: T | undefined;
  void promise.then((found) => {
    value = found;
  });
  await turns();
  return value;
}

export const never = new AbortController().signal;
