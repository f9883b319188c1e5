/** Patches that turn a request into one of the other era: they add and remove a few members, and keep all other bytes. */
import { find, type Message } from '../protocol/message.js';
import { ENVELOPE, META } from '../protocol/modern/meta.js';
import { PEER_CLIENT } from '../protocol/peer-clients.js';
import type { Caller } from '../protocol/ports.js';
import { FIRST_MODERN } from '../protocol/revisions.js';
import type { Member } from '../wire/scan.js';
import type { Patch } from '../wire/splice.js';
import { without } from '../wire/without.js';

/**
 * Members of `params` that carry the input of a modern request. A legacy server does not know them, and from a legacy client they would
 * conflict with those of the gateway.
 */
const ROUNDS: ReadonlySet<string> = new Set(['inputResponses', 'requestState']);
/** The eras request tasks in different ways. */
const OF_CALLS: ReadonlySet<string> = new Set([...ROUNDS, 'task']);

/** Members of `_meta` that a legacy server does not get. */
const OF_META: ReadonlySet<string> = new Set([...ENVELOPE, PEER_CLIENT]);
const NAMED: ReadonlySet<string> = new Set([PEER_CLIENT]);

/** Makes a modern request legacy, without its envelope. `more`: members for the start of `params`, with commas between them. */
export function toLegacy(message: Message, more = ''): Patch[] {
  const params = message.paramsSpan;
  if (!params) return [];
  const gone = message.method === 'tools/call' ? OF_CALLS : ROUNDS;
  const patches = without(message.body, params.start, message.params, gone);
  const meta = find(message.params, '_meta');
  if (meta) patches.push(...without(message.body, meta.start, message.meta, OF_META));
  if (more !== '') patches.push(insertion(message.body, params.start, more, kept(message.params, gone)));
  return patches;
}

/** Makes a retry a new request. */
export function withoutRounds({ body, params, paramsSpan }: Message): Patch[] {
  return paramsSpan ? without(body, paramsSpan.start, params, ROUNDS) : [];
}

/** Names the client of a modern request, for the replica that gets it. `name`: without characters that JSON escapes. */
export function withPeerClient({ body, params, meta }: Message, name: string): Patch[] {
  const at = find(params, '_meta');
  return at ? [insertion(body, at.start, peerMember(name), meta.length)] : [];
}

/** Takes away what `withPeerClient` has added. */
export function withoutPeerClient({ body, params, meta }: Message): Patch[] {
  const at = find(params, '_meta');
  return at ? without(body, at.start, meta, NAMED) : [];
}

function peerMember(name: string): string {
  return `"${PEER_CLIENT}":"${name}"`;
}

/** The envelope of a client whose name the replica gets that runs the server. It comes first, since the first one counts. */
export function namedEnvelope({ members }: Prepared, name: string): Prepared {
  const named = `${peerMember(name)},${members}`;
  return { members: named, meta: Buffer.from(`"_meta":{${named}},`) };
}

/** The envelope of a modern request, prepared for many requests. */
export interface Prepared {
  /** The members for its `_meta`. */
  readonly members: string;
  /** The whole `_meta` with a trailing comma, for params that have other members and no `_meta`, as most do. */
  readonly meta: Buffer;
}

/** Prepares the envelope of a client. `capabilities`: JSON. */
export function prepare(capabilities: string, caller: Pick<Caller, 'clientInfo' | 'level'>): Prepared {
  const members = envelopeOf(capabilities, caller);
  return { members, meta: Buffer.from(`"_meta":{${members}},`) };
}

function envelopeOf(
  capabilities: string,
  { clientInfo, level }: Pick<Caller, 'clientInfo' | 'level'>,
): string {
  const info = clientInfo === undefined ? '' : `,"${META.clientInfo}":${clientInfo}`;
  const log = level === undefined ? '' : `,"${META.logLevel}":"${level}"`;
  return `"${META.protocolVersion}":"${FIRST_MODERN}","${META.clientCapabilities}":${capabilities}${info}${log}`;
}

/**
 * Makes a legacy request modern. `more`: members for the start of `params`, each with a trailing comma.
 */
export function toModern(message: Message, { members, meta: ready }: Prepared, more = ''): Patch[] {
  const { body, paramsSpan } = message;
  if (!paramsSpan) {
    const end = body.lastIndexOf(0x7d);
    return [{ start: end, end, bytes: Buffer.from(`,"params":{${more}"_meta":{${members}}}`) }];
  }
  const patches = without(body, paramsSpan.start, message.params, OF_CALLS);
  const meta = find(message.params, '_meta');
  const isObject = meta !== undefined && body[meta.start] === 0x7b;
  if (meta && isObject) {
    patches.push(insertion(body, meta.start, members, message.meta.length));
    if (more !== '')
      patches.push(insertion(body, paramsSpan.start, more.slice(0, -1), kept(message.params, OF_CALLS)));
    return patches;
  }
  if (meta) patches.push({ start: meta.start, end: meta.end, bytes: Buffer.from(`{${members}}`) });
  if (!meta && more === '' && kept(message.params, OF_CALLS) > 0) {
    const start = body.indexOf(0x7b, paramsSpan.start) + 1;
    patches.push({ start, end: start, bytes: ready });
    return patches;
  }
  const rest = meta ? more.slice(0, -1) : `${more}"_meta":{${members}}`;
  if (rest !== '') patches.push(insertion(body, paramsSpan.start, rest, kept(message.params, OF_CALLS)));
  return patches;
}

function kept(members: readonly Member[], gone: ReadonlySet<string>): number {
  return members.filter(({ key }) => !gone.has(key)).length;
}

/** Inserts members at the start of the object at `at`; `others`: how many members follow them. */
function insertion(body: Buffer, at: number, members: string, others: number): Patch {
  const start = body.indexOf(0x7b, at) + 1;
  return { start, end: start, bytes: Buffer.from(others > 0 ? `${members},` : members) };
}
