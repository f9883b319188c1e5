/** Reads the arguments of a call for conditions, and refuses what a server might read differently. */
import { find, type Message } from '../protocol/message.js';
import type { NameKind, Principal } from '../protocol/ports.js';
import { foldWide } from '../wire/fold.js';
import { readObject, type JsonObject } from '../wire/json.js';
import type { ConditionInput } from './condition.js';
import { doubtAbout, isSafeNumber } from '../wire/unambiguous.js';

/** Larger arguments are not read. */
const MAX_BYTES = 65_536;

const READING = { fold: foldWide, isExact: isSafeNumber };

/** Thrown for arguments that cannot be read in one way only. */
export class Ambiguous extends Error {}

/** The arguments of a call; without any, an empty object. Throws Ambiguous. */
export function argumentsOf({ body, params }: Pick<Message, 'body' | 'params'>): JsonObject {
  const at = find(params, 'arguments');
  return at ? readArguments(body.subarray(at.start, at.end)) : {};
}

/** What a condition is asked about. */
export interface ConditionItem {
  readonly kind: NameKind;
  readonly server: string;
  readonly name: string;
}

export function conditionInput(
  principal: Principal,
  { kind, server, name }: ConditionItem,
  args: JsonObject,
  route: string,
): ConditionInput {
  const { id, groups, scopes, claims } = principal;
  return {
    principal: { id, name: principal.name, groups, scopes, claims },
    args,
    uri: kind === 'resource' ? name : '',
    name,
    server,
    route,
  };
}

/** The arguments as a value. Throws Ambiguous. `bytes`: validated JSON. */
export function readArguments(bytes: Buffer): JsonObject {
  if (bytes.length > MAX_BYTES) throw new Ambiguous(`the arguments have more than ${MAX_BYTES} bytes`);
  const value = readObject(bytes, MAX_BYTES);
  if (!value) throw new Ambiguous('the arguments are not an object');
  const doubt = doubtAbout(bytes.toString('utf8'), READING);
  if (doubt !== undefined) throw new Ambiguous(`the arguments have ${doubt}`);
  return value;
}
