import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../../../src/config/index.js';
import type { AuthConfig, Who } from '../../../src/config/types.js';
import type { Principal, PrincipalKind } from '../../../src/protocol/ports.js';
import { hasRole } from '../../../src/proxy/roles.js';

function authOf(
  mode: 'none' | 'bearer',
  admins: readonly Who[] = [],
  viewers: readonly Who[] = [],
): AuthConfig {
  const { auth } = resolveConfig({ servers: [] }, {}).config.mcp;
  return { ...auth, mode, admins, viewers };
}

function principal(kind: PrincipalKind, id: string = kind, groups: readonly string[] = []): Principal {
  return { id, kind, name: id, groups, scopes: [], claims: {}, credential: '', expires: undefined };
}

/** The roles of a principal at a path. */
const roles = (auth: AuthConfig, who: Principal, path = '/-/reload'): string =>
  (['operator', 'viewer'] as const).filter((role) => hasRole(auth, who, role, path)).join();

const BOTH = 'operator,viewer';

describe('roles', () => {
  it('without admins: holders of contract tokens are operators, and under mode none everybody', () => {
    const bearer = authOf('bearer');
    expect(roles(bearer, principal('bearer'))).toBe(BOTH);
    for (const kind of ['key', 'token', 'proxy', 'cert', 'anonymous', 'local'] as const)
      expect(roles(bearer, principal(kind))).toBe('');
    expect(roles(authOf('none'), principal('anonymous'))).toBe(BOTH);
  });

  it('with admins: they alone are operators', () => {
    const auth = authOf('bearer', [{ ids: ['key:ops-*'] }, { groups: ['sre'], routes: ['/-/reload'] }]);
    expect(roles(auth, principal('key', 'key:ops-1'))).toBe(BOTH);
    expect(roles(auth, principal('key', 'key:dev'))).toBe('');
    expect(roles(auth, principal('bearer'))).toBe('');
    expect(roles(auth, principal('token', 'corp:ann', ['sre']))).toBe(BOTH);
    expect(roles(auth, principal('token', 'corp:ann', ['sre']), '/metrics')).toBe('');
    expect(roles(authOf('none', [{ ids: ['key:ops'] }]), principal('anonymous'))).toBe('');
    expect(roles(authOf('bearer', [{ ids: ['bearer'] }]), principal('bearer'))).toBe(BOTH);
  });

  it('viewers look and change nothing', () => {
    const auth = authOf('bearer', [], [{ groups: ['support'] }]);
    expect(roles(auth, principal('key', 'key:sam', ['support']))).toBe('viewer');
    expect(roles(auth, principal('key', 'key:sam', ['other']))).toBe('');
    expect(roles(auth, principal('bearer'))).toBe(BOTH);
  });
});
