import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  areMet,
  isLive,
  step,
  type ApprovalRecord,
  type EntryRecord,
  type Step,
  type VoteRecord,
} from '../../src/approvals/record.js';

const USE_MS = 600;
const EXPIRES_MS = 900;

/** Who may vote for what: the caller for his entry, the others for what their names have. */
const PEOPLE = ['al', 'a', 'b', 'ab', 'ab2', 'c'] as const;

function entriesFrom(callers: number, needA: number, needB: number): EntryRecord[] {
  const entry = (label: string | null, need: number, at: number): EntryRecord => ({
    rule: 'r',
    digest: `${label ?? 'caller'}${at}`,
    label,
    need,
  });
  return [
    ...Array.from({ length: callers }, (_, at) => entry(null, 1, at)),
    ...(needA > 0 ? [entry('a', needA, 0)] : []),
    ...(needB > 0 ? [entry('b', needB, 0)] : []),
  ];
}

function recordOf(entries: EntryRecord[]): ApprovalRecord {
  return {
    id: 'id',
    key: 'key',
    principal: 'p',
    name: 'p',
    person: 'al',
    server: 's',
    tool: 't',
    digest: 'd',
    definition: '',
    config: '',
    entries,
    asksClient: true,
    created: 0,
    expires: EXPIRES_MS,
    votes: [],
    state: 'open',
    repeats: ['x', 'y'],
  };
}

/** As the book finds them. */
function placesFor(person: string, entries: readonly EntryRecord[]): number[] {
  return entries.flatMap(({ label }, at) =>
    (label === null ? person === 'al' : person !== 'al' && person.includes(label)) ? [at] : [],
  );
}

type Event =
  | { readonly kind: 'vote'; readonly person: string; readonly yes: boolean }
  | { readonly kind: 'take' | 'give_back' | 'void' | 'time' | 'asked' | 'over' | 'wait'; readonly n: number }
  | { readonly kind: 'round'; readonly state: string }
  | { readonly kind: 'withdraw' | 'gone'; readonly person: string }
  | { readonly kind: 'pass'; readonly ms: number };

const person = fc.constantFrom(...PEOPLE);
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('vote' as const),
      person,
      yes: fc.integer({ min: 0, max: 19 }).map((n) => n > 0),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('take' as const), n: fc.constant(0) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('give_back' as const, 'asked' as const, 'over' as const),
      n: fc.integer({ min: 0, max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('void' as const, 'time' as const, 'wait' as const),
      n: fc.constant(0),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('round' as const),
      state: fc.constantFrom('s0', 's1', 'forged'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('withdraw' as const, 'gone' as const), person }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      ms: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constant(USE_MS)),
    }),
  },
);

/** What must hold however a record is used, kept beside it in the plainest way. */
class Model {
  now = 0;
  record: ApprovalRecord;
  readonly gone = new Set<string>();
  /** Uses of the yes that were not given back. */
  uses: string[] = [];
  /** The uses that are not answered. */
  under = new Set<string>();
  approvedAt: number | undefined;
  asked: string | undefined;
  #n = 0;

  constructor(entries: EntryRecord[]) {
    this.record = recordOf(entries);
  }

  stands = ({ voter }: Pick<VoteRecord, 'voter'>): boolean => !this.gone.has(voter.principal);

  make(what: Step): ReturnType<typeof step> {
    const before = this.record;
    const made = step(before, what, { now: this.now, useMs: USE_MS, stands: this.stands });
    this.record = made.record;
    if (before.state !== 'approved' && made.record.state === 'approved' && before.state === 'open')
      this.approvedAt = this.now;
    return made;
  }

