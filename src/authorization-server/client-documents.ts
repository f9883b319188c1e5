/**
 * The metadata documents of clients whose id is the URL of one (draft-ietf-oauth-client-id-metadata-document). Anybody can name a URL here:
 * it is fetched once for all who ask, in bounded time and size, and not from private addresses.
 */
import { GuardError, type GuardedAnswer, type GuardedFetch } from '../protocol/small-request.js';
import { arrayOf, readObject, textOf } from '../wire/json.js';
import { unlessAborted } from '../lib/within.js';
import { mayPass } from '../lib/may-pass.js';
import { cleanName, NAMELESS } from './client-names.js';
import { ClientProblem, tooMany } from './client-problem.js';
import { hasPlainHost, isWellFormed } from './redirects.js';

const MOST_ID_CHARS = 512;
const MOST_BYTES = 5120;
const TIMEOUT_MS = 5000;
const MOST_FETCHES = 20;
/** Documents that are kept, and as many failures. */
const MOST_DOCUMENTS = 500;
/** What a caller is told to wait when too many are fetched at once, in seconds: within it a fetch ends. */
const BUSY_SECONDS = TIMEOUT_MS / 1000;
const FAILURE_MS = 30_000;
const SHORTEST_MS = 60_000;
const LONGEST_MS = 86_400_000;
const DEFAULT_MS = 3_600_000;
const VISIBLE = /^[\x21-\x7e]+$/;
const JSON_TYPE = /^application\/(json|[\w.+-]+\+json)\s*(;|$)/i;

export interface ClientDocument {
  /** Fit to be shown. */
  readonly name: string;
  /** All that are well-formed; the configuration has not judged them. */
  readonly redirectUris: readonly string[];
}

export interface DocumentQuestion {
  /** The id of the client, for which `documentUrl` has a URL. */
  readonly url: URL;
  /** The configuration names the host in full: it may have private addresses. */
  readonly isTrusted: boolean;
  /** Who asks, for `mayFetch`. */
  readonly address: string;
  /** Ends the wait of this caller; others still get the document. */
  readonly signal: AbortSignal;
}

export interface DocumentOptions {
  readonly fetch: GuardedFetch;
  /** Asked once before each fetch: seconds to wait; 0: now. */
  readonly mayFetch: (address: string) => number;
  /** Unix time in milliseconds. */
  readonly now: () => number;
}

/**
 * The URL of an id that is one of a metadata document: https, a path, and no dot segments, query, fragment, user or other spelling.
 * undefined: it is none.
 */
export function documentUrl(id: string): URL | undefined {
  if (id.length > MOST_ID_CHARS || !VISIBLE.test(id) || /[?#\\]/.test(id) || !URL.canParse(id))
    return undefined;
  const url = new URL(id);
  if (url.href !== id || url.protocol !== 'https:' || url.pathname === '/') return undefined;
  if (url.username !== '' || url.password !== '' || !hasPlainHost(url)) return undefined;
  const path = url.pathname.replace(/%2e/gi, '.').replace(/%2f|%5c/gi, '/');
  return path.split('/').some((segment) => segment === '.' || segment === '..') ? undefined : url;
}

interface Kept<V> {
  readonly value: V;
  readonly from: number;
  readonly until: number;
}

/** Least recently used first. */
class Cache<V> {
  readonly #entries = new Map<string, Kept<V>>();

  get size(): number {
    return this.#entries.size;
  }

  get(key: string, now: number): V | undefined {
    const kept = this.#entries.get(key);
    if (!kept) return undefined;
    this.#entries.delete(key);
    // A clock that was set back must not keep an entry for longer.
    if (now < kept.from || now >= kept.until) return undefined;
    this.#entries.set(key, kept);
    return kept.value;
  }

  set(key: string, value: V, from: number, ms: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, from, until: from + ms });
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MOST_DOCUMENTS && oldest !== undefined) this.#entries.delete(oldest);
  }
}

/** A fetch under way, for all who ask for its document. */
interface Flight {
  readonly document: Promise<ClientDocument>;
  readonly stop: AbortController;
}

export class ClientDocuments {
  readonly #options: DocumentOptions;
  readonly #documents = new Cache<ClientDocument>();
  /** Apart, so that failures displace no document. */
  readonly #failures = new Cache<ClientProblem>();
  readonly #flights = new Map<string, Flight>();
  #closed = false;

  constructor(options: DocumentOptions) {
    this.#options = options;
  }

  /** Documents and failures that are kept. */
  get size(): number {
    return this.#documents.size + this.#failures.size;
  }

  /** Rejects with a ClientProblem, or with the reason of `signal`. */
  async get({ url, isTrusted, address, signal }: DocumentQuestion): Promise<ClientDocument> {
    signal.throwIfAborted();
    // What a host that is not trusted any more has said from a private address does not count.
    const key = `${isTrusted ? 'trusted' : 'judged'} ${url.href}`;
    const now = this.#options.now();
    const kept = this.#documents.get(key, now);
    if (kept) return kept;
    const failure = this.#failures.get(key, now);
    if (failure) throw failure;
    return unlessAborted(
      this.#flights.get(key)?.document ?? this.#start(key, url, isTrusted, address),
      signal,
    );
  }

