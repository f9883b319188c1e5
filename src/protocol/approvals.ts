/**
 * Approvals: calls of tools that wait for a yes. What the path of a call, those who vote and the records have in common. Points in time are
 * Unix time in milliseconds.
 */
import type { GatewayError } from '../errors.js';
import type { Principal } from './principal.js';

/** Those whose yes an entry wants. */
export interface Approvers {
  /** For people: `finance`. */
  readonly label: string;
  fits(person: Principal): boolean;
}

/** An entry of `hold` of a rule, compiled. */
export interface HoldEntry {
  readonly rule: string;
  /** Equal digests: the same entry, whatever else of the policy has changed. */
  readonly digest: string;
  readonly by: 'caller' | Approvers;
  /** How many different persons have to say yes; 1 for `caller`. */
  readonly need: number;
  readonly expiresMs: number;
  /** Whether the client of the caller may ask its user itself, or a page of the gateway does. */
  readonly confirm: 'client' | 'page';
  /** What an approver may widen his yes to; undefined: it is for one call. */
  readonly repeat: { readonly ms: number; readonly covers: 'arguments' | 'tool' } | undefined;
}

/** A call that is held, as it would be sent now. */
export interface HeldCall {
  readonly principal: Principal;
  /** What its client calls itself, for people: `claude-code 2.1.0`; undefined: it does not say. */
  readonly client: string | undefined;
  readonly server: string;
  /** The server's own name of the tool. */
  readonly tool: string;
  /** JSON of `params` as the server gets them, except for the name. */
  readonly params: Buffer;
  /** Equal for equal values of the headers that the server gets from the client; undefined: it gets none. */
  readonly passed: string | undefined;
  /** A digest of the definition of the tool; empty: the server does not list it. */
  readonly definition: string;
  /** A digest of what the configuration says about the server, without limits and time-outs. */
  readonly config: string;
  /** A digest of the login or key that the server gets for this principal; undefined: none; null: another replica knows. */
  readonly login: string | null | undefined;
  /** All that fit, those by the caller first. Never empty. */
  readonly entries: readonly HoldEntry[];
}

/** `void`: something about the call has changed since it was asked for. */
export type ApprovalState = 'open' | 'approved' | 'sent' | 'denied' | 'expired' | 'void';

/** Why a call was not sent that was asked for. */
export type RefusedReason =
  'denied' | 'expired' | 'superseded' | 'policy_changed' | 'tool_changed' | 'server_changed' | 'withdrawn';

export interface VoteView {
  /** The person; `console`: the holder of the console key. */
  readonly by: string;
  readonly at: number;
  readonly yes: boolean;
  readonly note: string | undefined;
}

/** An entry as those see it who vote. */
export interface EntryView {
  readonly rule: string;
  /** `caller`, or those who vote, for people. */
  readonly by: string;
  readonly isCaller: boolean;
  readonly need: number;
  /** How many of them have said yes. */
  readonly met: number;
  readonly repeat: HoldEntry['repeat'];
}

/** A record as those see it who vote. The names of the principal, his client and the tool, and notes, have nothing invisible in them. */
export interface ApprovalView {
  readonly id: string;
  readonly state: ApprovalState;
  /** Why it ended; undefined: it has not, or was sent. */
  readonly reason: RefusedReason | undefined;
  /** The id of the principal, his name, and the person behind him; undefined: nobody. */
  readonly principal: string;
  readonly name: string;
  readonly person: string | undefined;
  readonly client: string | undefined;
  readonly server: string;
  readonly tool: string;
  /** Of the canonical form of the call: a vote names it. */
  readonly digest: string;
  /** The arguments as text in which nothing is invisible (several lines of JSON), with `***` for members of `audit.redact`. */
  readonly shown: string;
  /** What was sent besides and is not part of the yes, in the same form; undefined: nothing. */
  readonly ignored: string | undefined;
  /** How `shown` differs from the last call of this tool that this principal got a yes for, as lines of a diff; undefined: there was none. */
  readonly changes: readonly string[] | undefined;
  readonly entries: readonly EntryView[];
  readonly votes: readonly VoteView[];
  readonly created: number;
  /** Until when it can be voted on; once approved, until when the yes can be used. */
  readonly expires: number;
  /** Until when its yes is one for further calls, too; undefined: it is not, or was taken back. */
  readonly wideUntil: number | undefined;
  /** Whether a call waits for it. */
  readonly waiting: boolean;
}

/** A record as one reader sees it. */
export interface SeenApproval extends ApprovalView {
  /** Whether his yes would count; of the console key, as far as the gateway is one that only this machine reaches. */
  readonly mayVote: boolean;
}

export interface ListedApproval extends SeenApproval {
  /** It is without its arguments and changes: the list would be too long. */
  readonly isShort: boolean;
}

