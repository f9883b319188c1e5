/**
 * The admin API: requests with the key of this tab, or the access token of its sign-in. Both stay in sessionStorage and are sent as a bearer
 * token, never as a cookie.
 */
import { signal } from '@preact/signals';
import type { Problem } from '../../../src/admin/schemas.js';
import { grantOf, renewedTokens, revoke, storedTokens, storeTokens, type Tokens } from './account.js';
import { at } from './replica.js';

const STORED = 'mcpstead.key';
const TIMEOUT_MS = 30_000;
/** Between tries to renew the access token. */
const RETRY_MS = 15_000;
/** Browsers take no longer timers. */
const LONGEST_MS = 2_000_000_000;
export const API = new URL('../api/v1/', location.href.replace(/[?#].*$/, '')).pathname;
/** The MCP endpoint for the person who is signed in. */
export const MCP_PATH = new URL('../mcp', location.href.replace(/[?#].*$/, '')).pathname;

export interface Failure {
  readonly ok: false;
  /** 0: no answer. */
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly action: string | null;
}

export type Result<T> = { readonly ok: true; readonly value: T; readonly etag: string | null } | Failure;

/** Why nobody is signed in any more; null: nobody was. */
export const signedOut = signal<string | null>(null);
/** Why signing in did not work. */
export const refusal = signal<Failure | null>(null);
const typed = sessionStorage.getItem(STORED);
/** Of the sign-in at the gateway; null: somebody shows a key. */
let tokens: Tokens | null = typed === null ? storedTokens() : null;
/** What requests show. */
export const key = signal<string | null>(typed ?? tokens?.access ?? null);
let timer: ReturnType<typeof setTimeout> | undefined;
let renewing: Promise<'renewed' | 'ended' | 'away'> | undefined;
expect(tokens);

export function setKey(value: string | null): void {
  if (value === null) sessionStorage.removeItem(STORED);
  else sessionStorage.setItem(STORED, value);
  use(null);
  key.value = value;
}

/** The id of the sign-in of this tab; null: it has a key. */
export const ownGrant = (): string | null => (tokens ? grantOf(tokens) : null);

function use(next: Tokens | null): void {
  tokens = next;
  storeTokens(next);
  expect(next);
}

/** Renews the access token before its end, also while nothing is asked for. */
function expect(next: Tokens | null, least = 0): void {
  clearTimeout(timer);
  if (!next) return;
  const ms = Math.min(LONGEST_MS, Math.max(least, next.renew - Date.now()));
  timer = setTimeout(() => void fresh(), ms);
}

/** Renews the access token if it is time. Never rejects. */
export async function fresh(): Promise<void> {
  if (tokens && Date.now() >= tokens.renew) await renew(tokens);
}

/** Joins a run. Never rejects. */
function renew(before: Tokens): NonNullable<typeof renewing> {
  renewing ??= renewedTokens(before)
    .then((next) => {
      // Somebody has signed out meanwhile.
      if (tokens !== before) return 'ended';
      if (next === 'away') expect(before, RETRY_MS);
      if (next === 'ended') signOut('Your sign-in has ended.');
      if (typeof next === 'string') return next;
      use(next);
      key.value = next.access;
      return 'renewed';
    })
    .finally(() => (renewing = undefined));
  return renewing;
}

/** What to do about a request that was refused with 401: `renewed`: send it again; `away`: nobody can tell now. */
export async function refusedWith(used: string | null): Promise<'renewed' | 'ended' | 'away'> {
  if (!tokens) return 'ended';
  return key.value === used ? renew(tokens) : 'renewed';
}

export const authorization = (): Record<string, string> =>
  key.value === null ? {} : { authorization: `Bearer ${key.value}` };

const failure = (status: number, code: string, message: string, action: string | null = null): Failure => ({
  ok: false,
  status,
  code,
  message,
  action,
});

/** The error that a response is. */
export async function failureOf(response: Response): Promise<Failure> {
  let problem: Partial<Problem> & { error?: unknown; message?: unknown } = {};
  try {
    problem = (await response.json()) as typeof problem;
  } catch {
    // The status says enough.
  }
  const words = problem.detail ?? problem.title ?? problem.message;
  const code = problem.code ?? problem.error;
  return failure(
    response.status,
    typeof code === 'string' ? code : `http_${response.status}`,
    typeof words === 'string' ? words : `the gateway answered HTTP ${response.status}`,
    problem.action ?? null,
  );
}

interface Asked {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
  /** Do not sign out because of a 401. */
  readonly probing?: boolean;
  /** The answer may set a cookie: that of a login that begins. */
  readonly takesCookie?: boolean;
}

export async function ask<T>(path: string, asked: Asked = {}): Promise<Result<T>> {
  await fresh();
  const late = AbortSignal.timeout(TIMEOUT_MS);
  const signal = asked.signal ? AbortSignal.any([late, asked.signal]) : late;
  const used = key.value;
  try {
    let response = await send(path, asked, signal);
    if (response.status === 401) {
      const what = await refusedWith(used);
      if (what === 'away') return failure(0, 'unreachable', 'The sign-in cannot be renewed now.');
      if (what === 'renewed') response = await send(path, asked, signal);
    }
    if (!response.ok) {
      const failed = await failureOf(response);
      if (response.status === 401 && asked.probing !== true && key.value !== null)
        signOut('The gateway no longer accepts this key.');
      return failed;
    }
    const text = await response.text();
    return {
      ok: true,
      value: (text === '' ? null : JSON.parse(text)) as T,
      etag: response.headers.get('etag'),
    };
  } catch {
    return failure(
      0,
      'unreachable',
      late.aborted ? 'The gateway did not answer in 30 s.' : 'The gateway cannot be reached.',
    );
  }
}

function send(path: string, asked: Asked, signal: AbortSignal): Promise<Response> {
  return fetch(path.startsWith('/') ? path : API + at(path), {
    method: asked.method ?? 'GET',
    headers: {
      ...authorization(),
      accept: 'application/json',
      ...(asked.method === 'POST' ? { 'content-type': 'application/json' } : {}),
      ...asked.headers,
    },
    ...(asked.method === 'POST' ? { body: JSON.stringify(asked.body ?? {}) } : {}),
    signal,
    credentials: asked.takesCookie === true ? 'same-origin' : 'omit',
    cache: 'no-store',
  });
}

export const get = <T>(path: string, signal?: AbortSignal): Promise<Result<T>> =>
  ask<T>(path, signal ? { signal } : {});
export const post = <T>(path: string, body?: unknown, headers?: Record<string, string>): Promise<Result<T>> =>
  ask<T>(path, { method: 'POST', body, ...(headers ? { headers } : {}) });

/** `reason`: why the gateway ends it; null: the person does, so that a sign-in at the gateway ends there, too. */
export function signOut(reason: string | null): void {
  if (reason === null && tokens) revoke(tokens);
  setKey(null);
  signedOut.value = reason;
}

/** Exchanges a ticket for the key; the failure says why not. */
export async function exchangeTicket(ticket: string): Promise<Result<{ key: string }>> {
  return ask<{ key: string }>('ticket', { method: 'POST', body: { ticket }, probing: true });
}
