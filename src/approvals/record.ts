/** The record of a call that waits for a yes, and how it changes. Nothing here reads a clock or a store. */
import { sha256 } from '../lib/sha256.js';
import { foldPerson } from '../protocol/principal.js';
import type {
  ApprovalState,
  HoldEntry,
  InputAsked,
  RefusedReason,
  VoteProblem,
} from '../protocol/approvals.js';

/** An entry as it was when the call was asked for. */
export interface EntryRecord {
  readonly rule: string;
  readonly digest: string;
  /** Those whose yes it wants, for people; null: the caller's. */
  readonly label: string | null;
  readonly need: number;
  readonly repeat?: HoldEntry['repeat'];
}

/** Who has voted, as far as that can be withdrawn. */
export interface VoterRecord {
  /** `form`: the caller answered in his client. */
  readonly way: 'sign_in' | 'key' | 'console_key' | 'operator' | 'form';
  /** The id of the principal. */
  readonly principal: string;
  /** Fingerprint of its credential; empty: it has none. */
  readonly credential: string;
}

export interface VoteRecord {
  /** The person, `console`, or a caller who is nobody; each votes once. */
  readonly by: string;
  readonly voter: VoterRecord;
  readonly at: number;
  readonly yes: boolean;
  readonly note?: string | undefined;
  readonly repeat: boolean;
  /** The entries that this vote may count for, by their places; either those of the caller, or others. */
  readonly entries: readonly number[];
}

export interface ApprovalRecord {
  readonly id: string;
  readonly key: string;
  /** The id of the principal. */
  readonly principal: string;
  readonly name: string;
  readonly person?: string | undefined;
  readonly client?: string | undefined;
  readonly server: string;
  readonly tool: string;
  readonly digest: string;
  readonly definition: string;
  readonly config: string;
  readonly login?: string | undefined;
  readonly entries: readonly EntryRecord[];
  /** Whether the client of the caller may ask him itself. */
  readonly asksClient: boolean;
  readonly created: number;
  /** Until when it can be voted on. */
  readonly expires: number;
  readonly votes: readonly VoteRecord[];
  readonly state: ApprovalState;
  /** approved: until when the yes can be used. denied: until when it answers the same call. */
  readonly until?: number | undefined;
  readonly reason?: RefusedReason | undefined;
  /** When it was sent, or ended. */
  readonly ended?: number | undefined;
  /** Where a yes is kept that is wider than this call: of its arguments, and of its tool. */
  readonly repeats: readonly [string, string];
  /** Until when its yes is one for further calls. */
  readonly wideUntil?: number | undefined;
  /** The id of the record whose yes this call has; undefined: its own. */
  readonly from?: string | undefined;
  /** A random text of the use of the yes; nobody else can give it back. */
  readonly use?: string | undefined;
  /** What the server asked for in its last answer; undefined: the call is over, or not answered. */
  readonly asked?: AskedRecord | undefined;
  /** The use is that of a later round, which had answered this. */
  readonly round?: AskedRecord | undefined;
  readonly isAnswered?: boolean | undefined;
  /** The call that waits: a random text, and until when it does. */
  readonly waiter?: { readonly token: string; readonly until: number } | undefined;
}

interface AskedRecord {
  /** SHA-256 of its `requestState`; null: it gave none. */
  readonly state: string | null;
  /** SHA-256 of the keys. */
  readonly keys: string;
  readonly at: number;
}

/** Whether a voter still is the one who he was, and one of those whom these entries ask. `digests`: of the entries. */
export type Stands = (vote: VoteRecord, digests: readonly string[]) => boolean;

/** What a step needs to know. */
export interface Conditions {
  readonly now: number;
  /** How long a yes can be used, and a no is kept, in ms. */
  readonly useMs: number;
  readonly stands: Stands;
}

/** How long after a round the next one passes, in ms. */
const ROUND_MS = 600_000;
/** Votes of one record. */
const MAX_VOTES = 64;

export type Step =
  | { readonly kind: 'time' }
  | { readonly kind: 'vote'; readonly vote: VoteRecord }
  /** The voter takes back his yes; `isOperator`: he may take back any. */
  | { readonly kind: 'withdraw'; readonly by: string; readonly isOperator: boolean }
  | { readonly kind: 'void'; readonly reason: RefusedReason }
  | { readonly kind: 'wait'; readonly token: string; readonly until: number }
  | { readonly kind: 'leave'; readonly token: string }
  /** `waiter`: of the call, if it has waited. `round`: it is a later round of the call. */
  | {
      readonly kind: 'take';
      readonly use: string;
      readonly waiter: string | undefined;
      readonly round?: InputAsked | undefined;
    }
  | { readonly kind: 'give_back'; readonly use: string }
  | { readonly kind: 'answered'; readonly use: string; readonly asked: InputAsked | undefined };

export type Problem = VoteProblem | 'not_approved' | 'superseded';

export interface Stepped {
  /** The same object: nothing has changed. */
  readonly record: ApprovalRecord;
  /** Why the step was not made; what time has changed is in the record all the same. */
  readonly problem?: Problem;
}

