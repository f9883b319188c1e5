/**
 * The cookie of the browser that goes on with a login. The authorization server sends the browser back with the `state` of the login, which
 * names the cookie, so that logins of one browser do not replace each other.
 */
import { cookiesOf } from '../lib/cookies.js';
import { sha256 } from '../lib/sha256.js';

const NAME = 'mcpstead-login-';
const LIFE_S = 600;
const VALUE = /^[\w-]{1,64}$/;
/** Longer headers are not read. */
const MOST_CHARS = 16_384;

function nameOf(state: string): string {
  return NAME + sha256(state).slice(0, 16);
}

/** The header that sets it. `url`: where the browser is sent; `redirectUri`: where it comes back. */
export function loginCookie(
  { url, redirectUri }: { readonly url: string; readonly redirectUri: string },
  value: string,
): string {
  const name = nameOf(new URL(url).searchParams.get('state') ?? '');
  const { protocol, pathname } = new URL(redirectUri);
  const rest = `HttpOnly; SameSite=Lax; Max-Age=${LIFE_S}`;
  return protocol === 'https:'
    ? `__Host-${name}=${value}; Path=/; Secure; ${rest}`
    : `${name}=${value}; Path=${pathname}; ${rest}`;
}

export interface LoginCookie {
  readonly value: string;
  /** Only the gateway itself can have set it: the site of another host below the same domain cannot. */
  readonly isOfHost: boolean;
  /** The header that removes it. */
  readonly removal: string;
}

/** The cookie of the login with this `state`, that with the prefix first. undefined: the browser has none. */
export function loginCookieIn(header: string | undefined, state: string): LoginCookie | undefined {
  if (header === undefined || header.length > MOST_CHARS) return undefined;
  const name = nameOf(state);
  const found = new Map<string, string>();
  for (const [key, value] of cookiesOf(header)) {
    if ((key === name || key === `__Host-${name}`) && VALUE.test(value) && !found.has(key))
      found.set(key, value);
  }
  for (const [key, where] of [
    [`__Host-${name}`, 'Path=/; Secure'],
    [name, 'Path=/-/oauth/callback'],
  ] as const) {
    const value = found.get(key);
    if (value === undefined) continue;
    const removal = `${key}=; ${where}; HttpOnly; SameSite=Lax; Max-Age=0`;
    return { value, isOfHost: key !== name, removal };
  }
  return undefined;
}
