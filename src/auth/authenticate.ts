/** From the Authorization header to a principal. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { AuthFailureReason } from '../observe/stats.js';
import type { Denied, Principal } from '../protocol/ports.js';

export interface Refused extends Denied {
  readonly reason: AuthFailureReason;
}

export interface Authenticator {
  readonly mode: 'none' | 'bearer';
  authenticate(authorization: string | undefined): Principal | Refused;
  /** Whether what this fingerprint stands for is still accepted. */
  accepts(credential: string): boolean;
}

const ANONYMOUS: Principal = { id: 'anonymous', scopes: [], credential: '' };
const PREFIX = 'Bearer ';

export function createAuthenticator(mode: 'none' | 'bearer', tokens: readonly string[]): Authenticator {
  if (mode === 'none') {
    return { mode, authenticate: () => ANONYMOUS, accepts: (credential) => credential === '' };
  }
  const known = tokens.map((token) => ({ compare: comparer(token), principal: principalOf(token) }));
  return {
    mode,
    authenticate(authorization) {
      if (authorization === undefined || authorization === '') return refuse('missing_header');
      const isBearer = authorization.startsWith(PREFIX) || /^bearer /i.test(authorization);
      if (authorization.length <= PREFIX.length || !isBearer) return refuse('bad_format');
      let start = PREFIX.length;
      // Spaces alone: what else trim() takes away could be part of a token.
      while (authorization.charCodeAt(start) === 0x20) start++;
      const candidate = Buffer.from(authorization.slice(start), 'utf8');
      if (candidate.length === 0) return refuse('bad_format');
      let found: Principal | undefined;
      // Every token is compared, so that the time tells nothing of which one came near.
      for (const { compare, principal } of known) if (compare(candidate)) found = principal;
      return found ?? refuse('wrong_token');
    },
    accepts: (credential) => known.some(({ principal }) => principal.credential === credential),
  };
}

function refuse(reason: AuthFailureReason): Refused {
  return { status: 401, challenge: 'Bearer', reason };
}

function principalOf(token: string): Principal {
  const credential = createHash('sha256').update(token).digest('base64url').slice(0, 22);
  return { id: 'bearer', scopes: [], credential };
}

/** Constant time for candidates of any length: both sides are padded to the length of the token. */
function comparer(token: string): (candidate: Buffer) => boolean {
  const expected = Buffer.from(token, 'utf8');
  const padded = Buffer.alloc(expected.length);
  return (candidate) => {
    padded.fill(0);
    candidate.copy(padded, 0, 0, expected.length);
    return timingSafeEqual(padded, expected) && candidate.length === expected.length;
  };
}