  apply(event: Event): void {
    const { entries } = this.record;
    switch (event.kind) {
      case 'pass':
        this.now += event.ms;
        return;
      case 'gone':
        this.gone.add(event.person);
        return;
      case 'vote': {
        const before = this.record;
        const places = placesFor(event.person, entries);
        const vote: VoteRecord = {
          by: event.person,
          voter: { way: 'sign_in', principal: event.person, credential: '' },
          at: this.now,
          yes: event.yes,
          repeat: false,
          entries: places,
        };
        const { problem } = this.make({ kind: 'vote', vote });
        if (before.state !== 'open' || this.now >= EXPIRES_MS) expect(problem).toMatch(/decided|expired/);
        else if (!event.yes) expect(this.record.state).toBe('denied');
        return;
      }
      case 'take': {
        const use = `use ${this.#n}`;
        const was = this.record;
        const { record } = this.make({ kind: 'take', use, waiter: undefined });
        if (record.use !== use) return;
        this.#n++;
        // It had a yes, in time, of all whose yes it wants, and nobody else has used it.
        expect(was.state).toBe('approved');
        expect(this.now - (this.approvedAt ?? NaN)).toBeLessThan(USE_MS);
        expect(this.approvedAt).toBeLessThan(EXPIRES_MS);
        expect(this.uses).toEqual([]);
        this.#allSaidYes(record);
        this.uses.push(use);
        this.under.add(use);
        return;
      }
      case 'round': {
        const use = `use ${this.#n}`;
        const { record } = this.make({
          kind: 'take',
          use,
          waiter: undefined,
          round: { state: event.state, keys: [] },
        });
        if (record.use !== use) return;
        this.#n++;
        expect(event.state).toBe(this.asked);
        this.asked = undefined;
        this.under.add(use);
        return;
      }
      case 'give_back': {
        const use = `use ${event.n}`;
        this.make({ kind: 'time' });
        const was = this.record;
        this.make({ kind: 'give_back', use });
        if (this.record === was) return;
        expect(this.under.delete(use)).toBe(true);
        if (this.uses.at(-1) === use && this.record.state !== 'sent') this.uses.pop();
        else this.asked = this.record.asked ? this.lastAsked : undefined;
        return;
      }
      case 'asked':
      case 'over': {
        const use = `use ${event.n}`;
        this.make({ kind: 'time' });
        const was = this.record;
        const state = `s${event.n % 2}`;
        const asked = event.kind === 'asked' ? { state, keys: [] } : undefined;
        this.make({ kind: 'answered', use, asked });
        if (this.record === was) return;
        expect(this.under.delete(use)).toBe(true);
        this.asked = this.lastAsked = asked?.state;
        return;
      }
      case 'withdraw':
        this.make({ kind: 'withdraw', by: event.person, isOperator: false });
        return;
      case 'void':
        this.make({ kind: 'void', reason: 'tool_changed' });
        return;
      case 'wait':
        this.make({ kind: 'wait', token: 't', until: this.now + 10 });
        return;
      case 'time':
        this.make({ kind: 'time' });
    }
  }

  lastAsked: string | undefined;

  /** By the names of those who voted alone. */
  #allSaidYes({ entries, votes }: ApprovalRecord): void {
    const yes = votes.filter(({ yes, by }) => yes && !this.gone.has(by)).map(({ by }) => by);
    expect(votes.every(({ yes: said }) => said)).toBe(true);
    const [callers, lists] = [
      entries.filter(({ label }) => label === null),
      entries.filter(({ label }) => label !== null),
    ];
    if (callers.length > 0) {
      expect(yes).toContain('al');
      expect(votes[0]?.by).toBe('al');
    }
    const people = [...new Set(yes)].filter((each) => each !== 'al');
    // Some choice of different people meets all lists.
    const slots = lists.flatMap(({ label, need }) => Array.from({ length: need }, () => label ?? ''));
    expect(canFill(slots, people)).toBe(true);
  }
}

function canFill(slots: readonly string[], people: readonly string[]): boolean {
  const [slot, ...rest] = slots;
  if (slot === undefined) return true;
  return people.some(
    (each) =>
      each.includes(slot) &&
      canFill(
        rest,
        people.filter((other) => other !== each),
      ),
  );
}

describe('a record', () => {
  it('lets a call go once, with all votes that it wants, and never late', () => {
    let sent = 0;
    let rounds = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 }),
        fc.integer({ min: 0, max: 2 }),
        fc.integer({ min: 0, max: 2 }),
        fc.array(event, { minLength: 15, maxLength: 60 }),
        (callers, a, b, events) => {
          fc.pre(callers + a + b > 0);
          const model = new Model(entriesFrom(callers, a, b));
          for (const each of events) {
            const before = model.record;
            model.apply(each);
            expect(model.uses.length).toBeLessThanOrEqual(1);
            // What is over stays over, but for a use that is given back.
            if (!isLive(before) && before.state !== 'sent') expect(model.record).toBe(before);
            if (each.kind === 'round' && model.under.size > 0) rounds++;
          }
          sent += model.uses.length;
        },
      ),
      { numRuns: 3000 },
    );
    expect(sent).toBeGreaterThan(50);
    expect(rounds).toBeGreaterThan(10);
  });

  it('finds a place for the votes if there is one', () => {
    const people = fc.subarray(['a', 'b', 'ab', 'ab2', 'ab3'], { minLength: 0 });
    fc.assert(
      fc.property(people, fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 3 }), (by, a, b) => {
        const entries = entriesFrom(0, a, b);
        const votes = by.map((each): VoteRecord => ({
          by: each,
          voter: { way: 'key', principal: each, credential: '' },
          at: 0,
          yes: true,
          repeat: false,
          entries: placesFor(each, entries),
        }));
        const slots = [...Array.from({ length: a }, () => 'a'), ...Array.from({ length: b }, () => 'b')];
        expect(areMet(entries, votes)).toBe(canFill(slots, by));
      }),
    );
  });
});