/** Makes a step, after what time has changed. */
export function step(was: ApprovalRecord, what: Step, conditions: Conditions): Stepped {
  const record = aged(was, conditions.now);
  switch (what.kind) {
    case 'time':
      return { record };
    case 'vote':
      return voted(record, what.vote, conditions);
    case 'withdraw':
      return withdrawn(record, what, conditions);
    case 'void':
      return isLive(record)
        ? { record: ended(record, 'void', what.reason, conditions.now) }
        : { record, problem: 'decided' };
    case 'wait':
      return isLive(record)
        ? { record: { ...record, waiter: { token: what.token, until: what.until } } }
        : { record };
    case 'leave':
      return record.waiter?.token === what.token ? { record: { ...record, waiter: undefined } } : { record };
    case 'take':
      return taken(record, what, conditions);
    case 'give_back':
      return { record: givenBack(record, what.use, conditions.now) };
    case 'answered':
      return { record: answered(record, what, conditions.now) };
  }
}

/** Whether it can still be voted on, or its yes used. */
export function isLive({ state }: ApprovalRecord): boolean {
  return state === 'open' || state === 'approved';
}

function aged(record: ApprovalRecord, now: number): ApprovalRecord {
  if (record.state === 'open' && now >= record.expires) return ended(record, 'expired', 'expired', now);
  if (record.state === 'approved' && now >= (record.until ?? 0))
    return ended(record, 'expired', 'expired', now);
  return record;
}

function ended(
  record: ApprovalRecord,
  state: ApprovalState,
  reason: RefusedReason,
  now: number,
): ApprovalRecord {
  return { ...record, state, reason, ended: now, until: undefined, waiter: undefined };
}

function voted(record: ApprovalRecord, vote: VoteRecord, { now, useMs, stands }: Conditions): Stepped {
  if (record.state === 'expired') return { record, problem: 'expired' };
  if (record.state !== 'open') return { record, problem: 'decided' };
  if (!vote.yes) {
    const denied = { ...ended(record, 'denied', 'denied', now), until: now + useMs };
    return { record: { ...denied, votes: [...record.votes, vote] } };
  }
  const standing = afterCaller(record.entries, standingOf(record, stands));
  if (standing.some(({ by }) => foldPerson(by) === foldPerson(vote.by)))
    return { record, problem: 'decided' };
  const entries = vote.entries.filter((at) => isTurnOf(record.entries, standing, at));
  if (entries.length === 0) return { record, problem: 'not_approver' };
  if (vote.repeat && !record.entries.every(({ repeat }) => repeat)) return { record, problem: 'no_repeat' };
  if (standing.length >= MAX_VOTES) return { record, problem: 'decided' };
  const votes = [...standing, { ...vote, entries }];
  const next: ApprovalRecord = { ...record, votes };
  if (!areMet(record.entries, votes)) return { record: next };
  const wide = widened(next);
  return {
    record: { ...next, state: 'approved', until: now + useMs, wideUntil: wide && now + wide.ms },
  };
}

/** The entries, by their places, whose turn it is and that want more votes: those of the caller come first. */
export function openPlaces(entries: readonly EntryRecord[], votes: readonly VoteRecord[]): readonly number[] {
  const counts = countsOf(entries, votes);
  const open = entries.flatMap(({ need }, at) => ((counts[at] ?? 0) < need ? [at] : []));
  const callers = open.filter((at) => entries[at]?.label === null);
  return callers.length > 0 ? callers : open;
}

/** Whether votes for an entry count now. One that has all its votes may give one of them to another entry. */
export function isTurnOf(entries: readonly EntryRecord[], votes: readonly VoteRecord[], at: number): boolean {
  const isCallersTurn = openPlaces(entries, votes).some((each) => entries[each]?.label === null);
  return entries[at] !== undefined && (entries[at].label === null) === isCallersTurn;
}

function withdrawn(
  record: ApprovalRecord,
  { by, isOperator }: Extract<Step, { kind: 'withdraw' }>,
  { now }: Conditions,
): Stepped {
  const isVoter = record.votes.some((vote) => vote.by === by && vote.yes);
  if (!isVoter && !isOperator) return { record, problem: 'not_approver' };
  if (record.state === 'approved') return { record: ended(record, 'void', 'withdrawn', now) };
  // That of further calls.
  if (record.state === 'sent' && now < (record.wideUntil ?? 0))
    return { record: { ...record, wideUntil: undefined } };
  if (record.state === 'expired') return { record, problem: 'expired' };
  if (record.state !== 'open' || record.votes.length === 0) return { record, problem: 'decided' };
  const votes = isVoter ? record.votes.filter((vote) => vote.by !== by) : [];
  return { record: { ...record, votes: afterCaller(record.entries, votes) } };
}

/** The votes of those who still may give them. */
export function standingOf(
  { entries, votes }: Pick<ApprovalRecord, 'entries' | 'votes'>,
  stands: Stands,
): readonly VoteRecord[] {
  return votes.filter((vote) =>
    stands(
      vote,
      vote.entries.flatMap((at) => entries[at]?.digest ?? []),
    ),
  );
}

