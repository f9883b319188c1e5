/** The admin API: requests with the key of this tab. The key stays in sessionStorage and is sent as a bearer token, never as a cookie. */
import { signal } from '@preact/signals';
import type { Problem } from '../../../src/admin/schemas.js';

const STORED = 'mcpstead.key';
const TIMEOUT_MS = 30_000;
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
export const key = signal<string | null>(sessionStorage.getItem(STORED));

export function setKey(value: string | null): void {
  if (value === null) sessionStorage.removeItem(STORED);
  else sessionStorage.setItem(STORED, value);
  key.value = value;
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
  const late = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(path.startsWith('/') ? path : API + path, {
      method: asked.method ?? 'GET',
      headers: {
        ...authorization(),
        accept: 'application/json',
        ...(asked.method === 'POST' ? { 'content-type': 'application/json' } : {}),
        ...asked.headers,
      },
      ...(asked.method === 'POST' ? { body: JSON.stringify(asked.body ?? {}) } : {}),
      signal: asked.signal ? AbortSignal.any([late, asked.signal]) : late,
      credentials: asked.takesCookie === true ? 'same-origin' : 'omit',
      cache: 'no-store',
    });
    if (!response.ok) {
      const failed = await failureOf(response);
      if (response.status === 401 && asked.probing !== true)
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

export const get = <T>(path: string, signal?: AbortSignal): Promise<Result<T>> =>
  ask<T>(path, signal ? { signal } : {});
export const post = <T>(path: string, body?: unknown, headers?: Record<string, string>): Promise<Result<T>> =>
  ask<T>(path, { method: 'POST', body, ...(headers ? { headers } : {}) });

export function signOut(reason: string | null): void {
  setKey(null);
  signedOut.value = reason;
}

/** Exchanges a ticket for the key; the failure says why not. */
export async function exchangeTicket(ticket: string): Promise<Result<{ key: string }>> {
  return ask<{ key: string }>('ticket', { method: 'POST', body: { ticket }, probing: true });
}
