/** What is stored of logins: grants and registered clients, as records of the state. */
import { isSame, type Found, type ServerMetadata } from './discovery.js';
import type { RegisteredClient } from './clients.js';
import type { Client } from './client-authentication.js';
import type { Tokens } from './oauth.js';
import { ownedKey, placeOfUrl, writeOver } from './owned-records.js';

/** What a login gave. */
export interface Grant {
  /** As it was when somebody logged in: a server cannot redirect a refresh. */
  readonly server: ServerMetadata;
  readonly client: Client;
  /** A random text of the login; absent: it is from before there were any, or no person has logged in. */
  readonly login?: string | undefined;
  readonly resource: string | undefined;
  readonly access: string;
  readonly refresh: string | undefined;
  /** Unix time in milliseconds; undefined: the authorization server does not say. */
  readonly expiresAt: number | undefined;
  /** Unix time in milliseconds. */
  readonly obtainedAt: number;
  readonly scopes: readonly string[];
  /** Every scope that was ever asked for. */
  readonly asked: readonly string[];
}

/** The part of the state that is used here. */
export interface Records {
  get(key: string): Promise<{ readonly generation: number; readonly value: object } | undefined>;
  put(key: string, value: object, ifGeneration: number): Promise<boolean>;
  delete(key: string): Promise<void>;
  isDamaged(key: string): Promise<boolean>;
  keys(kind: 'grant' | 'client'): AsyncIterable<string>;
  lock(key: string, ttlMs: number, signal: AbortSignal): Promise<() => Promise<void>>;
}

export interface StoredGrant {
  readonly generation: number;
  readonly grant: Grant;
}

/** How long the lock of a record holds at most: longer than the request for its tokens. */
const LOCK_MS = 60_000;

/** Another URL finds no token of the one before. `principal`: EVERYBODY, or the id of one. */
export function grantKey(server: string, url: string, principal: string): string {
  return ownedKey('grant', server, placeOfUrl(url), principal);
}

export async function readGrant(records: Records, key: string): Promise<StoredGrant | undefined> {
  const stored = await records.get(key);
  return stored && { generation: stored.generation, grant: stored.value as Grant };
}

/** Writes a grant whatever is there. */
export async function writeGrant(records: Records, key: string, grant: Grant): Promise<void> {
  await writeOver(records, key, grant, 'login');
}

/** Waits to be the only one who changes a record, in all processes. Resolves with the release. */
export function lockRecord(records: Records, key: string, signal: AbortSignal): Promise<() => Promise<void>> {
  return records.lock(key, LOCK_MS, signal);
}

/**
 * Waits for others that change a record, until the signal aborts, then goes on without the lock: a renewal that is under way notices that its
 * record was changed.
 */
export async function alone<T>(
  records: Records,
  key: string,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const release = await lockRecord(records, key, signal).catch(() => undefined);
  try {
    return await work();
  } finally {
    await release?.().catch(() => undefined);
  }
}

/** Of the client that is registered for a redirect URI. */
export function clientKey(issuer: string, redirectUri: string): string {
  return `client:${JSON.stringify([issuer, redirectUri])}`;
}

export async function readClient(
  records: Records,
  issuer: string,
  redirectUri: string,
): Promise<RegisteredClient | undefined> {
  return (await records.get(clientKey(issuer, redirectUri)))?.value as RegisteredClient | undefined;
}

export async function writeClient(
  records: Records,
  asked: string,
  registered: RegisteredClient,
): Promise<void> {
  const key = clientKey(registered.client.issuer, asked);
  const there = await records.get(key);
  await records.put(key, registered, there?.generation ?? 0);
}

/** Changes the record of a client, if it is still about this one; undefined: removes it. */
export async function changeClient(
  records: Records,
  { issuer, id }: Client,
  asked: string,
  change: Pick<RegisteredClient, 'unanswered'> | undefined,
): Promise<void> {
  const key = clientKey(issuer, asked);
  const there = await records.get(key);
  const known = there?.value as RegisteredClient | undefined;
  if (!there || known?.client.id !== id) return;
  if (!change) await records.delete(key);
  else if (known.unanswered !== change.unanswered)
    await records.put(key, { ...known, ...change }, there.generation);
}

export type RenewableGrant = Grant & { readonly refresh: string };

export function isRenewable(grant: Grant): grant is RenewableGrant {
  return grant.refresh !== undefined;
}

/** What a grant is made of besides its tokens. `refresh`: where the new tokens bring none. */
type Base = Pick<Grant, 'server' | 'client' | 'resource' | 'scopes' | 'asked'> &
  Partial<Pick<Grant, 'refresh' | 'login'>>;

/** A grant with new tokens. */
export function withTokens(base: Base, tokens: Tokens, now: number): Grant {
  const { access, refresh, expiresIn, scopes } = tokens;
  return {
    ...base,
    access,
    refresh: refresh ?? base.refresh,
    expiresAt: expiresIn === undefined ? undefined : now + expiresIn * 1000,
    obtainedAt: now,
    scopes: scopes ?? base.scopes,
  };
}

/** Whether the authorization server of a grant is one that its server names. */
export function isAmong({ server }: Grant, { issuers, server: found }: Found): boolean {
  return [found.issuer, ...issuers].some((each) => isSame(each, server.issuer));
}