/** What is left of votes once some are gone: without that of the caller, who comes first, none. */
function afterCaller(entries: readonly EntryRecord[], votes: readonly VoteRecord[]): readonly VoteRecord[] {
  const isCallersTurn = openPlaces(entries, votes).some((at) => entries[at]?.label === null);
  return isCallersTurn ? [] : votes;
}

function taken(
  record: ApprovalRecord,
  { use, waiter, round }: Extract<Step, { kind: 'take' }>,
  { now, stands }: Conditions,
): Stepped {
  if (round) {
    if (!isRound(record, round, now)) return { record, problem: 'not_approved' };
    return {
      record: { ...record, use, round: record.asked, asked: undefined, isAnswered: false, ended: now },
    };
  }
  if (record.state !== 'approved') return { record, problem: 'not_approved' };
  if (waiter !== undefined && record.waiter?.token !== waiter) return { record, problem: 'superseded' };
  const votes = standingOf(record, stands);
  if (!areMet(record.entries, votes)) return { record: ended(record, 'void', 'withdrawn', now) };
  const sent = { ...record, state: 'sent' as const, use, ended: now, waiter: undefined };
  return { record: { ...sent, asked: undefined, round: undefined, isAnswered: false } };
}

/** Whether this is the next round of a call that was sent. */
export function isRound({ state, asked }: ApprovalRecord, round: InputAsked, now: number): boolean {
  if (state !== 'sent' || !asked || now >= asked.at + ROUND_MS) return false;
  if (asked.state !== null) return round.state !== undefined && sha256(round.state) === asked.state;
  return round.state === undefined && keysDigest(round.keys) === asked.keys;
}

function keysDigest(keys: readonly string[]): string {
  return sha256(JSON.stringify([...new Set(keys)].sort()));
}

function givenBack(record: ApprovalRecord, use: string, now: number): ApprovalRecord {
  if (record.state !== 'sent' || record.use !== use || record.isAnswered === true) return record;
  const unused = { ...record, use: undefined };
  if (record.round) return { ...unused, asked: record.round, round: undefined };
  return aged({ ...unused, state: 'approved', ended: undefined }, now);
}

function answered(
  record: ApprovalRecord,
  { use, asked }: Extract<Step, { kind: 'answered' }>,
  now: number,
): ApprovalRecord {
  if (record.state !== 'sent' || record.use !== use || record.isAnswered === true) return record;
  const kept = asked && {
    state: asked.state === undefined ? null : sha256(asked.state),
    keys: keysDigest(asked.keys),
    at: now,
  };
  return { ...record, isAnswered: true, round: undefined, asked: kept, ended: kept ? now : record.ended };
}

/**
 * How many votes count for each entry: that of the caller for all that are his, any other for one, so that as many votes as possible have a
 * place.
 */
export function countsOf(entries: readonly EntryRecord[], votes: readonly VoteRecord[]): number[] {
  const all = onePerPerson(votes);
  const isCallers = ({ entries: places }: VoteRecord): boolean =>
    places.some((at) => entries[at]?.label === null);
  const saidYes = all.some(isCallers);
  const counts = entries.map(({ label }): number => (label === null && saidYes ? 1 : 0));
  const yes = all.filter((vote) => !isCallers(vote));
  const given: (number | undefined)[] = yes.map(() => undefined);

  /** Finds a place for a vote, moving others if they have another place. */
  function place(vote: number, tried: Set<number>): boolean {
    for (const at of yes[vote]?.entries ?? []) {
      if (tried.has(at) || !entries[at]) continue;
      tried.add(at);
      if ((counts[at] ?? 0) < entries[at].need) {
        counts[at] = (counts[at] ?? 0) + 1;
        given[vote] = at;
        return true;
      }
      for (let other = 0; other < yes.length; other++) {
        if (given[other] !== at || !place(other, tried)) continue;
        // The other one has left this place.
        given[vote] = at;
        return true;
      }
    }
    return false;
  }
  yes.forEach((_, vote) => place(vote, new Set()));
  return counts;
}

function onePerPerson(votes: readonly VoteRecord[]): VoteRecord[] {
  const first = new Map<string, VoteRecord>();
  for (const vote of votes) {
    const person = foldPerson(vote.by);
    if (vote.yes && !first.has(person)) first.set(person, vote);
  }
  return [...first.values()];
}

/** Whether all votes are there that the entries want. */
export function areMet(entries: readonly EntryRecord[], votes: readonly VoteRecord[]): boolean {
  const counts = countsOf(entries, votes);
  return entries.length > 0 && entries.every(({ need }, at) => (counts[at] ?? 0) >= need);
}

/** How far the votes of an approved record have widened it; undefined: it is for one call. */
export function widened({ entries, votes }: ApprovalRecord): HoldEntry['repeat'] {
  if (votes.length === 0 || !votes.every(({ yes, repeat }) => yes && repeat)) return undefined;
  let widest: HoldEntry['repeat'];
  for (const { repeat } of entries) {
    if (!repeat) return undefined;
    widest = widest
      ? {
          ms: Math.min(widest.ms, repeat.ms),
          covers: widest.covers === 'tool' ? repeat.covers : 'arguments',
        }
      : repeat;
  }
  return widest;
}
