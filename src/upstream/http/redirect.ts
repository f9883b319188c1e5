/** Redirects of a server: 307 and 308 are followed, to the same server. */
import { redactUrl } from '../../config/redact.js';
import { sameServer, usableHeader, type Headers, type HttpSession } from './http.js';

/** Redirects that are followed in a row. */
export const MAX_REDIRECTS = 3;

/**
 * Moves the session to where a redirect leads; `followed`: redirects before this one. Returns why it is not followed, as the part of an
 * error text behind the name of the server; undefined: it is.
 */
export function followRedirect(
  http: HttpSession,
  status: number,
  headers: Headers,
  followed: number,
): string | undefined {
  const location = usableHeader(headers, 'location', http.owner.log);
  if (status !== 307 && status !== 308) {
    const target = location === '' ? '' : ` to ${redactUrl(location)}`;
    return `answered HTTP ${status}${target}: only 307 and 308 are followed`;
  }
  if (followed >= MAX_REDIRECTS) return `redirected more than ${MAX_REDIRECTS} times`;
  return location === '' ? 'redirected without saying where' : http.redirect(location);
}

/** Moves `place` to where a redirect leads. Returns why not, as above. */
export function moveTo(location: string, place: { origin: string; path: string }): string | undefined {
  const target = sameServer(location, new URL(place.path, place.origin));
  if (!target)
    return `redirected to ${redactUrl(location)}, another origin, which is not followed: set that url for the server`;
  place.origin = target.origin;
  place.path = target.pathname + target.search;
  return undefined;
}
