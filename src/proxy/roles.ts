/** Who may look at the gateway, and who may change it. */
import type { AuthConfig } from '../config/types.js';
import { matches } from '../policy/who.js';
import { isApplication, type Principal } from '../protocol/principal.js';

export type Role = 'viewer' | 'operator';

/**
 * `path`: what the principal asks for, for entries with `routes`. An application that somebody signed in for has no role, whoever he is: he
 * allowed it to use a route, not to operate the gateway.
 */
export function hasRole(auth: AuthConfig, principal: Principal, role: Role, path: string): boolean {
  if (isApplication(principal)) return false;
  if (isOperator(auth, principal, path)) return true;
  return role === 'viewer' && auth.viewers.some((who) => matches(who, principal, path));
}

function isOperator({ mode, admins }: AuthConfig, principal: Principal, path: string): boolean {
  if (principal.kind === 'operator') return true;
  if (admins.length > 0) return admins.some((who) => matches(who, principal, path));
  return mode === 'none' || principal.kind === 'bearer';
}
