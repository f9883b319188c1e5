import type { Member } from './scan.js';
import type { Patch } from './splice.js';

const EMPTY = Buffer.alloc(0);
const COMMA = 0x2c;

/** Removes members from the object at `at`, with one comma each. `members`: all members, in order. */
export function without(
  body: Buffer,
  at: number,
  members: readonly Member[],
  gone: ReadonlySet<string>,
): Patch[] {
  const patches: Patch[] = [];
  for (let i = 0; i < members.length; i++) {
    if (!gone.has((members[i] as Member).key)) continue;
    const first = i;
    while (i + 1 < members.length && gone.has((members[i + 1] as Member).key)) i++;
    const last = members[i] as Member;
    if (first > 0) patches.push({ start: (members[first - 1] as Member).end, end: last.end, bytes: EMPTY });
    else {
      const start = body.indexOf(0x7b, at) + 1;
      const end = i + 1 < members.length ? body.indexOf(COMMA, last.end) + 1 : last.end;
      patches.push({ start, end, bytes: EMPTY });
    }
  }
  return patches;
}
