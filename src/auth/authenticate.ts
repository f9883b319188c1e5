/** Authentication: turns what a request shows into a principal. The form of the credential chooses the one verifier that judges it. */
import { namesPeople, type AuthConfig } from '../config/index.js';
import { hasConsoleKeyForm } from '../lib/console-key.js';
import type { Boundary } from '../observe/boundary.js';
import type { AuthFailureReason } from '../observe/stats.js';
import type { OwnIssuer } from '../protocol/authorization-server.js';
import type { Denied, Principal, Shown } from '../protocol/ports.js';
import type { ShownToken } from '../protocol/principal.js';
import { BARE, Challenges, type ResourceMetadata } from './challenge.js';
import { Failures, RefusalLog } from './failures.js';
import { isRepeated } from './headers.js';
import type { IssuerDeps } from './issuer.js';
import { createIssuerTokens, type IssuerTokens, type TokenRefusal } from './issuer-tokens.js';
import { hasJwtForm } from './jwt.js';
import { createKeys, hasKeyForm } from './keys.js';
import { createPeer } from './peer.js';
import { withImplied } from './scopes.js';
import { bare, createTokens, type Tokens } from './tokens.js';

export interface Authenticator {
  readonly mode: 'none' | 'bearer';
  /** `resource`: the path of the route. A promise, which never rejects, where the credential is verified elsewhere. */
  authenticate(shown: Shown, resource: string): Principal | Denied | Promise<Principal | Denied>;
  /**
   * A principal as the configuration has it now, which may give it other groups; undefined: its credential is withdrawn. An expired one is
   * not.
   */
  current(principal: Principal): Principal | undefined;
  /** Whether a principal's credential has not expired. */
  isFresh(principal: Principal): boolean;
  readonly discovery: Discovery;
  /** The token that a principal has shown; undefined: he has shown none that counts now. */
  shownBy(principal: string): ShownToken | undefined;
  /** The value of WWW-Authenticate for a principal whose token lacks scopes; `scopes`: all that the request needs. */
  stepUp(shown: Shown, resource: string, scopes: readonly string[]): string;
  /** Ends what runs in the background. */
  close(): void;
}

/** What clients find out about authorization servers. */
export interface Discovery {
  /** `unused`: everybody is admitted; `off`: neither tokens of issuers nor those of the gateway are accepted. */
  readonly oauth: 'unused' | 'off' | 'on';
  /** The metadata of a protected resource (RFC 9728) at a path; undefined: nothing is there. */
  metadata(shown: Shown, path: string): ResourceMetadata | undefined;
}

export interface AuthenticatorDeps extends IssuerDeps {
  readonly boundary: Boundary;
  /** http.public_url */
  readonly publicUrl: string | null;
  /** The authorization server of the gateway, whose tokens count with `mcp.auth.login`; undefined: there is none. */
  readonly own: OwnIssuer | undefined;
  /** What identifies the CAs of client certificates, such as a hash of their file; undefined: certificates are not verified. */
  readonly clientAuthorities: string | undefined;
  /** The authenticator that this one replaces: the keys of unchanged issuers are taken from it. Close it afterwards. */
  readonly previous: Authenticator | undefined;
  /** Whether the holder of the console key still has the one in force. */
  readonly isOperator: (principal: Principal) => boolean;
}

/** The client of a pair of streams: the user who started the gateway. */
export const LOCAL = bare('local', 'local', '');
export const ANONYMOUS = bare('anonymous', 'anonymous', '');
const PREFIX = 'Bearer ';
/** What clients wait for an issuer, in seconds. */
const ISSUER_RETRY = 5;

const NO_OAUTH = {
  stepUp: () => BARE,
  shownBy: () => undefined,
  close: () => undefined,
  isFresh: () => true,
};

