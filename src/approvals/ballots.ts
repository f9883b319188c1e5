/** Votes: who gives them, what follows, and how they are taken back. */
import type { ApprovalView, Vote, Voter, VoteProblem } from '../protocol/approvals.js';
import { NOES_MS, MANY_NOES } from './bounds.js';
import { digestsOf, type Desk, type Done } from './desk.js';
import { widened, type ApprovalRecord, type Problem, type Step, type VoteRecord } from './record.js';
import { Unavailable } from './records.js';
import { entriesOf, isOperator, looksOwn, nameOf, sees } from './voters.js';
import { MAX_NOTE } from './words.js';

/** How often a yes for further calls can be used. */
const REPEAT_USES = 100;

/** Methods never reject. */
export class Ballots {
  readonly #desk: Desk;

  constructor(desk: Desk) {
    this.#desk = desk;
  }

  async vote(id: string, voter: Voter, vote: Vote): Promise<ApprovalView | VoteProblem> {
    return await this.#guarded(async () => {
      const record = await this.#desk.find(id);
      if (!record) return 'not_found';
      const texts = await this.#desk.records.texts(id);
      // Nobody can say yes to what he cannot see.
      if (!texts && vote.yes) return 'unavailable';
      const done = await this.#desk.step(
        record.key,
        id,
        (now) => this.#stepOf(now, voter, vote),
        (now) => this.#follow(now),
      );
      if (!done) return 'not_found';
      if (done.problem) return problemOf(done.problem);
      // The entry is gone from the policy.
      if (done.record.state === 'void') return 'decided';
      return this.#desk.view(done.record, texts ?? { shown: '' });
    });
  }

  #stepOf(record: ApprovalRecord, voter: Voter, { yes, digest, note, repeat }: Vote): Step | Problem {
    const { entryOf, now } = this.#desk.deps;
    const { principal, way } = voter;
    const entries = entriesOf(record, voter, entryOf);
    const mayDeny = !yes && isOperator(voter);
    if (entries.length === 0 && !mayDeny) {
      if (!sees(record, principal, entryOf) && !isOperator(voter)) return 'not_found';
      return looksOwn(record, principal) ? 'own_call' : 'not_approver';
    }
    if (record.state !== 'open') return record.state === 'expired' ? 'expired' : 'decided';
    if (digest !== record.digest) return 'other_digest';
    if (record.entries.some((entry) => !entryOf(entry.digest)))
      return { kind: 'void', reason: 'policy_changed' };
    return {
      kind: 'vote',
      vote: {
        by: nameOf(voter),
        voter: { way, principal: principal.id, credential: principal.credential },
        at: now(),
        yes,
        note: note === undefined || note === '' ? undefined : note.slice(0, MAX_NOTE),
        repeat: yes && repeat === true,
        entries,
      },
    };
  }

  /** The answer that the caller gave in his client. */
  async answer(
    { key, id }: Pick<ApprovalRecord, 'key' | 'id'>,
    yes: boolean,
  ): Promise<VoteProblem | undefined> {
    return await this.#guarded(async () => {
      const done = await this.#desk.step(
        key,
        id,
        (record) => this.#answerOf(record, yes),
        (record) => this.#follow(record),
      );
      if (!done) return 'not_found';
      if (done.problem) return problemOf(done.problem);
      if (done.record.state === 'void') return 'decided';
      return undefined;
    });
  }

  #answerOf(record: ApprovalRecord, yes: boolean): Step | Problem {
    const entries = record.entries.flatMap(({ label }, at) => (label === null ? [at] : []));
    if (entries.length === 0 || !record.asksClient) return 'not_approver';
    if (record.entries.some(({ digest }) => !this.#desk.deps.entryOf(digest)))
      return { kind: 'void', reason: 'policy_changed' };
    const vote: VoteRecord = {
      by: record.person ?? record.principal,
      voter: { way: 'form', principal: record.principal, credential: '' },
      at: this.#desk.deps.now(),
      yes,
      repeat: false,
      entries,
    };
    return { kind: 'vote', vote };
  }

  /** What a vote leads to besides, before the call that waits goes on. If it cannot be stored, the vote counts all the same. */
  async #follow(record: ApprovalRecord): Promise<void> {
    const { records, deps } = this.#desk;
    const { id, principal, server, tool, state, votes, definition, config, login } = record;
    try {
      if (state === 'denied')
        await records.addNo(
          await this.#desk.name('tool', principal, server, tool),
          id,
          2 * NOES_MS,
          MANY_NOES,
        );
      const wide = state === 'approved' ? widened(record) : undefined;
      if (!wide) return;
      const until = deps.now() + wide.ms;
      await records.keepRepeat(record.repeats[wide.covers === 'arguments' ? 0 : 1], {
        id,
        votes,
        entries: digestsOf(record),
        definition,
        config,
        login,
        until,
        left: REPEAT_USES,
      });
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
    }
  }

  async withdraw(id: string, voter: Voter): Promise<ApprovalView | VoteProblem> {
    return await this.#guarded(async () => {
      const record = await this.#desk.find(id);
      if (!record) return 'not_found';
      const { records, deps } = this.#desk;
      const by = nameOf(voter);
      const isAny = isOperator(voter);
      const from = record.from ?? id;
      let isEnded = false;
      for (const name of record.repeats)
        isEnded =
          (await records.endRepeat(
            name,
            from,
            ({ votes }) => isAny || votes.some((vote) => vote.by === by),
          )) || isEnded;
      const done = await this.#desk.step(record.key, id, { kind: 'withdraw', by, isOperator: isAny });
      if (!done) return 'not_found';
      if (done.problem === 'not_approver' && !sees(record, voter.principal, deps.entryOf)) return 'not_found';
      if (done.problem && !isEnded) return problemOf(done.problem);
      return this.#desk.view(done.record, (await records.texts(id)) ?? { shown: '' });
    });
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T | 'unavailable'> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Unavailable)) this.#desk.deps.boundary.caught('detached', error);
      return 'unavailable';
    }
  }
}

function problemOf(problem: NonNullable<Done['problem']>): VoteProblem {
  return problem === 'not_approved' || problem === 'superseded' ? 'decided' : problem;
}
