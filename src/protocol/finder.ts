/** How the tools of a view are found that lists only some of them. */
import type { Definition } from './lists.js';
import type { Era } from './revisions.js';

/** A tool that a search found. */
export interface Hit {
  /** Its name in the view. */
  readonly name: string;
  readonly definition: Definition;
  /** The definition as in the list of the view for clients of an era. */
  readonly bytes: Buffer;
  /** The beginning of its description in that list, BRIEF characters at the most. */
  readonly description: string;
  readonly score: number;
}

/** Characters of a description in a brief answer. */
export const BRIEF = 200;

/** Searches what a view shows; what it hides is in no result, count or name. */
export interface Finder {
  /** How many tools a search gives whose caller names no number. */
  readonly limit: number;
  /** Builds the index of the present lists, with pauses for other work; undefined: there is nothing to build. */
  prepareSearch(): Promise<void> | undefined;
  /** The best tools first, ties by name. */
  search(query: string, limit: number, era: Era): readonly Hit[];
  /** The names that are most like `name`, the most similar first, three at the most. */
  nearest(name: string): readonly string[];
  /** The servers, whether connected or not, and how many tools of each are shown. */
  counts(): readonly { readonly server: string; readonly tools: number }[];
}

export const FIND_TOOLS = 'find_tools';
export const CALL_TOOL = 'call_tool';
export const CALL_READ_ONLY_TOOL = 'call_read_only_tool';
/** The tools that a view with search lists of its own. */
export const OWN_TOOLS: ReadonlySet<string> = new Set([FIND_TOOLS, CALL_TOOL, CALL_READ_ONLY_TOOL]);