/** Throws an Error that names a key whose value cannot be used. */
export function createAuthenticator(auth: AuthConfig, deps: AuthenticatorDeps): Authenticator {
  const { mode, tokens } = auth;
  if (mode === 'none')
    return {
      ...NO_OAUTH,
      mode,
      authenticate: ({ headers: { authorization } }) =>
        // The console key is for operators: who sends it here has mistaken the place.
        authorization !== undefined && hasConsoleKeyForm(bearerToken(authorization))
          ? unauthorized('wrong_token')
          : ANONYMOUS,
      current: (principal) =>
        principal.credential === '' || (principal.kind === 'operator' && deps.isOperator(principal))
          ? principal
          : undefined,
      discovery: { oauth: 'unused', metadata: () => undefined },
    };
  const known = createTokens(tokens);
  // A proxy that names no user still says which addresses the limit of failures counts.
  if (namesPeople(auth) || auth.proxy) return new Verifiers(auth, known, deps);
  return {
    ...NO_OAUTH,
    mode,
    authenticate({ headers: { authorization } }) {
      if (authorization === undefined || authorization === '') return unauthorized('missing_header');
      const token = bearerToken(authorization);
      if (token === '') return unauthorized('bad_format');
      return known.verify(Buffer.from(token, 'utf8')) ?? unauthorized('wrong_token');
    },
    current: (principal) =>
      principal.kind === 'local' || (principal.kind === 'operator' && deps.isOperator(principal))
        ? principal
        : known.current(principal),
    discovery: { oauth: 'off', metadata: () => undefined },
  };
}

function unauthorized(reason: AuthFailureReason): Denied {
  return { status: 401, challenge: BARE, reason };
}

/** The token of an Authorization header; empty: it has none. */
export function bearerToken(authorization: string): string {
  const isBearer = authorization.startsWith(PREFIX) || /^bearer /i.test(authorization);
  if (authorization.length <= PREFIX.length || !isBearer) return '';
  let start = PREFIX.length;
  // Skip spaces only: other characters that trim() removes can be part of a token.
  while (authorization.charCodeAt(start) === 0x20) start++;
  return authorization.slice(start);
}

/** Admits holders of tokens, keys, access tokens and certificates, and users that a proxy names. */
class Verifiers implements Authenticator {
  readonly mode = 'bearer';
  readonly discovery: Discovery;
  readonly #deps: AuthenticatorDeps;
  readonly #tokens: Tokens;
  readonly #keys;
  readonly #peer;
  readonly #challenges: Challenges;
  readonly #failures: Failures;
  readonly #log: RefusalLog;
  readonly #issuers: IssuerTokens | undefined;

