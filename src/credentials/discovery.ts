/**
 * Finds the authorization server of an MCP server (2026-07-28, basic/authorization/authorization-server-discovery): the metadata of the
 * resource (RFC 9728), then that of the authorization server (RFC 8414, OpenID Connect Discovery 1.0).
 */
import { isWebAddress } from '../config/credentials.js';
import type { OAuthConfig } from '../config/types.js';
import { mayPass } from '../lib/may-pass.js';
import { GuardError, type Guard, type GuardedFetch } from '../protocol/small-request.js';
import { objectOf, readJson } from '../wire/json.js';
import { scopesOf, type BearerChallenge } from '../protocol/challenge.js';
import { CredentialProblem, shown } from './problem.js';

export interface DiscoveryDeps {
  readonly fetch: GuardedFetch;
  readonly guard: Guard;
}

export interface DiscoverySource {
  /** Of the MCP server. */
  readonly url: string;
  readonly auth: Pick<OAuthConfig, 'issuer' | 'metadata' | 'resource' | 'grant'>;
  /** The challenge of the last 401 or 403. */
  readonly challenge: BearerChallenge | undefined;
}

/** Metadata of an authorization server; `issuer` and `token_endpoint` are checked. */
export interface ServerMetadata {
  readonly issuer: string;
  readonly token_endpoint: string;
  readonly authorization_endpoint?: string;
  readonly registration_endpoint?: string;
  readonly revocation_endpoint?: string;
  readonly device_authorization_endpoint?: string;
  readonly scopes_supported?: readonly string[];
  readonly grant_types_supported?: readonly string[];
  readonly token_endpoint_auth_methods_supported?: readonly string[];
  readonly code_challenge_methods_supported?: readonly string[];
  readonly client_id_metadata_document_supported?: boolean;
  readonly authorization_response_iss_parameter_supported?: boolean;
}

export interface Found {
  readonly server: ServerMetadata;
  /** The `resource` parameter; undefined: none is sent. */
  readonly resource: string | undefined;
  /** `scopes_supported` of the resource. */
  readonly scopes: readonly string[] | undefined;
  /** The issuers that the server names, whether they work or not. */
  readonly issuers: readonly string[];
}

const FETCH_MS = 10_000;
const WHOLE_MS = 30_000;
const MOST_BYTES = 262_144;
const MOST_FETCHES = 12;
const MOST_SERVERS = 3;

/** Rejects with a CredentialProblem whose message says what is wrong. */
export async function discover(
  source: DiscoverySource,
  deps: DiscoveryDeps,
  signal: AbortSignal,
): Promise<Found> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(WHOLE_MS)]);
  try {
    return await new Discovery(source, deps, limited).run();
  } catch (error) {
    signal.throwIfAborted();
    if (limited.aborted)
      throw new CredentialProblem(
        'temporary',
        `finding its authorization server took longer than ${WHOLE_MS / 1000} s`,
      );
    throw error;
  }
}

/** The metadata of an authorization server that the configuration names. Rejects with a CredentialProblem. */
export async function metadataAt(
  issuer: string,
  deps: DiscoveryDeps,
  signal: AbortSignal,
): Promise<ServerMetadata> {
  const auth = { issuer, metadata: undefined, resource: undefined, grant: 'token_exchange' } as const;
  return new Discovery({ url: issuer, auth, challenge: undefined }, deps, signal).server(issuer);
}

interface Resource {
  readonly servers: readonly string[];
  readonly resource: string;
  readonly scopes: readonly string[] | undefined;
}

/** A document that is not there, or is no JSON object; `why` says which. */
interface Missing {
  readonly why: string;
}

class Discovery {
  readonly #source: DiscoverySource;
  readonly #deps: DiscoveryDeps;
  readonly #signal: AbortSignal;
  #fetches = 0;

  constructor(source: DiscoverySource, deps: DiscoveryDeps, signal: AbortSignal) {
    this.#source = source;
    this.#deps = deps;
    this.#signal = signal;
  }

