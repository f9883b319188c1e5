/** The bearer tokens of the environment. */
import { timingSafeEqual } from 'node:crypto';
import type { Principal, PrincipalKind } from '../protocol/ports.js';
import { fingerprint } from './fingerprint.js';

/** A principal without a name, groups or scopes. */
export function bare(id: string, kind: PrincipalKind, credential: string): Principal {
  return { id, kind, name: id, groups: [], scopes: [], claims: {}, credential, expires: undefined };
}

export interface Tokens {
  /** undefined: not one of them. */
  verify(candidate: Buffer): Principal | undefined;
  /** The principal of the same token; undefined: it is withdrawn. */
  current(principal: Principal): Principal | undefined;
}

export function createTokens(tokens: readonly string[]): Tokens {
  const known = tokens.map((token) => ({ compare: comparer(token), principal: principalOf(token) }));
  return {
    verify(candidate) {
      let found: Principal | undefined;
      // Compare every token, so that timing does not reveal which one is close.
      for (const { compare, principal } of known) if (compare(candidate)) found = principal;
      return found;
    },
    current: ({ credential }) =>
      known.find(({ principal }) => principal.credential === credential)?.principal,
  };
}

function principalOf(token: string): Principal {
  return bare('bearer', 'bearer', fingerprint(token));
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
