/** Judges what an issuer says in a token or about it, and makes a principal of it. */
import type { IssuerConfig } from '../config/index.js';
import type { AuthFailureReason } from '../observe/stats.js';
import type { Principal } from '../protocol/ports.js';
import { arrayOf, isObject, textOf, type JsonObject } from '../wire/json.js';
import { bounded } from './peer.js';

/** Why a token is refused. `why` is for the log, where the reason alone does not say it. */
export interface Refusal {
  readonly reason: AuthFailureReason;
  readonly why?: string;
}

/** Of groups and of scopes. With fewer than its issuer says a rule that denies by group would not fit: more are refused. */
const MOST = 200;
/** The latest time of a Date, in seconds. */
const LATEST = 8.64e12;

export interface Judge {
  readonly config: IssuerConfig;
  /** What `Principal.credential` of its tokens begins with. */
  readonly tag: string;
  readonly scopesOf: (scopes: readonly string[]) => readonly string[];
}

/** The audiences of a token; undefined: not as RFC 7519 has them. */
export function audienceOf(claims: JsonObject): readonly string[] | undefined {
  const { aud } = claims;
  if (typeof aud === 'string') return [aud];
  const list = arrayOf(aud)?.filter((each) => typeof each === 'string');
  return list !== undefined && list.length === arrayOf(aud)?.length ? list : undefined;
}

/**
 * The principal of a token with these claims, or why there is none. Its audience is judged by the route, later. `now`: Unix ms;
 * `fingerprint`: of the token.
 */
export function judge(
  { config, tag, scopesOf }: Judge,
  claims: JsonObject,
  now: number,
  fingerprint: string,
): Principal | Refusal {
  const { exp } = claims;
  const skew = config.skew_seconds;
  const seconds = now / 1000;
  if (!isTime(exp)) return { reason: 'bad_format', why: 'no exp' };
  if (seconds >= exp + skew) return { reason: 'expired' };
  for (const name of ['nbf', 'iat']) {
    const time = claims[name];
    if (time === undefined) continue;
    if (!isTime(time)) return { reason: 'bad_format', why: `${name} is not a time` };
    if (time > seconds + skew) return { reason: 'not_yet_valid' };
  }
  if (claims['cnf'] !== undefined) return { reason: 'bound_token' };
  if (!isOfClient(config.clients, claims)) return { reason: 'wrong_client' };

  const id = nameOf(claim(claims, config.claims.id));
  if (id === undefined)
    return { reason: 'bad_format', why: `no claim ${config.claims.id} that can be an id` };
  const groups = groupsOf(claims, config.claims.groups);
  if (!groups) return { reason: 'bad_format', why: `more than ${MOST} groups, or groups that are not names` };
  const scopes = scopesIn(claims);
  if (!scopes) return { reason: 'bad_format', why: `more than ${MOST} scopes, or scopes that are not text` };
  return {
    id: `${config.name}:${id}`,
    kind: 'token',
    name: nameOf(claim(claims, config.claims.name)) ?? id,
    groups,
    scopes: scopesOf(scopes),
    claims: Object.fromEntries(
      config.keep.flatMap((name) => {
        const value = claim(claims, name);
        return value === undefined ? [] : [[name, value] as const];
      }),
    ),
    credential: `${tag}.${fingerprint}`,
    expires: Math.min(exp + skew, LATEST) * 1000,
  };
}

const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

function isOfClient(clients: readonly string[], { azp, client_id }: JsonObject): boolean {
  if (clients.length === 0) return true;
  const named = [azp, client_id].filter((each) => each !== undefined);
  return named.length > 0 && named.every((each) => typeof each === 'string' && clients.includes(each));
}

/** A claim by its name, or by the path to it: `realm_access.roles`. */
function claim(claims: JsonObject, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const part of name.split('.')) {
    if (!isObject(value) || !Object.hasOwn(value, part)) return undefined;
    value = value[part];
  }
  return value;
}

function nameOf(value: unknown): string | undefined {
  const text = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : textOf(value);
  return text === undefined ? undefined : bounded(text);
}

function groupsOf(claims: JsonObject, name: string): readonly string[] | undefined {
  const value = claim(claims, name);
  if (value === undefined || value === null) {
    // Entra names the groups elsewhere if there are too many for a token.
    const { _claim_names: elsewhere } = claims;
    return isObject(elsewhere) && Object.hasOwn(elsewhere, name) ? undefined : [];
  }
  const list = typeof value === 'string' ? [value] : arrayOf(value);
  if (!list || list.length > MOST) return undefined;
  const groups = list.map(nameOf).filter((group) => group !== undefined);
  return groups.length === list.length ? groups : undefined;
}

function scopesIn({ scope, scp }: JsonObject): readonly string[] | undefined {
  const value = scope ?? scp ?? '';
  const list = typeof value === 'string' ? value.split(' ', MOST + 2) : arrayOf(value);
  const scopes = list?.filter((each) => typeof each === 'string');
  if (!scopes || scopes.length !== list?.length || scopes.length > MOST) return undefined;
  return scopes.filter((each) => each !== '');
}
