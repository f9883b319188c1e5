/** A compiled rule. */
import type { Glob } from '../lib/glob.js';
import type { HoldEntry } from '../protocol/approvals.js';
import type { Condition } from './condition.js';

/** What a rule allows or denies. */
export interface Target {
  readonly servers: Glob;
  /** Names of a kind; undefined: none of this kind. */
  readonly tools: Glob | undefined;
  readonly prompts: Glob | undefined;
  readonly resources: Glob | undefined;
  readonly annotations: readonly (readonly [name: string, value: boolean])[];
  readonly when: Condition | undefined;
  /** It is about everything of its servers, unconditionally. */
  readonly isWhole: boolean;
  /** It is about all servers. */
  readonly isEverywhere: boolean;
}

export interface Rule {
  readonly name: string;
  readonly needs: readonly string[];
  readonly allow: readonly Target[];
  readonly deny: readonly Target[];
  readonly hold: readonly Hold[];
}

/** Calls of tools that wait for a yes. */
export interface Hold {
  readonly target: Target;
  /** The tools, by names that `foldTool` has folded: for those that a server does not list. */
  readonly folded: Glob;
  readonly entry: HoldEntry;
}
