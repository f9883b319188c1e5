/** Access tokens that the gateway issues itself (`mcp.auth.login`): what they must say, where they count, and who they are of. */
import {
  issuerUrl,
  principalPrefix,
  providerOfLogin,
  type AuthConfig,
  type IssuerConfig,
} from '../config/index.js';
import { providerDigest } from '../protocol/authorization-server.js';
import type { Principal } from '../protocol/ports.js';
import { isObject, textOf, type JsonObject } from '../wire/json.js';
import type { Resource } from './challenge.js';
import { judge, type Judge, type Refusal } from './claims.js';
import { fingerprint } from './fingerprint.js';

/** In logs. No issuer of `mcp.auth.issuers` can have this name. */
export const OWN = 'login';
const SKEW_SECONDS = 60;
/** Below here operators work. */
const OPERATORS = '/-/';

export interface OwnJudge extends Judge {
  /** `providerDigest` of the identity provider that people sign in at. */
  readonly provider: string | undefined;
}

/** The gateway as the issuer of its own tokens; undefined: it issues none. `publicUrl`: http.public_url. */
export function ownIssuerConfig(auth: AuthConfig, publicUrl: string | null): IssuerConfig | undefined {
  if (!auth.login || publicUrl === null) return undefined;
  return {
    name: principalPrefix(auth),
    issuer: issuerUrl(publicUrl),
    audiences: [],
    clients: [],
    algorithms: ['ES256'],
    typ: 'at+jwt',
    skew_seconds: SKEW_SECONDS,
    claims: { id: 'sub', name: 'name', groups: 'groups' },
    keep: [],
    introspection: undefined,
  };
}

/**
 * What `Principal.credential` of these tokens begins with. It changes with whatever changes who a person is: the identity provider, its
 * client, the claim with the id, and the beginning of the ids.
 */
export function ownTag({ login }: AuthConfig, { name, issuer }: IssuerConfig): string {
  const facts = [OWN, name, issuer, login?.issuer, login?.client_id, login?.claims.id];
  return fingerprint(JSON.stringify(facts));
}

/** The identity provider that people sign in at, as tokens name it. */
export function ownProvider({ login }: AuthConfig): string | undefined {
  return login && providerDigest(providerOfLogin(login));
}

/**
 * Whether a token with this audience counts for a resource. For applications a token is for one route, or for the gateway; where operators
 * work, every audience of the gateway counts, and that of the console counts there alone.
 */
export function isForOwn(audience: readonly string[], resource: Resource, { issuer }: IssuerConfig): boolean {
  const [only, ...others] = audience;
  if (only === undefined || others.length > 0) return false;
  if (resource.isForOperators) return only === issuer || only.startsWith(`${issuer}/`);
  return only !== consoleResource(issuer) && resource.audiences.has(only);
}

/** The principal of a token with these claims, or why there is none. `now`: Unix ms. See `judge`. */
export function judgeOwn(
  judged: OwnJudge,
  claims: JsonObject,
  now: number,
  token: string,
): Principal | Refusal {
  if (!isCanonical(token)) return { reason: 'bad_signature', why: 'not as the gateway writes it' };
  const principal = judge(judged, claims, now, fingerprint(token));
  if ('reason' in principal) return principal;
  const { kept, aud } = claims;
  // People of another identity provider may have the same ids. Their grants end, but not all before the first request.
  if (claims['provider'] !== judged.provider)
    return { reason: 'inactive', why: 'of another identity provider' };
  const id = textOf(claims['grant']);
  if (id === undefined || id === '') return { reason: 'bad_format', why: 'no grant' };
  if (!isObject(kept)) return { reason: 'bad_format', why: 'no kept claims' };
  const isConsole = claims['console'] === true;
  if (isConsole !== (aud === consoleResource(judged.config.issuer))) return { reason: 'wrong_audience' };
  return { ...principal, claims: kept, grant: { id, isConsole } };
}

/** Whether the bits behind the last byte of the signature are zero: a token has one form. */
function isCanonical(token: string): boolean {
  const signature = token.slice(token.lastIndexOf('.') + 1);
  return Buffer.from(signature, 'base64url').toString('base64url') === signature;
}

/** The resource of the console, which no application can ask for. `issuer`: that of the gateway. */
function consoleResource(issuer: string): string {
  return issuer + OPERATORS;
}
