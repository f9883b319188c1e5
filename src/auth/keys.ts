/** API keys of the configuration. */
import type { AuthConfig } from '../config/index.js';
import { API_KEY_LENGTH, API_KEY_PREFIX, hashApiKey, isApiKey } from '../lib/api-key.js';
import type { AuthFailureReason } from '../observe/stats.js';
import type { Principal } from '../protocol/ports.js';
import { shortened } from './fingerprint.js';

export interface Keys {
  /** The principal of a key, or why it is refused. */
  verify(key: string, now: number): Principal | AuthFailureReason;
  /** The principal of the same key; undefined: it is withdrawn. */
  current(principal: Principal): Principal | undefined;
}

/** Whether the token of an Authorization header is a key. */
export function hasKeyForm(token: string): boolean {
  return token.startsWith(API_KEY_PREFIX);
}

/** undefined: no keys are configured, and tokens of this form have no special meaning. */
export function createKeys(
  { keys, keys_file }: AuthConfig,
  scopesOf: (scopes: readonly string[]) => readonly string[],
): Keys | undefined {
  if (keys.length === 0 && keys_file === undefined) return undefined;
  // Found by its hash: no secret is compared, and the time says nothing about other keys.
  const byHash = new Map<string, Principal>();
  const byCredential = new Map<string, Principal>();
  for (const { name, sha256, groups, scopes, profile, expires, disabled, owner, approver } of keys) {
    if (disabled) continue;
    for (const hash of sha256) {
      const principal: Principal = {
        id: `key:${name}`,
        kind: 'key',
        name,
        groups,
        scopes: scopesOf(scopes),
        claims: {},
        credential: shortened(hash),
        expires,
        ...(profile === undefined ? {} : { profile }),
        ...(owner === undefined ? {} : { owner }),
        ...(approver ? { approves: true } : {}),
      };
      byHash.set(hash, principal);
      byCredential.set(principal.credential, principal);
    }
  }
  return {
    verify(key, now) {
      const principal = key.length === API_KEY_LENGTH ? byHash.get(hashApiKey(key)) : undefined;
      // Its checksum says no more of a key that is known.
      if (principal === undefined) return isApiKey(key) ? 'unknown_key' : 'bad_format';
      return principal.expires !== undefined && now >= principal.expires ? 'expired' : principal;
    },
    current({ id, credential }) {
      const principal = byCredential.get(credential);
      return principal?.id === id ? principal : undefined;
    },
  };
}