  async run(): Promise<Found> {
    const { auth, url } = this.#source;
    const resource = await this.#resource();
    const found = (server: ServerMetadata): Found => ({
      server: this.#checked(server),
      resource:
        auth.resource === 'none' ? undefined : (auth.resource ?? resource?.resource ?? withoutQuery(url)),
      scopes: resource?.scopes,
      issuers: resource?.servers ?? [server.issuer],
    });
    if (typeof auth.metadata === 'string') return found(await this.#given(auth.metadata));
    if (!resource) return found(await this.#atOrigin());
    const { issuer } = auth;
    if (resource.servers.length === 0) throw new CredentialProblem('config', 'names no authorization server');
    if (issuer !== undefined && !resource.servers.some((each) => isSame(each, issuer)))
      throw new CredentialProblem(
        'config',
        `names ${shown(resource.servers[0] ?? '')}, auth.issuer is ${issuer}: nothing was sent`,
      );
    if (issuer !== undefined) return found(await this.server(issuer));
    let problem: unknown;
    for (const each of resource.servers.slice(0, MOST_SERVERS)) {
      try {
        return found(await this.server(each));
      } catch (error) {
        this.#signal.throwIfAborted();
        problem ??= error;
      }
    }
    throw problem;
  }

  /** undefined: the server has none (2025-03-26). */
  async #resource(): Promise<Resource | undefined> {
    const { url, challenge } = this.#source;
    const named = challenge?.resourceMetadata;
    if (named !== undefined) {
      const document = await this.#document(named);
      if ('why' in document)
        throw new CredentialProblem('config', `its metadata at ${shown(named)} ${document.why}`);
      return this.#read(document.json);
    }
    const { origin, pathname } = new URL(url);
    const path = pathname.replace(/\/$/, '');
    for (const tail of path === '' ? [''] : [path, '']) {
      const document = await this.#document(`${origin}/.well-known/oauth-protected-resource${tail}`);
      if (!('why' in document)) return this.#read(document.json);
    }
    return undefined;
  }

  #read(json: Readonly<Record<string, unknown>>): Resource {
    const { url } = this.#source;
    const { resource } = json;
    if (typeof resource !== 'string' || !covers(resource, url))
      throw new CredentialProblem(
        'config',
        `its metadata is for ${textFor(resource)}, not for ${withoutQuery(url)}`,
      );
    const servers = wordsOf(json['authorization_servers']) ?? [];
    return { servers, resource, scopes: scopesIn(json['scopes_supported']) };
  }

  /** A server without metadata of its own: its origin may be an authorization server. */
  async #atOrigin(): Promise<ServerMetadata> {
    const { auth, url } = this.#source;
    if (auth.issuer !== undefined) return this.server(auth.issuer);
    const { origin } = new URL(url);
    try {
      return await this.server(origin);
    } catch (error) {
      if (error instanceof CredentialProblem && error.code === 'no_metadata')
        throw new CredentialProblem('config', 'names no authorization server', {
          code: 'no_metadata',
          cause: error,
        });
      throw error;
    }
  }

  /** `auth.metadata` as a URL. */
  async #given(at: string): Promise<ServerMetadata> {
    const document = await this.#document(at);
    if ('why' in document) throw new CredentialProblem('temporary', `auth.metadata at ${at} ${document.why}`);
    const issuer = this.#source.auth.issuer ?? '';
    if (!isSame(document.json['issuer'], issuer))
      throw new CredentialProblem(
        'config',
        `auth.metadata names the issuer ${textFor(document.json['issuer'])}, not ${issuer}`,
      );
    return metadataOf(document.json, this.#deps.guard);
  }

  /** The metadata of an issuer, from the first place that has any. */
  async server(issuer: string): Promise<ServerMetadata> {
    if (!URL.canParse(issuer))
      throw new CredentialProblem('config', `names ${shown(issuer)}, which is not a URL`);
    // `URL` drops or codes what a terminal or a page would show as something else.
    if (!/^[\x21-\x7e]{1,2048}$/.test(issuer))
      throw new CredentialProblem('config', `names ${shown(issuer)}, which is too long or no ASCII`);
    const { protocol, origin, pathname, search, hash, username, password } = new URL(issuer);
    if (protocol !== 'https:' && protocol !== 'http:')
      throw new CredentialProblem('config', `names ${shown(issuer)}, which is not https`);
    if (search !== '' || hash !== '' || username !== '' || password !== '')
      throw new CredentialProblem(
        'config',
        `names ${shown(issuer)}, which has a query, a fragment or a user`,
      );
    const path = pathname.replace(/\/$/, '');
    const places = [
      `${origin}/.well-known/oauth-authorization-server${path}`,
      `${origin}/.well-known/openid-configuration${path}`,
      ...(path === '' ? [] : [`${origin}${path}/.well-known/openid-configuration`]),
    ];
    let why = '';
    for (const place of places) {
      const document = await this.#document(place);
      if ('why' in document) {
        why ||= document.why;
        continue;
      }
      const { issuer: written } = document.json;
      // An issuer with another spelling could be another server's.
      if (!isSame(written, issuer))
        throw new CredentialProblem(
          'config',
          `${shown(issuer)} gives metadata of the issuer ${textFor(written)}: if right, set auth.issuer and auth.metadata`,
        );
      const members = this.#source.auth.metadata;
      return metadataOf(
        { ...document.json, ...(typeof members === 'object' ? members : {}), issuer: written },
        this.#deps.guard,
      );
    }
    throw new CredentialProblem(
      'temporary',
      `${shown(issuer)} gives no metadata of an authorization server: it ${why}`,
      {
        code: 'no_metadata',
      },
    );
  }

  #checked(server: ServerMetadata): ServerMetadata {
    if (this.#source.auth.grant !== 'authorization_code') return server;
    if (server.authorization_endpoint === undefined)
      throw new CredentialProblem('config', `${shown(server.issuer)} names no authorization_endpoint`);
    if (server.code_challenge_methods_supported?.includes('S256') !== true)
      throw new CredentialProblem(
        'config',
        `${shown(server.issuer)} names no PKCE with S256: if it has it, set auth.metadata`,
      );
    return server;
  }

  async #document(at: string): Promise<{ readonly json: Readonly<Record<string, unknown>> } | Missing> {
    if (!URL.canParse(at)) throw new CredentialProblem('config', `names ${shown(at)}, which is not a URL`);
    if (++this.#fetches > MOST_FETCHES)
      throw new CredentialProblem(
        'config',
        `leads to more than ${MOST_FETCHES} documents before one that works`,
      );
    const request = {
      url: at,
      method: 'GET',
      headers: { accept: 'application/json' },
      timeoutMs: FETCH_MS,
      maxBytes: MOST_BYTES,
    } as const;
    const { host } = new URL(at);
    try {
      const { status, body } = await this.#deps.fetch(request, this.#deps.guard, this.#signal);
      if (mayPass(status))
        throw new CredentialProblem(
          'temporary',
          `${shown(host)} answered HTTP ${status} to a request for metadata`,
        );
      if (status !== 200) return { why: `answers HTTP ${status}` };
      const json = objectOf(readJson(body));
      return json ? { json } : { why: 'is not a JSON object' };
    } catch (error) {
      if (this.#signal.aborted || error instanceof CredentialProblem) throw error;
      throw guarded(error, host);
    }
  }
}

