/** Judges what an issuer says in a token or about it, and makes a principal of it. */
import type { IssuerConfig } from '../config/index.js';
import type { AuthFailureReason } from '../observe/stats.js';
import type { Principal } from '../protocol/ports.js';
import { claim, groupsOf, MOST_GROUPS, nameOf } from '../protocol/claims.js';
import { arrayOf, type JsonObject } from '../wire/json.js';

/** Why a token is refused. `why` is for the log, where the reason alone does not say it. */
export interface Refusal {
  readonly reason: AuthFailureReason;
  readonly why?: string;
}

const MOST_SCOPES = 200;
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
  if (typeof groups === 'string')
    return { reason: 'bad_format', why: `more than ${MOST_GROUPS} groups, or groups that are not names` };
  const scopes = scopesIn(claims);
  if (!scopes)
    return { reason: 'bad_format', why: `more than ${MOST_SCOPES} scopes, or scopes that are not text` };
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

function scopesIn({ scope, scp }: JsonObject): readonly string[] | undefined {
  const value = scope ?? scp ?? '';
  const list = typeof value === 'string' ? value.split(' ', MOST_SCOPES + 2) : arrayOf(value);
  const scopes = list?.filter((each) => typeof each === 'string');
  if (!scopes || scopes.length !== list?.length || scopes.length > MOST_SCOPES) return undefined;
  return scopes.filter((each) => each !== '');
}
