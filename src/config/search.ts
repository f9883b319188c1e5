/** `profiles[].search`: whether the tools of a profile are listed, or found through `find_tools`. */
import { z } from 'zod';

/** The most definitions that one answer of `find_tools` has. */
export const MAX_FOUND = 20;
/** The number of definitions in an answer when neither the caller nor the profile names one. */
const USUAL_FOUND = 5;

const settings = z.strictObject({
  always: z.array(z.string()).default([]),
  limit: z.int().min(1).max(MAX_FOUND).default(USUAL_FOUND),
});

/** A YAML 1.1 reader turns `on` and `off` into booleans. */
export const search = z
  .union([z.enum(['on', 'off']), z.boolean(), settings], {
    error: `must be on, off or {always: [globs], limit: 1 to ${MAX_FOUND}}`,
  })
  .default('off');

export interface SearchConfig {
  /** Globs over names as the profile lists them: tools that are listed all the same. */
  readonly always: readonly string[];
  /** How many definitions a search gives whose caller names no number. */
  readonly limit: number;
}

/** undefined: the profile lists its tools. */
export function searchOf(value: z.output<typeof search>): SearchConfig | undefined {
  if (value === 'off' || value === false) return undefined;
  return typeof value === 'object' ? value : { always: [], limit: USUAL_FOUND };
}
