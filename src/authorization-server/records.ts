/** What is stored of a grant, and where. */
import { randomBytes } from 'node:crypto';
import { sha256 } from '../lib/sha256.js';
import type { Person } from '../protocol/authorization-server.js';
import type { Client } from './clients.js';

/** The part of the state that is used here. */
export interface Records {
  get(key: string): Promise<{ readonly generation: number; readonly value: object } | undefined>;
  put(
    key: string,
    value: object,
    ifGeneration: number,
    options?: { readonly ttlMs?: number; readonly durable?: boolean },
  ): Promise<boolean>;
  delete(key: string): Promise<void>;
  keys(kind: 'sign-in' | 'ended-sign-in'): AsyncIterable<string>;
  lock(key: string, ttlMs: number, signal: AbortSignal): Promise<() => Promise<void>>;
}

/** A grant as it is stored. Points in time are Unix time in milliseconds. */
export interface GrantRecord {
  /** The identity provider and the client there: a grant of another one does not count. */
  readonly provider: string;
  readonly client: { readonly id: string; readonly kind: Client['kind']; readonly name: string };
  readonly redirectUri: string;
  readonly resource: string;
  readonly scopes: readonly string[];
  readonly person: Person;
  /** The subject at the identity provider, which may be another claim than the id of the person. */
  readonly subject: string;
  /** All that the identity provider has said. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** When the identity provider said so last. */
  readonly confirmed: number;
  readonly refresh: string | undefined;
  readonly idToken: string | undefined;
  readonly idTokenExpires: number | undefined;
  /** Of the refresh token that counts; 0: the code was not redeemed yet. */
  readonly generation: number;
  /** When that refresh token replaced the one before. */
  readonly rotated: number;
  readonly since: number;
  readonly used: number;
  /** Until when access tokens of it may be accepted. */
  readonly until: number;
  /** Of the code (RFC 7636); undefined: it was redeemed. */
  readonly challenge: string | undefined;
}

const KIND = 'sign-in:';
const ENDED = 'ended-sign-in:';
const TAG_CHARS = 16;
const ID = /^[\w-]{38}$/;

/** The beginning of the ids of the grants of one person. */
export function tagOf(provider: string, person: string): string {
  // People write ids in command lines, where a leading dash makes an option.
  return sha256(JSON.stringify([provider, person]))
    .slice(0, TAG_CHARS)
    .replace(/^-/, '_');
}

export function newGrantId(tag: string): string {
  return tag + randomBytes(16).toString('base64url');
}

export function isGrantId(id: string): boolean {
  return ID.test(id);
}

export function tagIn(id: string): string {
  return id.slice(0, TAG_CHARS);
}

export function recordKey(id: string): string {
  return KIND + id;
}

export function endedKey(id: string): string {
  return ENDED + id;
}

/** The ids of all grants whose records there are, in no order. */
export async function* grantIds(records: Records): AsyncGenerator<string> {
  for await (const key of records.keys('sign-in')) yield key.slice(KIND.length);
}

/** The ids of the grants that have ended and whose access tokens may not have. */
export async function endedIds(records: Records): Promise<Set<string>> {
  const ids = new Set<string>();
  for await (const key of records.keys('ended-sign-in')) ids.add(key.slice(ENDED.length));
  return ids;
}

export interface StoredGrant {
  readonly id: string;
  /** Of the record in the store. */
  readonly version: number;
  readonly record: GrantRecord;
}

export async function readGrant(records: Records, id: string): Promise<StoredGrant | undefined> {
  const stored = await records.get(recordKey(id));
  return stored && { id, version: stored.generation, record: stored.value as GrantRecord };
}