/** Who votes, and how he has shown who he is. */
export interface Voter {
  readonly principal: Principal;
  /** `console_key`: on a gateway that only this machine reaches. `operator`: may deny, and take back a yes. */
  readonly way: 'sign_in' | 'key' | 'console_key' | 'operator';
}

export interface Vote {
  readonly yes: boolean;
  /** Of the record, as the voter has seen it. */
  readonly digest: string;
  readonly note?: string | undefined;
  /** Widens the yes as the entry allows. */
  readonly repeat?: boolean | undefined;
}

/**
 * Why a vote does not count. `not_found`: there is no such record, or not for this voter. `not_approver`: nor is it his turn before the caller
 * has said yes.
 */
export type VoteProblem =
  | 'not_found'
  | 'decided'
  | 'expired'
  | 'other_digest'
  | 'own_call'
  | 'not_approver'
  | 'no_repeat'
  | 'unavailable';

/** What a modern server asked for in its last answer to a call (2026-07-28, basic/patterns/mrtr). */
export interface InputAsked {
  /** Its `requestState`; undefined: it gave none. */
  readonly state: string | undefined;
  readonly keys: readonly string[];
}

/** A later round of a call: what its client sends besides. */
export type Round = InputAsked;

/** A yes that was used: the call may be sent, once. */
export interface Use {
  /** Of the record. */
  readonly id: string;
  /** Nothing of the call has run: the yes is given back. */
  nothingRan(): void;
  /** The call was answered. `asked`: the server wants input first; undefined: the call is over. */
  answered(asked: InputAsked | undefined): void;
}

/** A call that waits for its yes. */
export interface Asked {
  readonly view: ApprovalView;
  /** The words for its caller, with where the page is: an `approval_required`. */
  readonly pending: GatewayError;
  /** The page of the record. */
  readonly url: string;
  /** Whether the caller has to say yes himself, and has not done so yet. */
  readonly wantsCaller: boolean;
  /** Whether the client may ask its user for that. */
  readonly mayAskClient: boolean;
  /**
   * Resolves with `approved`, or with why the call is not sent, once that is known; with `open` after `ms`, or once `signal` is aborted. Another
   * call of the same record that comes later takes its place: `superseded`. Never rejects.
   */
  settled(ms: number, signal: AbortSignal): Promise<'approved' | 'open' | GatewayError>;
  /** Resolves once the record is not open any more, or `signal` aborts, with its state then. Takes no call's place. Never rejects. */
  decided(signal: AbortSignal): Promise<ApprovalState>;
  /** The caller's own answer, as his client gave it; counts also once the call does not wait any more. Resolves with why it does not count. Never rejects. */
  answer(yes: boolean): Promise<VoteProblem | undefined>;
  /**
   * Uses the yes, for the call as it is judged now: what has changed since ends the record. The use is stored before this resolves. Never
   * rejects.
   */
  take(call: HeldCall): Promise<Use | GatewayError>;
  /** The call does not wait any more. The record stays. */
  leave(): void;
}

/** What the audit log gets. */
export interface ApprovalLine {
  readonly event: 'asked' | 'voted' | 'ended';
  readonly id: string;
  /** The id of the caller. */
  readonly principal: string;
  readonly server: string;
  readonly tool: string;
  /** The first that holds the call. */
  readonly rule: string;
  readonly digest: string;
  /** Who voted. */
  readonly by?: string | undefined;
  readonly decision?: 'approve' | 'deny' | undefined;
  readonly note?: string | undefined;
  /** How it ended: `sent`, or why the call was not sent. */
  readonly reason?: 'sent' | RefusedReason | undefined;
}

/** The records of a gateway, or of a fleet with one store. */
export interface Approvals {
  /**
   * Finds the record of a call, or makes one, once `admit` has returned nothing: the error is why it is not made. `round`: see Round. Never
   * rejects.
   */
  ask(
    call: HeldCall,
    round?: Round,
    admit?: () => GatewayError | undefined | Promise<GatewayError | undefined>,
  ): Promise<Asked | GatewayError>;
  /** Never rejects. */
  vote(id: string, voter: Voter, vote: Vote): Promise<ApprovalView | VoteProblem>;
  /** Takes back a yes that was not used. Never rejects. */
  withdraw(id: string, voter: Voter): Promise<ApprovalView | VoteProblem>;
  /**
   * What a reader sees, the oldest first, also what has ended a short time ago; `all`: he sees everything. Of more than fits into an answer,
   * what is over goes first, and then what is shown of the newest. Rejects if the state cannot be read.
   */
  list(reader: Principal, all?: boolean): Promise<readonly ListedApproval[]>;
  /** One of them, whatever there is besides. Rejects if the state cannot be read. */
  see(id: string, reader: Principal, all?: boolean): Promise<SeenApproval | undefined>;
  find(id: string): Promise<ApprovalView | undefined>;
  /** Ends what waits, and what runs in the background. The records stay. */
  close(): void;
}