  /** Aborts the fetches under way. */
  close(): void {
    this.#closed = true;
    for (const { stop } of this.#flights.values()) stop.abort(new Error('closed'));
  }

  #start(key: string, url: URL, isTrusted: boolean, address: string): Promise<ClientDocument> {
    if (this.#closed) return Promise.reject(silence(url, 'the gateway is stopping'));
    if (this.#flights.size >= MOST_FETCHES) return Promise.reject(tooMany(BUSY_SECONDS));
    const seconds = this.#options.mayFetch(address);
    if (seconds > 0) return Promise.reject(tooMany(seconds));
    const stop = new AbortController();
    const document = this.#fetch(key, url, isTrusted, stop.signal).finally(() => this.#flights.delete(key));
    this.#flights.set(key, { document, stop });
    return document;
  }

  async #fetch(key: string, url: URL, isTrusted: boolean, signal: AbortSignal): Promise<ClientDocument> {
    const { fetch, now } = this.#options;
    try {
      const answer = await fetch(
        {
          url: url.href,
          method: 'GET',
          headers: { accept: 'application/json' },
          timeoutMs: TIMEOUT_MS,
          maxBytes: MOST_BYTES,
        },
        {
          origins: new Set(),
          allowHosts: isTrusted ? [`${url.hostname}:${url.port || '443'}`] : [],
          isLoopback: false,
          caFile: undefined,
          redirects: 0,
          resolvesBehindProxy: true,
        },
        signal,
      );
      const document = documentIn(answer, url);
      this.#documents.set(key, document, now(), lifetime(answer.headers['cache-control']));
      return document;
    } catch (error) {
      const problem = error instanceof ClientProblem ? error : failed(url, error);
      if (!signal.aborted) this.#failures.set(key, problem, now(), FAILURE_MS);
      throw problem;
    }
  }
}

/**
 * The text is the same for a private address, a name that does not resolve and a port that is closed: whoever asks must not explore the
 * network of the gateway.
 */
function silence(url: URL, why: string): ClientProblem {
  return new ClientProblem('unreachable', `${url.host} does not answer.`, {
    message: `the metadata document of a client at ${url.host} cannot be fetched: ${why}`,
  });
}

function refused(url: URL, why: string): ClientProblem {
  return new ClientProblem(
    'refused',
    `The application cannot be used: its metadata document at ${url.host} ${why}.`,
  );
}

function failed(url: URL, error: unknown): ClientProblem {
  const why = error instanceof Error ? error.message : String(error);
  if (error instanceof GuardError && error.kind === 'private')
    return silence(url, `${why}; name the host in mcp.auth.login.redirects to allow it`);
  if (error instanceof GuardError) return refused(url, 'is redirected');
  // Too large, or coded.
  if (why.startsWith('answered with')) return refused(url, `was ${why}`);
  return silence(url, why);
}

/** Reads an answer. Throws a ClientProblem. */
export function documentIn({ status, headers, body }: GuardedAnswer, url: URL): ClientDocument {
  if (mayPass(status)) throw silence(url, `the answer was ${status}`);
  if (status !== 200) throw refused(url, `was answered with status ${status}`);
  const type = headers['content-type'];
  if (typeof type !== 'string' || !JSON_TYPE.test(type)) throw refused(url, 'is not application/json');
  const members = readObject(body, MOST_BYTES);
  if (!members) throw refused(url, 'is not a JSON object');
  if (members['client_id'] !== url.href) throw refused(url, 'has another client_id than its URL');
  const name = textOf(members['client_name']);
  if (name === undefined) throw refused(url, 'has no client_name');
  const uris = arrayOf(members['redirect_uris']);
  if (!uris?.every((uri) => typeof uri === 'string')) throw refused(url, 'has no list of redirect_uris');
  const others = arrayOf(members['token_endpoint_auth_methods_supported']) ?? [];
  if (members['token_endpoint_auth_method'] !== 'none' && !others.includes('none'))
    throw refused(url, "does not allow the token_endpoint_auth_method 'none', the only one here");
  return { name: cleanName(name) ?? NAMELESS, redirectUris: [...new Set(uris.filter(isWellFormed))] };
}

/** How long a document is kept by its Cache-Control (RFC 9111, 5.2.2), in ms. */
export function lifetime(header: string | string[] | undefined): number {
  const directives = [header ?? []].flat().join(',').toLowerCase().split(',');
  let ms: number | undefined;
  for (const directive of directives) {
    const [name = '', value] = directive.split('=', 2).map((part) => part.trim());
    if (name === 'no-store' || name === 'no-cache') return SHORTEST_MS;
    if (name !== 'max-age') continue;
    // What is not a number of seconds means: not fresh.
    const age = /^"?(\d+)"?$/.exec(value ?? '')?.[1] ?? '0';
    ms = Math.min(ms ?? LONGEST_MS, Number(age) * 1000);
  }
  return ms === undefined ? DEFAULT_MS : Math.max(ms, SHORTEST_MS);
}
