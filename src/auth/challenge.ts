/**
 * The gateway as an OAuth resource server (RFC 9728): the resource of each route, the values of WWW-Authenticate that lead a client to an
 * authorization server, and the metadata that they name.
 */
import { isLoopback, issuerUrl, type AuthConfig } from '../config/index.js';
import type { AuthFailureReason } from '../observe/stats.js';
import type { Shown } from '../protocol/ports.js';

/** What a token must be for, on one route. */
export interface Resource {
  /** As clients name it when they ask for a token. */
  readonly uri: string;
  /** The audiences that are accepted besides those of the configuration. */
  readonly audiences: ReadonlySet<string>;
  /** Whether the path is below `/-/`, where operators work. */
  readonly isForOperators: boolean;
  /** Where its metadata is. */
  readonly metadata: string;
}

/** RFC 9728, section 2. */
export interface ResourceMetadata {
  readonly resource: string;
  readonly authorization_servers: readonly string[];
  readonly scopes_supported?: readonly string[];
  readonly bearer_methods_supported: readonly ['header'];
  readonly resource_name: string;
}

export const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/** The challenge where neither issuers nor `login` are configured: clients must not look for an authorization server. */
export const BARE = 'Bearer';

const ROUTE = /^((?:\/(?:servers|profiles)\/[A-Za-z0-9._-]{1,64})?)\/(mcp|sse|messages)\/?$/;
/** How many resources are kept: their number depends on the paths that clients ask for. */
const MOST_RESOURCES = 1024;
/** A gateway without public_url has these names. */
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]'] as const;

export class Challenges {
  readonly #auth: AuthConfig;
  readonly #publicUrl: URL | undefined;
  readonly #resources = new Map<string, Resource>();

  /** `publicUrl`: http.public_url; null only on a loopback address. */
  constructor(auth: AuthConfig, publicUrl: string | null) {
    this.#auth = auth;
    this.#publicUrl = publicUrl === null ? undefined : new URL(publicUrl);
  }

  /** The resource at the path of a route. Paths of other routes count as `/mcp`. */
  resource(path: string, shown: Shown): Resource {
    // Which name of the loopback address a client uses decides which resource it accepts; the port is not taken from the client.
    const origin = this.#publicUrl === undefined ? loopbackOrigin(shown) : '';
    const key = origin + path;
    let resource = this.#resources.get(key);
    if (resource === undefined) {
      if (this.#resources.size >= MOST_RESOURCES) this.#resources.clear();
      this.#resources.set(key, (resource = this.#describe(path, shown, origin)));
    }
    return resource;
  }

  /** No credential was shown. */
  missing(resource: Resource): string {
    return `Bearer ${this.#tail(resource, this.#auth.scopes)}`;
  }

  /** A credential was shown that is not accepted. */
  refused(resource: Resource, reason: AuthFailureReason): string {
    const why = reason.replaceAll('_', ' ');
    return `Bearer error="invalid_token", error_description="${why}", ${this.#tail(resource, this.#auth.scopes)}`;
  }

  /** The token lacks scopes. `scopes`: all that the request needs. */
  insufficient(resource: Resource, scopes: readonly string[]): string {
    const metadata = `resource_metadata="${quoted(resource.metadata)}"`;
    return `Bearer error="insufficient_scope", scope="${scopeText(scopes)}", ${metadata}`;
  }

  /** The metadata at a path; undefined: nothing is there. */
  metadata(path: string, shown: Shown): ResourceMetadata | undefined {
    if (!path.startsWith(WELL_KNOWN)) return undefined;
    let route = path.slice(WELL_KNOWN.length);
    const prefix = this.#prefix;
    // A proxy in front may have removed the path of public_url.
    if (prefix !== '' && (route === prefix || route.startsWith(`${prefix}/`)))
      route = route.slice(prefix.length);
    if (route === '' || route === '/') route = '/mcp';
    if (!ROUTE.test(route)) return undefined;
    const { scopes, issuers, login } = this.#auth;
    // SDKs take the first one.
    const own = login && this.#publicUrl ? [issuerUrl(this.#publicUrl.href)] : [];
    return {
      resource: this.resource(route, shown).uri,
      authorization_servers: [...own, ...issuers.map(({ issuer }) => issuer)],
      ...(scopes.length > 0 ? { scopes_supported: scopes } : {}),
      bearer_methods_supported: ['header'],
      resource_name: 'mcpstead',
    };
  }

  get #prefix(): string {
    return this.#publicUrl?.pathname.replace(/\/+$/, '') ?? '';
  }

  #tail(resource: Resource, scopes: readonly string[]): string {
    const metadata = `resource_metadata="${quoted(resource.metadata)}"`;
    return scopes.length > 0 ? `${metadata}, scope="${scopeText(scopes)}"` : metadata;
  }

  #describe(path: string, shown: Shown, loopback: string): Resource {
    const found = ROUTE.exec(path);
    const base = found?.[1] ?? '';
    // SDKs want the resource to be a prefix of the URL they connect to: over HTTP+SSE that of the stream.
    const door = found === null || found[2] === 'mcp' ? '/mcp' : '/sse';
    const origin = this.#publicUrl?.origin ?? loopback;
    const prefix = this.#prefix;
    const route = this.#auth.resource === 'gateway' ? '' : base + door;
    const audiences = new Set<string>();
    const accept = (uri: string): void => {
      // SDKs normalise a URL without a path to one with a slash.
      audiences.add(uri).add(`${uri}/`);
    };
    const origins = this.#publicUrl ? [origin] : [loopback, ...LOOPBACK.map((name) => originOf(shown, name))];
    for (const each of origins) {
      accept(each + prefix);
      // Both are doors of one route.
      if (route !== '') for (const name of ['/mcp', '/sse']) accept(each + prefix + base + name);
    }
    return {
      uri: origin + prefix + route,
      audiences,
      isForOperators: path.startsWith('/-/'),
      metadata: `${origin}${WELL_KNOWN}${prefix}${base}${door}`,
    };
  }
}

/** The origin of a gateway on a loopback address: with the name in the Host header if it is one of that address. */
function loopbackOrigin(shown: Shown): string {
  const { host } = shown.headers;
  const name = typeof host === 'string' ? host.replace(/:\d*$/, '').toLowerCase() : '';
  const own =
    LOOPBACK.some((each) => each === name) || (/^127(?:\.\d{1,3}){3}$/.test(name) && isLoopback(name));
  return originOf(shown, own ? name : LOOPBACK[0]);
}

function originOf({ socket }: Shown, name: string): string {
  const secure = socket.encrypted === true;
  const port = socket.localPort ?? 0;
  const shownPort = port === (secure ? 443 : 80) ? '' : `:${port}`;
  return `${secure ? 'https' : 'http'}://${name}${shownPort}`;
}

/** A text within the quotes of a header value. URLs and scopes of the configuration may hold anything. */
function quoted(text: string): string {
  return text.replace(/[^\x21\x23-\x5b\x5d-\x7e]/gu, (c) => encodeURIComponent(c));
}

/** RFC 6749, section 3.3: scopes have no quotes, backslashes or spaces. */
function scopeText(scopes: readonly string[]): string {
  return scopes.filter((scope) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope)).join(' ');
}
