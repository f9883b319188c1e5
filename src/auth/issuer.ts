/**
 * An issuer of access tokens as seen over HTTP: its metadata (RFC 8414, OpenID Connect Discovery) and its signing keys. The keys are
 * renewed in the background and outlive an outage.
 */
import type { CompactVerifyGetKey } from 'jose';
import { isSecure } from '../config/index.js';
import type { Wheel, WheelTimer } from '../lib/wheel.js';
import type { Logger } from '../observe/log.js';
import { IssuerStats, type GatewayStats } from '../observe/stats.js';
import type { SmallAnswer, SmallFetch, SmallRequest } from '../protocol/small-request.js';
import { arrayOf, isObject, readObject, textOf, type JsonObject } from '../wire/json.js';

export interface IssuerDeps {
  /** Unix ms. */
  readonly now: () => number;
  readonly fetch: SmallFetch;
  readonly wheel: Pick<Wheel, 'after'>;
  readonly log: Logger;
  readonly stats: Pick<GatewayStats, 'issuers'>;
}

export interface KeySet {
  /** Whether there is a key for a token with this `kid`; one without may fit any. */
  has(kid: string | undefined): boolean;
  readonly select: CompactVerifyGetKey;
}

/** Where the keys of an issuer come from. */
export interface KeySource {
  /** The keys; undefined: they cannot be had now. */
  keys(): KeySet | Promise<KeySet | undefined> | undefined;
  /** The keys after a token with an unknown `kid`: read again, unless that was done a short time ago. */
  renewed(): Promise<KeySet | undefined>;
  /** Called when keys are gone or replaced: what they signed no longer counts. */
  withdrawn: () => void;
  /** How often that has happened. */
  readonly withdrawals: number;
  close(): void;
}

/** `keys`: JWKs. Rejects if they are not a key set; keys of unknown types are never selected. */
export async function keySetOf(keys: readonly JsonObject[]): Promise<KeySet> {
  const { createLocalJWKSet } = await import('jose/jwks/local');
  const kids = new Set(keys.map(({ kid }) => kid));
  return { has: (kid) => kid === undefined || kids.has(kid), select: createLocalJWKSet({ keys: [...keys] }) };
}

const MAX_BYTES = 524_288;
const TIMEOUT_MS = 5000;
const RENEW_MS = 600_000;
const RETRY_MS = 30_000;
/** Before the first keys, and what clients are told to wait. */
const FIRST_RETRY_MS = 5000;
const UNKNOWN_KID_MS = 30_000;
const KEPT_MS = 86_400_000;
const MOST_KEYS = 100;

export class Issuer implements KeySource {
  /** `issuer` of its metadata and `iss` of its tokens. */
  readonly url: string;
  withdrawn: () => void = () => undefined;
  withdrawals = 0;
  readonly #deps: IssuerDeps;
  readonly #closing = new AbortController();
  #name: string;
  #stats: IssuerStats;
  #keys: KeySet | undefined;
  /** Each key of the set as JSON. */
  #written: ReadonlySet<string> = new Set();
  /** Unix ms. */
  #read = 0;
  #failed = -Infinity;
  #unknownKid = -Infinity;
  #jwksUri: string | undefined;
  #introspection: string | undefined;
  #loading: Promise<void> | undefined;
  #timer: WheelTimer | undefined;

  constructor(url: string, name: string, deps: IssuerDeps) {
    this.url = url;
    this.#deps = deps;
    this.#name = name;
    this.#stats = deps.stats.issuers.get(name) ?? new IssuerStats();
    this.rename(name);
    void this.#load(true);
  }