/** What a failed request means. `host`: where it was sent. */
export function guarded(error: unknown, host: string): CredentialProblem {
  if (error instanceof GuardError) {
    const text =
      error.kind === 'private'
        ? `names ${shown(error.host)}, a private address: auth.allow_hosts lets it`
        : error.kind === 'insecure'
          ? `names ${shown(error.host)}, which is not https`
          : `names ${shown(error.host)}, which redirects to another place`;
    return new CredentialProblem('config', text, { cause: error });
  }
  const why = error instanceof Error ? error.message : String(error);
  return new CredentialProblem('temporary', `${shown(host)} does not answer: ${shown(why)}`, {
    cause: error,
  });
}

/** Whether two issuers are the same but for a trailing slash. */
export function isSame(a: unknown, b: string): boolean {
  if (typeof a !== 'string') return false;
  return a === b || a === `${b}/` || `${a}/` === b;
}

/** Whether metadata for `resource` is about `url`: the same origin, and its path or leading segments of it. */
export function covers(resource: string, url: string): boolean {
  if (!URL.canParse(resource)) return false;
  const [of, at] = [new URL(resource), new URL(url)];
  if (of.origin !== at.origin || of.hash !== '' || of.username !== '' || of.password !== '') return false;
  if (of.search !== '' && of.search !== at.search) return false;
  const path = of.pathname.replace(/\/$/, '');
  return at.pathname === path || at.pathname.startsWith(`${path}/`);
}

function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url);
  return pathname === '/' && !url.endsWith('/') ? origin : origin + pathname;
}

const ENDPOINTS = [
  'authorization_endpoint',
  'token_endpoint',
  'registration_endpoint',
  'revocation_endpoint',
  'device_authorization_endpoint',
] as const;
const WORD_LISTS = [
  'scopes_supported',
  'grant_types_supported',
  'token_endpoint_auth_methods_supported',
  'code_challenge_methods_supported',
] as const;
const FLAGS = [
  'client_id_metadata_document_supported',
  'authorization_response_iss_parameter_supported',
] as const;

/** The members that the gateway reads, if they have the right type. */
function metadataOf(json: Readonly<Record<string, unknown>>, guard: Guard): ServerMetadata {
  const issuer = String(json['issuer']);
  const read: Record<string, unknown> = { issuer };
  for (const key of ENDPOINTS) {
    const value = json[key];
    // Some servers write null, or nothing, for what they do not have.
    if (value === undefined || value === null || value === '') continue;
    if (typeof value !== 'string' || !URL.canParse(value))
      throw new CredentialProblem('config', `${shown(issuer)} names a ${key} that is not a URL`);
    // The guard judges requests; a browser is sent to this one.
    if (!isWebAddress(value, guard.isLoopback))
      throw new CredentialProblem('config', `${shown(issuer)} names a ${key} that is not https`);
    read[key] = value;
  }
  for (const key of WORD_LISTS) {
    const words = key === 'scopes_supported' ? scopesIn(json[key]) : wordsOf(json[key]);
    if (words) read[key] = words;
  }
  for (const key of FLAGS) if (typeof json[key] === 'boolean') read[key] = json[key];
  if (read['token_endpoint'] === undefined)
    throw new CredentialProblem('config', `${shown(issuer)} names no token_endpoint`);
  return read as unknown as ServerMetadata;
}

function wordsOf(value: unknown): string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.filter((each): each is string => typeof each === 'string').slice(0, 1000);
}

function scopesIn(value: unknown): string[] | undefined {
  const words = wordsOf(value);
  return words && scopesOf(words.join(' '));
}

/** What a document says in a place where a text belongs. */
function textFor(value: unknown): string {
  return typeof value === 'string' ? shown(value) : value === undefined ? 'nothing' : 'what is not a text';
}
