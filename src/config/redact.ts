import type { ServerConfig } from './types.js';

/** Below this length a value would be masked inside ordinary words. */
const SHORTEST_SECRET = 4;
const MASK = '***';

/** A URL as it may be shown: without userinfo and fragment, every query value masked. Never throws. */
export function redactUrl(url: string): string {
  const noFragment = url.split('#', 1)[0] as string;
  const [head = '', ...rest] = noFragment.split('?');
  // The last "@" before the path ends the userinfo, whatever stands in it.
  const shown = head.replace(/^([a-z][a-z0-9+.-]*:)?([/\\]{2,})[^/\\]*@/i, '$1$2');
  if (rest.length === 0) return shown;
  const query = rest
    .join('?')
    .split('&')
    .map((pair) =>
      pair.includes('=') ? `${pair.slice(0, pair.indexOf('='))}=${MASK}` : pair === '' ? '' : MASK,
    )
    .join('&');
  return `${shown}?${query}`;
}

/** `text` with every one of `secrets` masked, the longest first. */
export function maskSecrets(text: string, secrets: readonly string[]): string {
  let masked = text;
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) {
    if (secret !== '') masked = masked.replaceAll(secret, MASK);
  }
  return masked;
}

/** What must never be shown of a server: the values of its env and headers, its bearer token, the query of its URL. */
export function secretsOf(server: ServerConfig): string[] {
  const values =
    server.kind === 'stdio'
      ? Object.values(server.env)
      : [...Object.values(server.headers), ...ofHttp(server)];
  return [...new Set(values)].filter((value) => value.length >= SHORTEST_SECRET);
}

function ofHttp(server: ServerConfig & { kind: 'http' }): string[] {
  const found = server.auth.type === 'bearer' ? [server.auth.token] : [];
  for (const value of Object.values(server.headers)) {
    const credentials = /^(?:basic|bearer)\s+(.+)$/i.exec(value)?.[1];
    if (credentials !== undefined) found.push(credentials);
  }
  for (const text of [server.url, server.proxy]) {
    if (text === undefined || !URL.canParse(text)) continue;
    const url = new URL(text);
    found.push(...url.searchParams.values(), url.password, decode(url.password));
  }
  return found;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
