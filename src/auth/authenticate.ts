/** Authentication: turns what a request shows into a principal. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { AuthFailureReason } from '../observe/stats.js';
import type { Denied, Principal, PrincipalKind, Shown } from '../protocol/ports.js';

export interface Authenticator {
  readonly mode: 'none' | 'bearer';
  /** `resource`: the path of the route. A promise, which never rejects, where the credential is verified elsewhere. */
  authenticate(shown: Shown, resource: string): Principal | Denied | Promise<Principal | Denied>;
  /** Whether a principal's credential is still accepted. */
  accepts(principal: Principal): boolean;
}

/** A principal without a name, groups or scopes. */
function bare(id: string, kind: PrincipalKind, credential: string): Principal {
  return { id, kind, name: id, groups: [], scopes: [], claims: {}, credential, expires: undefined };
}

/** The client of a pair of streams: the user who started the gateway. */
export const LOCAL = bare('local', 'local', '');
const ANONYMOUS = bare('anonymous', 'anonymous', '');
const PREFIX = 'Bearer ';

export function createAuthenticator(mode: 'none' | 'bearer', tokens: readonly string[]): Authenticator {
  if (mode === 'none') {
    return { mode, authenticate: () => ANONYMOUS, accepts: ({ credential }) => credential === '' };
  }
  const known = tokens.map((token) => ({ compare: comparer(token), principal: principalOf(token) }));
  return {
    mode,
    authenticate({ headers: { authorization } }) {
      if (authorization === undefined || authorization === '') return refuse('missing_header');
      const isBearer = authorization.startsWith(PREFIX) || /^bearer /i.test(authorization);
      if (authorization.length <= PREFIX.length || !isBearer) return refuse('bad_format');
      let start = PREFIX.length;
      // Skip spaces only: other characters that trim() removes can be part of a token.
      while (authorization.charCodeAt(start) === 0x20) start++;
      const candidate = Buffer.from(authorization.slice(start), 'utf8');
      if (candidate.length === 0) return refuse('bad_format');
      let found: Principal | undefined;
      // Compare every token, so that timing does not reveal which one is close.
      for (const { compare, principal } of known) if (compare(candidate)) found = principal;
      return found ?? refuse('wrong_token');
    },
    accepts: ({ kind, credential }) =>
      kind === 'local' || known.some(({ principal }) => principal.credential === credential),
  };
}

function refuse(reason: AuthFailureReason): Denied {
  return { status: 401, challenge: 'Bearer', reason };
}

function principalOf(token: string): Principal {
  const credential = createHash('sha256').update(token).digest('base64url').slice(0, 22);
  return bare('bearer', 'bearer', credential);
}

/** Takes constant time for candidates of any length: both sides are padded to the length of the token. */
function comparer(token: string): (candidate: Buffer) => boolean {
  const expected = Buffer.from(token, 'utf8');
  const padded = Buffer.alloc(expected.length);
  return (candidate) => {
    padded.fill(0);
    candidate.copy(padded, 0, 0, expected.length);
    return timingSafeEqual(padded, expected) && candidate.length === expected.length;
  };
}
