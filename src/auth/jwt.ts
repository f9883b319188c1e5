/** Access tokens in the form of a JWT (RFC 9068, and what issuers made before it): read without trust, then verified. */
import { isUtf8 } from 'node:buffer';
import type { compactVerify, CompactVerifyGetKey, CryptoKey, CompactVerifyResult } from 'jose';
import { readObject, textOf, type JsonObject } from '../wire/json.js';
import type { IssuerConfig } from '../config/index.js';
import type { Refusal } from './claims.js';
import type { KeySource } from './issuer.js';

/** A token whose signature is not verified yet. */
export interface Envelope {
  readonly token: string;
  readonly alg: string;
  readonly kid: string | undefined;
  /** In lower case, without `application/`; undefined: absent. */
  readonly typ: string | undefined;
  readonly issuer: string;
  readonly claims: JsonObject;
}

const MAX_CHARACTERS = 8192;
const PART = /^[A-Za-z0-9_-]+$/;
/** Keys that are tried for a token without `kid`. */
const MOST_TRIES = 4;

/** Whether the token of an Authorization header looks like a signed JWT: `eyJ` is `{"` in base64. */
export function hasJwtForm(token: string): boolean {
  if (!token.startsWith('eyJ')) return false;
  const first = token.indexOf('.');
  const second = token.indexOf('.', first + 1);
  return first > 0 && second > 0 && token.indexOf('.', second + 1) < 0;
}

/** Reads header and claims of a token. */
export function readEnvelope(token: string): Envelope | Refusal {
  if (token.length > MAX_CHARACTERS)
    return { reason: 'bad_format', why: `over ${MAX_CHARACTERS} characters` };
  const parts = token.split('.', 4);
  // An empty signature is that of `none`, whose header is judged first.
  if (parts.length !== 3 || !parts.every((part, i) => PART.test(part) || (i === 2 && part === '')))
    return { reason: 'bad_format', why: 'not three parts of base64url' };
  const header = decoded(parts[0] as string);
  const claims = decoded(parts[1] as string);
  if (!header || !claims) return { reason: 'bad_format', why: 'header or claims are not JSON objects' };
  const { alg, kid, typ, crit, b64 } = header;
  if (typeof alg !== 'string') return { reason: 'bad_algorithm' };
  if (crit !== undefined || b64 !== undefined) return { reason: 'bad_format', why: 'a critical header' };
  if (kid !== undefined && typeof kid !== 'string') return { reason: 'bad_format', why: 'kid is not text' };
  if (typ !== undefined && typeof typ !== 'string') return { reason: 'bad_format', why: 'typ is not text' };
  const issuer = textOf(claims['iss']);
  if (issuer === undefined) return { reason: 'unknown_issuer' };
  return { token, alg, kid, typ: typ?.toLowerCase().replace(/^application\//, ''), issuer, claims };
}

function decoded(part: string): JsonObject | undefined {
  const bytes = Buffer.from(part, 'base64url');
  return isUtf8(bytes) ? readObject(bytes, MAX_CHARACTERS) : undefined;
}

/** Why a token with this header cannot be one of the issuer's; undefined: it can. */
export function judgeHeader({ alg, typ }: Envelope, config: IssuerConfig): Refusal | undefined {
  const { algorithms } = config;
  if (!algorithms.some((each) => each === alg)) return { reason: 'bad_algorithm' };
  if (config.typ === undefined ? typ === undefined || typ === 'jwt' || typ === 'at+jwt' : typ === config.typ)
    return undefined;
  return { reason: 'bad_format', why: `typ is ${typ === undefined ? 'absent' : `'${typ.slice(0, 64)}'`}` };
}

/** Verifies the signature; undefined: it is right. Never rejects. */
export async function verifySignature(
  { token, kid }: Envelope,
  issuer: Pick<KeySource, 'keys' | 'renewed'>,
  config: Pick<IssuerConfig, 'algorithms'>,
): Promise<Refusal | undefined> {
  let keys = await issuer.keys();
  if (!keys) return { reason: 'issuer_unavailable' };
  if (!keys.has(kid)) {
    keys = await issuer.renewed();
    if (!keys?.has(kid)) return { reason: 'bad_signature', why: 'unknown kid' };
  }
  const jws = await loadJose();
  const verify = (key: CompactVerifyGetKey | CryptoKey): Promise<CompactVerifyResult> =>
    typeof key === 'function'
      ? jws.compactVerify(token, key, { algorithms: [...config.algorithms] })
      : jws.compactVerify(token, key, { algorithms: [...config.algorithms] });
  try {
    await verify(keys.select);
    return undefined;
  } catch (error) {
    for (const key of await candidates(error)) {
      try {
        await verify(key);
        return undefined;
      } catch {
        continue;
      }
    }
    return { reason: 'bad_signature' };
  }
}

/** The keys that fit a token without `kid`, if there are several. */
async function candidates(error: unknown): Promise<CryptoKey[]> {
  const keys: CryptoKey[] = [];
  if ((error as { code?: unknown }).code !== 'ERR_JWKS_MULTIPLE_MATCHING_KEYS') return keys;
  try {
    for await (const key of error as AsyncIterable<CryptoKey>) if (keys.push(key) >= MOST_TRIES) break;
  } catch {
    // A key that cannot be imported ends the list.
  }
  return keys;
}

let jose: Promise<{ compactVerify: typeof compactVerify }> | undefined;

/** Loaded with the first token. */
function loadJose(): Promise<{ compactVerify: typeof compactVerify }> {
  return (jose ??= import('jose/jws/compact/verify'));
}
