import type { ServerConfig } from './types.js';

/** Shorter values would be masked inside ordinary words. */
const SHORTEST_SECRET = 4;
/** The same, for a value that may not be a secret. */
const SHORTEST_VALUE = 8;
const MASK = '***';

/** A URL that is safe to show: without userinfo and fragment, with all query values masked. Never throws. */
export function redactUrl(url: string): string {
  const noFragment = url.split('#', 1)[0] as string;
  const [head = '', ...rest] = noFragment.split('?');
  // The last "@" before the path ends the userinfo, whatever it contains.
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

/** Masks all `secrets` in `text`, the longest first. */
export function maskSecrets(text: string, secrets: readonly string[]): string {
  let masked = text;
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) {
    if (secret !== '') masked = masked.replaceAll(secret, MASK);
  }
  return masked;
}

/** Masks all `secrets` in the strings of a JSON value; member names stay. */
export function maskJson(json: Buffer, secrets: readonly string[]): Buffer {
  if (!secrets.some((secret) => json.includes(JSON.stringify(secret).slice(1, -1)))) return json;
  const text = json.toString().replace(STRING, (string, colon: string | undefined) => {
    if (colon !== undefined) return string;
    const plain = JSON.parse(string) as string;
    const masked = maskSecrets(plain, secrets);
    return masked === plain ? string : JSON.stringify(masked);
  });
  return Buffer.from(text);
}

const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?/g;

/**
 * The values of a server that must never be shown: its token and other credentials, values whose name suggests a secret, and, from 8
 * characters on, values from variables and files, header values and query values. The server's address is not a secret.
 */
export function secretsOf(server: ServerConfig): string[] {
  const found = new Set<string>();
  const address = server.kind === 'http' ? addressOf(server.url) : '';
  const isAddress = (text: string): boolean =>
    address.includes(text.toLowerCase()) || (server.kind === 'http' && text === server.url);
  const secret = (value: string): void => {
    if (value.length >= SHORTEST_SECRET) found.add(value);
  };
  const value = (text: string, name = ''): void => {
    if (isCalledSecret(name)) secret(text);
    else if (text.length >= SHORTEST_VALUE && !isAddress(text)) found.add(text);
  };
  for (const text of server.filled ?? []) value(text);
  if (server.kind === 'stdio') {
    for (const [name, text] of Object.entries(server.env)) {
      if (isCalledSecret(name)) secret(text);
      passwordsOf(text).forEach(secret);
    }
    for (const text of server.args) passwordsOf(text).forEach(secret);
    return [...found];
  }
  if (server.auth.type === 'bearer') secret(server.auth.token);
  else if (server.auth.type !== 'none' && server.auth.type !== 'key') {
    const { client_secret, private_key, idp } = server.auth;
    for (const each of [client_secret, idp?.client_secret]) if (each && 'value' in each) secret(each.value);
    if (private_key) secret(private_key.pem);
  }
  for (const [name, text] of Object.entries(server.headers)) {
    value(text, name);
    const [, scheme = '', credentials = ''] = /^(basic|bearer)\s+(.+)$/i.exec(text) ?? [];
    secret(credentials);
    if (/^basic$/i.test(scheme))
      secret(Buffer.from(credentials, 'base64').toString('utf8').split(':').slice(1).join(':'));
  }
  for (const text of [server.url, server.proxy ?? '']) {
    passwordsOf(text).forEach(secret);
    if (URL.canParse(text)) new URL(text).searchParams.forEach(value);
  }
  return [...found];
}

/** Host, port and path, which any message may contain. */
function addressOf(text: string): string {
  if (!URL.canParse(text)) return '';
  const { origin, pathname } = new URL(text);
  return (origin + pathname).toLowerCase();
}

/** Both percent-encoded and decoded. */
function passwordsOf(text: string): string[] {
  if (!text.includes('@') || !URL.canParse(text)) return [];
  const { password } = new URL(text);
  return [password, decode(password)];
}

/** Matches API_KEY, githubToken and X-Auth, but not MONKEY or AUTHOR. */
export function isCalledSecret(name: string): boolean {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
  return words.some((word) => SECRET.test(word)) && !/^(old)?pwd$/i.test(name);
}

const SECRET =
  /^(?:api|app|auth|access|secret|private|client)?(?:keys?|tokens?|secrets?)$|^(?:pass|passwd|password|passphrase|passcode|pwd|pw|pat|pin|auth|authorization|cookies?|credentials?|creds|bearer|jwt|dsn|signature)$|(?:password|token|secret|apikey)$/;

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