  /** Its name in a new configuration. */
  rename(name: string): void {
    const { issuers } = this.#deps.stats;
    if (issuers.get(this.#name) === this.#stats) issuers.delete(this.#name);
    this.#name = name;
    issuers.set(name, this.#stats);
  }

  keys(): KeySet | Promise<KeySet | undefined> | undefined {
    const { now } = this.#deps;
    if (this.#keys && now() - this.#read < KEPT_MS) return this.#keys;
    this.#keys = undefined;
    if (!this.#loading && now() - this.#failed < FIRST_RETRY_MS) return undefined;
    return this.#load(true).then(() => this.#keys);
  }

  async renewed(): Promise<KeySet | undefined> {
    const now = this.#deps.now();
    if (this.#loading) await this.#loading;
    else if (now - this.#unknownKid >= UNKNOWN_KID_MS) {
      this.#unknownKid = now;
      await this.#load(this.#jwksUri === undefined);
    }
    return this.#keys;
  }

  /** Where opaque tokens are introspected (RFC 7662); undefined: unknown now. */
  async introspectionEndpoint(): Promise<string | undefined> {
    if (this.#introspection === undefined) await this.keys();
    return this.#introspection;
  }

  /** Sends a request to the issuer with its limits. Rejects as SmallFetch does. */
  fetch(request: Omit<SmallRequest, 'timeoutMs' | 'maxBytes'>): Promise<SmallAnswer> {
    return this.#deps.fetch({ ...request, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES }, this.#closing.signal);
  }

  close(): void {
    this.#closing.abort(new Error('closed'));
    this.#timer?.cancel();
    const { issuers } = this.#deps.stats;
    if (issuers.get(this.#name) === this.#stats) issuers.delete(this.#name);
  }

  /** Reads the keys, `fully`: after the metadata. Joins a run. Never rejects. */
  #load(fully: boolean): Promise<void> {
    this.#loading ??= this.#readAll(fully).finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  async #readAll(fully: boolean): Promise<void> {
    const { now, log } = this.#deps;
    this.#timer?.cancel();
    try {
      if (fully) await this.#discover();
      await this.#readKeys();
      this.#read = now();
      this.#stats.keysRead = this.#read / 1000;
      if (!this.#stats.up) log.info('the keys of an issuer are read', { issuer: this.#name });
      this.#stats.up = true;
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#failed = now();
      log.warn('cannot read the keys of an issuer', {
        issuer: this.#name,
        error: (error as Error).message.slice(0, 1024),
        kept: this.#keys !== undefined,
      });
      this.#stats.up = false;
    }
    if (this.#closing.signal.aborted) return;
    const again = this.#stats.up ? RENEW_MS : this.#keys ? RETRY_MS : FIRST_RETRY_MS;
    this.#timer = this.#deps.wheel.after(again, () => void this.#load(true));
  }

  async #discover(): Promise<void> {
    const failures: string[] = [];
    for (const url of metadataUrls(this.url)) {
      try {
        const metadata = await this.#json(url);
        if (textOf(metadata['issuer']) !== this.url)
          throw new Error(`its issuer is '${String(metadata['issuer']).slice(0, 256)}', not '${this.url}'`);
        const jwks = textOf(metadata['jwks_uri']);
        if (jwks === undefined) throw new Error('it has no jwks_uri');
        this.#jwksUri = secure(jwks, 'jwks_uri');
        const introspection = textOf(metadata['introspection_endpoint']);
        this.#introspection =
          introspection === undefined ? undefined : secure(introspection, 'introspection_endpoint');
        return;
      } catch (error) {
        failures.push(`${url}: ${(error as Error).message}`);
      }
    }
    // The keys are still where they were.
    if (this.#jwksUri === undefined) throw new Error(failures.join('; '));
  }

  async #readKeys(): Promise<void> {
    const url = this.#jwksUri as string;
    const keys = arrayOf((await this.#json(url))['keys'])?.filter(isObject);
    if (!keys || keys.length > MOST_KEYS) throw new Error(`${url}: not a set of at most ${MOST_KEYS} keys`);
    const written = new Set(keys.map((key) => JSON.stringify(key)));
    const isWithdrawn = [...this.#written].some((key) => !written.has(key));
    // The same keys are imported already.
    if (this.#keys && !isWithdrawn && written.size === this.#written.size) return;
    this.#keys = await keySetOf(keys);
    this.#written = written;
    if (!isWithdrawn) return;
    this.withdrawals++;
    this.withdrawn();
  }

  async #json(url: string): Promise<JsonObject> {
    const { status, body } = await this.fetch({
      url,
      method: 'GET',
      headers: { accept: 'application/json' },
    });
    if (status >= 300 && status < 400) throw new Error(`answered HTTP ${status}: redirects are not followed`);
    if (status !== 200) throw new Error(`answered HTTP ${status}`);
    const object = readObject(body, MAX_BYTES);
    if (!object) throw new Error('did not answer with a JSON object');
    return object;
  }
}

/** Where the metadata of an issuer may be: RFC 8414, then OpenID Connect, inserted before its path and behind it. */
function metadataUrls(issuer: string): string[] {
  const { origin, pathname } = new URL(secure(issuer, 'issuer'));
  const path = pathname.replace(/\/+$/, '');
  return [
    ...new Set([
      `${origin}/.well-known/oauth-authorization-server${path}`,
      `${origin}/.well-known/openid-configuration${path}`,
      `${origin}${path}/.well-known/openid-configuration`,
    ]),
  ];
}

/** `url` if it may be asked: over https, or on this host. */
function secure(url: string, what: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed && isSecure(parsed)) return parsed.href;
  throw new Error(`${what} '${url.slice(0, 256)}' is not an https URL`);
}
