/** What tools take of the context of a model, estimated: for each list once, in steps that leave the event loop to other work. */
import { estimateTokenCount } from 'tokenx';
import { turns } from '../lib/turns.js';
import type { Definition } from '../protocol/lists.js';
import { objectOf, readJson, textOf } from '../wire/json.js';

/** A longer definition, or text of one, is estimated by its length: reading it would hold the event loop. */
const LONG_BYTES = 262_144;
const LONG_CHARS = 16_384;
const CHARS_A_TOKEN = 4;

export interface TokenCounts {
  /** By the position in the list. */
  readonly each: readonly number[];
  readonly sum: number;
}

const known = new WeakMap<readonly Definition[], TokenCounts>();
const counting = new WeakMap<readonly Definition[], Promise<TokenCounts>>();

/** undefined: not counted yet. */
export function tokensKnown(list: readonly Definition[]): TokenCounts | undefined {
  return list.length === 0 ? NONE : known.get(list);
}

/** The same list is counted once. */
export async function tokensOf(list: readonly Definition[]): Promise<TokenCounts> {
  const counted = tokensKnown(list);
  if (counted) return counted;
  let running = counting.get(list);
  if (!running) counting.set(list, (running = count(list)));
  return running;
}

const NONE: TokenCounts = { each: [], sum: 0 };

async function count(list: readonly Definition[]): Promise<TokenCounts> {
  const each: number[] = [];
  let sum = 0;
  for (const { bytes } of list) {
    const tokens = estimate(bytes);
    each.push(tokens);
    sum += tokens;
    if (turns.isOver()) await turns.next();
  }
  const counts = { each, sum };
  known.set(list, counts);
  return counts;
}

/** Of name, description and schema: what clients give to a model. */
function estimate(bytes: Buffer): number {
  const tool = bytes.length > LONG_BYTES ? undefined : objectOf(readJson(bytes));
  if (!tool) return byLength(bytes);
  const texts = [textOf(tool['name']), textOf(tool['description']), JSON.stringify(tool['inputSchema'])];
  const read = texts.filter((text) => text !== undefined).join('\n');
  return read.length > LONG_CHARS ? byLength(read) : estimateTokenCount(read);
}

const byLength = ({ length }: Buffer | string): number => Math.ceil(length / CHARS_A_TOKEN);
