/**
 * What a yes is for: the `params` of a call in one spelling, without what clients change from one try to the next. Calls that two readers
 * could read differently have none.
 */
import type { Glob } from '../lib/glob.js';
import { sha256 } from '../lib/sha256.js';
import { canonical, canonicalKey, canonicalObject } from '../wire/canonical.js';
import { foldWide } from '../wire/fold.js';
import { readObject } from '../wire/json.js';
import type { Member } from '../wire/scan.js';
import { doubtAbout, isExactNumber } from '../wire/unambiguous.js';
import { membersOf } from '../wire/walk.js';

/** Calls with more are not asked for, in bytes of `params`. */
export const MAX_PARAMS = 65_536;

/** Members of `params` that say how a call is made, and not what it does. */
const OF_THE_CALL = new Set(['name', 'task', 'inputResponses', 'requestState']);
/** The same of `_meta`: its progress, and what traces it. */
const OF_THE_MESSAGE = new Set(['progressToken', 'traceparent', 'tracestate', 'baggage']);
const OF_THE_PROTOCOL = 'io.modelcontextprotocol/';

const READING = { fold: foldWide, isExact: isExactNumber };

export interface Params {
  /** `params`. */
  readonly body: Buffer;
  /** SHA-256 of the canonical form, in base64url. */
  readonly digest: string;
  /** The members that are part of it, except for `_meta`. */
  readonly members: readonly Member[];
  /** Those of `_meta`. */
  readonly meta: readonly Member[];
  /** Members of `_meta` that are not, because the configuration says so. */
  readonly ignored: readonly Member[];
}

/** Why a call has no canonical form, after "it has" or "they have". */
export class Unclear {
  readonly why: string;
  constructor(why: string) {
    this.why = why;
  }
}

/** `body`: JSON of `params`. `ignores`: names of `_meta` that are no part of a yes. */
export function readParams(body: Buffer, ignores: Glob): Params | Unclear {
  if (body.length > MAX_PARAMS) return new Unclear(`more than ${MAX_PARAMS} bytes`);
  if (!readObject(body, MAX_PARAMS)) return new Unclear('something that is not JSON');
  const doubt = doubtAbout(body.toString('utf8'), READING);
  if (doubt !== undefined) return new Unclear(doubt);
  const members: Member[] = [];
  const meta: Member[] = [];
  const ignored: Member[] = [];
  for (const member of membersOf(body)) {
    if (OF_THE_CALL.has(member.key)) continue;
    if (member.key !== '_meta' || body[member.start] !== 0x7b) {
      members.push(member);
      continue;
    }
    for (const each of membersOf(body, member.start)) {
      if (OF_THE_MESSAGE.has(each.key) || each.key.startsWith(OF_THE_PROTOCOL)) continue;
      (ignores(each.key) ? ignored : meta).push(each);
    }
  }
  const parts = members.map((member) => partOf(body, member));
  if (meta.length > 0)
    parts.push(canonicalKey('_meta') + canonicalObject(meta.map((member) => partOf(body, member))));
  return { body, digest: sha256(canonicalObject(parts)), members, meta, ignored };
}

function partOf(body: Buffer, { key, start }: Member): string {
  return canonicalKey(key) + canonical(body, start).text;
}
