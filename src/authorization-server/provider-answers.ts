/** Answers of an OpenID Connect provider, read without trust: reduced to what the gateway uses, and bounded. */
import { withoutSecrets } from '../lib/echoed-secrets.js';
import { readRetryAfter } from '../lib/retry-after.js';
import { mayPass } from '../lib/may-pass.js';
import type { SmallAnswer } from '../protocol/small-request.js';
import { arrayOf, isObject, readObject, textOf, type JsonObject } from '../wire/json.js';
import { ProviderProblem, refusedRequest, visible } from './provider-problem.js';

export type ProviderOperation = 'discovery' | 'jwks' | 'code' | 'refresh' | 'userinfo' | 'revocation';

/** An answer, and what it is to. `secrets`: what the request held and no text may repeat. */
export interface Received {
  readonly host: string;
  readonly operation: ProviderOperation;
  readonly secrets: readonly string[];
  readonly answer: SmallAnswer;
}

/** Of each answer. */
export const MOST_BYTES = 262_144;
const MOST_KEYS = 100;
/** What a header can carry. */
const TOKEN = /^[\x21-\x7e]{1,16384}$/;
const MOST_ID_TOKEN = 65_536;
const JWT = /^([\w-]+)\.([\w-]+)\.[\w-]*$/;
/** The latest time of a Date, in seconds. */
const LATEST_S = 8.64e12;

/** The body of an answer as the JSON that the library reads. Throws a ProviderProblem for all others. */
export function bodyOf(received: Received): string {
  const { host, operation, answer } = received;
  const { status, headers, body } = answer;
  if (mayPass(status)) {
    const after = headers['retry-after'];
    const ms = typeof after === 'string' ? readRetryAfter(after) : undefined;
    throw new ProviderProblem('away', host, `${host} answered HTTP ${status} to ${WHAT[operation]}`, {
      retryAfter: ms === undefined ? undefined : Math.ceil(ms / 1000),
    });
  }
  if (status >= 300 && status < 400)
    throw problem(received, `answered HTTP ${status} to ${WHAT[operation]}: redirects are not followed`);
  const isGood = status >= 200 && status < 300;
  // Nothing in the answer matters (RFC 7009, 2.2).
  if (operation === 'revocation' && isGood) return '{}';
  const type = headers['content-type'];
  if (operation === 'userinfo' && isGood && typeof type === 'string' && /^\s*application\/jwt\b/i.test(type))
    throw problem(
      received,
      'answers userinfo as a JWT: have it answer JSON, or put the claims into the ID token',
    );
  const json = readObject(body, MOST_BYTES);
  const error = json === undefined ? undefined : textOf(json['error']);
  if (error !== undefined && error !== '' && (!isGood || operation === 'code' || operation === 'refresh')) {
    const what = operation === 'code' || operation === 'refresh' ? operation : 'other';
    throw refusedRequest(host, what, codeOf(error, received.secrets));
  }
  if (status !== 200) throw problem(received, `answered HTTP ${status} to ${WHAT[operation]}`);
  if (json === undefined)
    throw problem(received, `answered ${WHAT[operation]} with something else than a JSON object`);
  if (operation === 'jwks') checkKeys(received, json);
  return operation === 'code' || operation === 'refresh'
    ? JSON.stringify(tokensIn(received, json))
    : body.toString('utf8');
}

const WHAT: Readonly<Record<ProviderOperation, string>> = {
  discovery: 'the request for its metadata',
  jwks: 'the request for its keys',
  code: 'the request with the code',
  refresh: 'the request with the refresh token',
  userinfo: 'the request for userinfo',
  revocation: 'the request that revokes the refresh token',
};

function problem({ host }: Received, text: string): ProviderProblem {
  return new ProviderProblem('config', host, `${host} ${text}`);
}

/** An error code as a log may show it. */
export function codeOf(error: string, secrets: readonly string[]): string {
  return visible(
    withoutSecrets(error, new URLSearchParams(secrets.map((each): [string, string] => ['secret', each]))),
  );
}

function checkKeys(received: Received, { keys }: JsonObject): void {
  const list = arrayOf(keys);
  if (!list?.every(isObject) || list.length > MOST_KEYS)
    throw problem(received, `gave something else than a set of at most ${MOST_KEYS} keys`);
}

/** The members of a token answer that are used. */
function tokensIn(received: Received, json: JsonObject): Record<string, unknown> {
  const read: Record<string, unknown> = {};
  for (const name of ['access_token', 'token_type', 'refresh_token', 'id_token']) {
    const value = json[name];
    // Some providers write null, or nothing, for what they do not give.
    if (value !== undefined && value !== null && value !== '') read[name] = value;
  }
  const { id_token: idToken } = read;
  for (const name of ['access_token', 'refresh_token']) {
    const token = read[name];
    if (token !== undefined && (typeof token !== 'string' || !TOKEN.test(token)))
      throw problem(received, `gave a token (${name}) that a header cannot carry`);
  }
  if (idToken === undefined) {
    if (received.operation === 'code')
      throw problem(received, 'gave no ID token: openid must be among the scopes of mcp.auth.login');
  } else if (typeof idToken !== 'string' || !isJwt(idToken))
    throw problem(
      received,
      'gave an ID token that is not a signed JWT of at most 64 KB: it must not be encrypted',
    );
  return read;
}

/** Whether header and payload are JSON objects of bounded depth. */
function isJwt(token: string): boolean {
  const [, ...parts] = (token.length <= MOST_ID_TOKEN && JWT.exec(token)) || [];
  return (
    parts.length === 2 &&
    parts.every((part) => readObject(Buffer.from(part, 'base64url'), MOST_ID_TOKEN) !== undefined)
  );
}

/**
 * What oauth4webapi does not check in the claims of an ID token (OpenID Connect Core, 2 and 3.1.3.7): returns its end in Unix ms, or what is
 * wrong. `seconds`: Unix time.
 */
export function endOfIdToken(
  { exp, iat, azp }: JsonObject,
  clientId: string,
  seconds: number,
  skew: number,
): number | 'azp' | 'exp' | 'iat' {
  if (azp !== undefined && azp !== null && azp !== clientId) return 'azp';
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return 'exp';
  if (typeof iat !== 'number' || !Number.isFinite(iat) || iat > seconds + skew) return 'iat';
  return Math.min(exp, LATEST_S) * 1000;
}
