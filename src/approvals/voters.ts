/** Who may vote on a call, and who sees it. */
import type { EntryView, HoldEntry, Voter } from '../protocol/approvals.js';
import { foldPerson, isApplication, personOf, type Principal } from '../protocol/principal.js';
import { countsOf, isTurnOf, type ApprovalRecord } from './record.js';

/** The entry of the policy in force with this digest; undefined: it has none. */
export type EntryOf = (digest: string) => HoldEntry | undefined;

const CONSOLE = 'console';

/** What a voter is called in records: his votes count once. */
export function nameOf({ principal, way }: Voter): string {
  if (way === 'console_key') return CONSOLE;
  return personOf(principal) ?? principal.id;
}

/** Whether he may say no to any call, and take back any yes. */
export function isOperator({ way }: Voter): boolean {
  return way === 'operator' || way === 'console_key';
}

/** Whether the record is of a call of this person. */
export function isOwn({ person, principal }: ApprovalRecord, voter: Principal): boolean {
  const own = personOf(voter);
  return voter.id === principal || (own !== undefined && own === person);
}

/** The same in another spelling: he does not confirm it, nor does he vote on it for a list. */
export function looksOwn(record: ApprovalRecord, voter: Principal): boolean {
  const own = personOf(voter);
  if (isOwn(record, voter)) return true;
  return own !== undefined && record.person !== undefined && foldPerson(own) === foldPerson(record.person);
}

/** The entries, by their places, that his yes may count for. */
export function entriesOf(record: ApprovalRecord, voter: Voter, entryOf: EntryOf): readonly number[] {
  const { principal, way } = voter;
  const callers = placesOf(record, true);
  if (way === 'console_key') return callers;
  if (way === 'operator' || personOf(principal) === undefined) return [];
  if (way === 'key' ? principal.approves !== true : isApplication(principal)) return [];
  // Nobody of a list votes on his own call; a caller who is nobody is no person either.
  if (isOwn(record, principal)) return callers;
  return looksOwn(record, principal) ? [] : listed(record, principal, entryOf);
}

function listed(record: ApprovalRecord, principal: Principal, entryOf: EntryOf): readonly number[] {
  return placesOf(record, false).filter((at) => {
    const by = entryOf(record.entries[at]?.digest ?? '')?.by;
    return by !== undefined && by !== 'caller' && by.fits(principal);
  });
}

function placesOf({ entries }: ApprovalRecord, callers: boolean): readonly number[] {
  return entries.flatMap(({ label }, at) => ((label === null) === callers ? [at] : []));
}

/** Whether he sees the record: the caller, those who vote, and who has voted. */
export function sees(record: ApprovalRecord, reader: Principal, entryOf: EntryOf): boolean {
  if (reader.kind === 'operator' || isOwn(record, reader)) return true;
  const person = personOf(reader);
  if (person === undefined) return false;
  return record.votes.some(({ by }) => by === person) || listed(record, reader, entryOf).length > 0;
}

/** Whether his yes would count now. */
export function mayVote(record: ApprovalRecord, reader: Principal, entryOf: EntryOf): boolean {
  if (record.state !== 'open') return false;
  const way = reader.kind === 'operator' ? 'console_key' : reader.approves === true ? 'key' : 'sign_in';
  const voter: Voter = { principal: reader, way };
  if (record.votes.some(({ by }) => by === nameOf(voter))) return false;
  return entriesOf(record, voter, entryOf).some((at) => isTurnOf(record.entries, record.votes, at));
}

export function entryViews({ entries, votes }: ApprovalRecord): readonly EntryView[] {
  const counts = countsOf(entries, votes);
  return entries.map(({ rule, label, need, repeat }, at) => ({
    rule,
    by: label ?? 'caller',
    isCaller: label === null,
    need,
    met: Math.min(counts[at] ?? 0, need),
    repeat,
  }));
}
