/** What rules say about a caller and an item, for those who ask them. */
import type { GatewayError } from '../errors.js';
import type { Definition } from './lists.js';
import type { Message } from './message.js';
import type { HoldEntry } from './approvals.js';
import type { Principal } from './principal.js';

/** The kinds of names in a view. */
export type NameKind = 'tool' | 'prompt' | 'resource' | 'task';

/** What the rules for a caller say about an item. */
export interface Verdict {
  readonly shown: boolean;
  /** The rule that decides, or `default`. */
  readonly rule: string;
  /** Checks each call; undefined: every call is allowed. */
  readonly guard?: Guard | undefined;
  /** Which calls wait for a yes; undefined: none does. */
  readonly holds?: Holds | undefined;
}

/** Decides which calls of one tool wait for a yes. */
export interface Holds {
  /** The entries that fit, those by the caller first; empty: the call does not wait. `route`: see Guard. */
  of(principal: Principal, message: Pick<Message, 'body' | 'params'>, route: string): readonly HoldEntry[];
}

/** Checks calls of one item. */
export interface Guard {
  /** `route`: the path of the endpoint that the call came to. */
  check(principal: Principal, message: Pick<Message, 'body' | 'params'>, route: string): Checked;
}

export interface Checked {
  /** The rule that decides, or `default`. */
  readonly rule: string;
  /** Why the call is refused; undefined: it is allowed. */
  readonly error?: GatewayError | undefined;
}

/** The rules that apply to some callers. */
export interface Rules {
  /** Equal keys: equal decisions, as long as the policy is in force. */
  readonly key: string;
  /** Whether everything is allowed, of all servers. */
  readonly isAll: boolean;
  /** Whether nothing of a server may be seen. `server`: one that exists. */
  hides(server: string): boolean;
  /** Whether everything of a server is allowed, also what it does not list. */
  whole(server: string): boolean;
  /** Decides about an item. `name`: the server's own. `definition`: undefined: the server does not list it. */
  decide(kind: NameKind, server: string, name: string, definition?: Definition): Verdict;
}
