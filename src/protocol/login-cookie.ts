/**
 * The cookie of the browser that goes on with a login. The authorization server sends the browser back with the `state` of the login, which
 * names the cookie, so that logins of one browser do not replace each other.
 */
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

/** The cookie of the login with this `state`, and the header that removes it. undefined: the browser has none. */
export function loginCookieIn(
  header: string | undefined,
  state: string,
): { readonly value: string; readonly removal: string } | undefined {
  if (header === undefined || header.length > MOST_CHARS) return undefined;
  const name = nameOf(state);
  for (const part of header.split(';')) {
    const at = part.indexOf('=');
    const [key, value] = [part.slice(0, Math.max(0, at)).trim(), part.slice(at + 1).trim()];
    if ((key !== name && key !== `__Host-${name}`) || !VALUE.test(value)) continue;
    const where = key === name ? 'Path=/-/oauth/callback' : 'Path=/; Secure';
    return { value, removal: `${key}=; ${where}; HttpOnly; SameSite=Lax; Max-Age=0` };
  }
  return undefined;
}
