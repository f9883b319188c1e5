/**
 * Which redirect URIs the authorization server sends codes to. A URI has to be written as `URL` writes it: parsers drop tabs, lower the case
 * and map full-width characters, so that a URI in another spelling could pass a check and then lead elsewhere.
 */
import { isForbiddenScheme } from '../config/index.js';
import { compileGlob, type Glob } from '../lib/glob.js';

const MOST_CHARS = 512;
const VISIBLE = /^[\x21-\x5b\x5d-\x7e]+$/;
const SCHEME = /^[a-z][a-z0-9+.-]{0,63}:$/;
/** Names without empty labels or a dot at the end, and IPv4 addresses. */
const NAME = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/i;
const LOOPBACK_HOSTS: readonly string[] = ['127.0.0.1', '[::1]', 'localhost'];
/** Host, port, and the rest of a loopback URI. */
const LOOPBACK = /^http:\/\/(127\.0\.0\.1|\[::1\]|localhost)(?::\d{1,5})?(|[/?].*)$/;
/** The schemes that `*` stands for, beside https and loopback: known clients. */
const KNOWN_SCHEMES: readonly string[] = ['cursor:', 'vscode:', 'vscode-insiders:', 'windsurf:'];

/** Whether a URL has a host in the one spelling that is accepted. */
export function hasPlainHost({ hostname }: URL): boolean {
  return NAME.test(hostname) || (hostname.startsWith('[') && hostname.endsWith(']'));
}

/** Whether a text is a URI for http on this machine: 127.0.0.1, [::1] or localhost, with any port. */
export function isLoopbackUri(uri: string): boolean {
  return LOOPBACK.test(uri);
}

/** Whether a redirect URI is one that some configuration can allow. */
export function isWellFormed(uri: string): boolean {
  return formProblem(uri) === undefined;
}

/** Why no configuration can allow a redirect URI, to be said after its name; undefined: it is well-formed. */
export function formProblem(uri: string): string | undefined {
  if (uri.length > MOST_CHARS) return `is longer than ${MOST_CHARS} characters`;
  if (!VISIBLE.test(uri)) return 'has characters other than visible ASCII, or a backslash';
  if (uri.includes('#')) return 'has a fragment';
  if (!URL.canParse(uri)) return 'is not a URI';
  const url = new URL(uri);
  if (url.username !== '' || url.password !== '') return 'has a user or a password';
  if (isForbiddenScheme(url.protocol)) return `has the scheme ${url.protocol}, which is never allowed`;
  if (!isNormal(uri, url)) return `is not in its normal form: ${url.href.slice(0, MOST_CHARS)}`;
  if (url.protocol === 'https:') return hasPlainHost(url) ? undefined : 'does not have the name of a host';
  if (url.protocol === 'http:')
    return LOOPBACK_HOSTS.includes(url.hostname)
      ? undefined
      : 'uses http, which is only for 127.0.0.1, [::1] and localhost';
  return privateUseProblem(uri, url);
}

/** RFC 8252, 7.1: `scheme:/path`, and what most applications use, `scheme://name/path`. */
function privateUseProblem(uri: string, url: URL): string | undefined {
  if (!SCHEME.test(url.protocol)) return 'has a scheme that is too long';
  const rest = uri.slice(url.protocol.length);
  if (!rest.startsWith('/')) return `must have a / after ${url.protocol}`;
  if (rest.startsWith('//') && !hasPlainHost(url)) return `must have a name after ${url.protocol}//`;
  return undefined;
}

/** `https://a.example?x` is in its normal form, too. */
function isNormal(uri: string, url: URL): boolean {
  if (url.href === uri) return true;
  return url.pathname === '/' && uri === `${url.protocol}//${url.host}${url.search}`;
}

/** A glob for hosts, whatever their port. */
interface HostGlob {
  readonly matches: Glob;
  /** Stands for some hosts: there is more in it than wildcards. */
  readonly isNaming: boolean;
  /** Stands for one host. */
  readonly isLiteral: boolean;
}

/** The list `mcp.auth.login.redirects`: globs for https hosts, `loopback`, schemes such as `zed:`, and `*`. */
export class Redirects {
  readonly #globs: readonly HostGlob[];
  readonly #schemes: ReadonlySet<string>;
  readonly #loopback: boolean;
  readonly #everyHost: boolean;

  constructor(list: readonly string[]) {
    const entries = list.map((entry) => entry.trim().toLowerCase());
    this.#everyHost = entries.includes('*');
    this.#loopback = this.#everyHost || entries.includes('loopback');
    this.#schemes = new Set([
      ...(this.#everyHost ? KNOWN_SCHEMES : []),
      ...entries.filter((entry) => SCHEME.test(entry)),
    ]);
    this.#globs = entries
      .filter((entry) => entry !== '*' && entry !== 'loopback' && !SCHEME.test(entry))
      .map(hostGlob);
  }

  /** Whether a redirect URI is well-formed, and its host or scheme in the list. */
  allows(uri: string): boolean {
    return this.problem(uri) === undefined;
  }

  /** Why a redirect URI is not allowed, to be said after its name; undefined: it is allowed. */
  problem(uri: string): string | undefined {
    const problem = formProblem(uri);
    if (problem !== undefined) return problem;
    const url = new URL(uri);
    if (url.protocol === 'https:')
      return this.#hasHost(url)
        ? undefined
        : `leads to ${url.host}, which mcp.auth.login.redirects does not name`;
    if (url.protocol === 'http:')
      return this.#loopback ? undefined : "needs 'loopback' in mcp.auth.login.redirects";
    return this.#schemes.has(url.protocol)
      ? undefined
      : `needs '${url.protocol}' in mcp.auth.login.redirects`;
  }

  /** Whether a glob other than `*` stands for a host. `host`: as `URL.host` has it. */
  namesHost(host: string): boolean {
    return this.#globs.some((glob) => glob.isNaming && isFor(glob, host));
  }

  /** Whether the list has a host literally. `host`: as `URL.host` has it. */
  namesInFull(host: string): boolean {
    return this.#globs.some((glob) => glob.isLiteral && isFor(glob, host));
  }

  /** Whether the metadata document of a client may be at this URL. */
  allowsDocument(url: URL): boolean {
    return url.protocol === 'https:' && hasPlainHost(url) && this.#hasHost(url);
  }

  #hasHost({ host }: URL): boolean {
    return this.#everyHost || this.#globs.some((glob) => isFor(glob, host));
  }
}

function hostGlob(entry: string): HostGlob {
  return { matches: compileGlob(entry), isNaming: /[a-z0-9]/.test(entry), isLiteral: !/[*?]/.test(entry) };
}

function isFor({ matches }: HostGlob, host: string): boolean {
  return matches(host.toLowerCase().replace(/:\d+$/, ''));
}

/**
 * Whether a redirect URI of a request is a registered one: the same text. Only the port of a loopback URI is free (RFC 8252, 7.3), since
 * applications take one that is not in use.
 */
export function matches(registered: string, asked: string): boolean {
  if (registered === asked) return true;
  const [, host, rest] = LOOPBACK.exec(registered) ?? [];
  const [, askedHost, askedRest] = LOOPBACK.exec(asked) ?? [];
  return host !== undefined && host === askedHost && rest === askedRest && isWellFormed(asked);
}