  constructor(auth: AuthConfig, tokens: Tokens, deps: AuthenticatorDeps) {
    this.#deps = deps;
    this.#tokens = tokens;
    const scopesOf = (scopes: readonly string[]): readonly string[] => withImplied(scopes, auth.implies);
    this.#keys = createKeys(auth, scopesOf);
    this.#peer = createPeer(auth, deps.clientAuthorities);
    const challenges = (this.#challenges = new Challenges(auth, deps.publicUrl));
    this.#failures = new Failures(deps.now);
    this.#log = new RefusalLog(deps.log, deps.now);
    const { previous } = deps;
    // Last, because it begins to read keys.
    this.#issuers =
      auth.issuers.length === 0 && auth.login === undefined
        ? undefined
        : createIssuerTokens(auth, {
            ...deps,
            scopesOf,
            previous: previous instanceof Verifiers ? previous.#issuers : undefined,
          });
    this.discovery = {
      oauth: this.#issuers ? 'on' : 'off',
      metadata: (shown, path) => (this.#issuers ? challenges.metadata(path, shown) : undefined),
    };
  }

  authenticate(shown: Shown, path: string): Principal | Denied | Promise<Principal | Denied> {
    const { authorization } = shown.headers;
    if (authorization === undefined || authorization === '') return this.#byConnection(shown, path);
    // Node keeps the first one, a proxy in front may have judged the last one.
    if (isRepeated(shown, 'authorization')) return this.#refuse({ reason: 'bad_format' }, shown, path);
    const issuers = this.#issuers;
    if (issuers) {
      const seen = issuers.recognise(authorization, this.#challenges.resource(path, shown));
      if (seen) return this.#settle(seen, shown, path);
    }
    const token = bearerToken(authorization);
    if (token === '') return this.#refuse({ reason: 'bad_format' }, shown, path);
    // It must not be sent to an issuer.
    if (hasConsoleKeyForm(token)) return this.#refuse({ reason: 'wrong_token' }, shown, path);
    if (hasKeyForm(token)) {
      if (this.#keys) return this.#settle(asRefusal(this.#keys.verify(token, this.#deps.now())), shown, path);
      // A key that was in use once must not be sent to an issuer.
      if (issuers) return this.#refuse({ reason: 'unknown_key' }, shown, path);
    }
    if (issuers && hasJwtForm(token)) return this.#verify(issuers, token, 'jwt', { shown, path });
    const principal = this.#tokens.verify(Buffer.from(token, 'utf8'));
    if (principal) return principal;
    if (issuers?.introspects) return this.#verify(issuers, token, 'opaque', { shown, path });
    return this.#refuse({ reason: 'wrong_token' }, shown, path);
  }

  current(principal: Principal): Principal | undefined {
    switch (principal.kind) {
      case 'local':
        return principal;
      case 'operator':
        return this.#deps.isOperator(principal) ? principal : undefined;
      case 'anonymous':
        return undefined;
      case 'bearer':
        return this.#tokens.current(principal);
      case 'key':
        return this.#keys?.current(principal);
      case 'token':
        return this.#issuers?.accepts(principal) === true ? principal : undefined;
      case 'proxy':
      case 'cert':
        return this.#peer.current(principal);
    }
  }

  isFresh({ expires }: Principal): boolean {
    return expires === undefined || this.#deps.now() < expires;
  }

  stepUp(shown: Shown, path: string, scopes: readonly string[]): string {
    if (!this.#issuers) return BARE;
    return this.#challenges.insufficient(this.#challenges.resource(path, shown), scopes);
  }

  shownBy(principal: string): ShownToken | undefined {
    return this.#issuers?.shownBy(principal);
  }

  close(): void {
    this.#issuers?.close();
  }

  /** The request has no Authorization header: what its connection says counts. */
  #byConnection(shown: Shown, path: string): Principal | Denied {
    const found = this.#peer.user(shown) ?? this.#peer.holder(shown, this.#deps.now());
    if (found !== undefined) return this.#settle(asRefusal(found), shown, path);
    const issuers = this.#issuers;
    return {
      status: 401,
      challenge: issuers ? this.#challenges.missing(this.#challenges.resource(path, shown)) : BARE,
      reason: 'missing_header',
    };
  }

  #verify(
    issuers: IssuerTokens,
    token: string,
    form: 'jwt' | 'opaque',
    { shown, path }: { shown: Shown; path: string },
  ): Denied | Promise<Principal | Denied> {
    // A verification costs much more than the request.
    const address = this.#peer.address(shown);
    const wait = this.#failures.wait(address);
    if (wait > 0) return this.#tooMany(address, wait);
    const resource = this.#challenges.resource(path, shown);
    return issuers.verify(shown.headers.authorization ?? '', token, form, resource).then(
      (result) => this.#settle(result, shown, path),
      (thrown: unknown) => {
        this.#deps.boundary.caught('client_request', thrown);
        return unavailable();
      },
    );
  }

  #settle(result: Principal | TokenRefusal, shown: Shown, path: string): Principal | Denied {
    return 'reason' in result ? this.#refuse(result, shown, path) : result;
  }

  #refuse(refusal: TokenRefusal, shown: Shown, path: string): Denied {
    const address = this.#peer.address(shown);
    const { reason } = refusal;
    if (reason === 'issuer_unavailable') {
      this.#log.write({ ...refusal, address });
      return unavailable();
    }
    const wait = this.#failures.wait(address);
    if (wait > 0) return this.#tooMany(address, wait);
    this.#failures.add(address);
    this.#log.write({ ...refusal, address });
    const challenge = this.#issuers
      ? this.#challenges.refused(this.#challenges.resource(path, shown), reason)
      : BARE;
    return { status: 401, challenge, reason, ...(refusal.named && { named: true }) };
  }

  #tooMany(address: string, retryAfter: number): Denied {
    this.#log.write({ reason: 'too_many', address });
    return { status: 429, reason: 'too_many', retryAfter };
  }
}

function unavailable(): Denied {
  return { status: 503, reason: 'issuer_unavailable', retryAfter: ISSUER_RETRY };
}

function asRefusal(result: Principal | AuthFailureReason): Principal | TokenRefusal {
  if (typeof result !== 'string') return result;
  return result === 'expired' ? { reason: result, named: true } : { reason: result };
}
