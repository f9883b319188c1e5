import { describe, expect, it } from 'vitest';
import type { Who } from '../../../src/config/types.js';
import { matches } from '../../../src/policy/who.js';
import type { Principal } from '../../../src/protocol/ports.js';

const PRINCIPAL: Principal = {
  id: 'corp:ann',
  kind: 'token',
  name: 'Ann',
  groups: ['dev', 'ops'],
  scopes: ['files:read'],
  claims: { tenant: 'acme', level: 3, staff: true, teams: ['red', 'blue', 7], nested: { a: 1 }, none: null },
  credential: 'x',
  expires: undefined,
};

function fits(who: Who, route = '/mcp', principal = PRINCIPAL): boolean {
  return matches(who, principal, route);
}

describe('who', () => {
  it('without members is everybody, with an empty list nobody', () => {
    expect(fits({})).toBe(true);
    for (const key of ['ids', 'groups', 'scopes', 'routes'] as const) expect(fits({ [key]: [] })).toBe(false);
  });

  it('needs one entry of each list, and all lists', () => {
    expect(fits({ ids: ['key:ci', 'corp:*'] })).toBe(true);
    expect(fits({ ids: ['key:*'] })).toBe(false);
    expect(fits({ groups: ['qa', 'op?'] })).toBe(true);
    expect(fits({ groups: ['op'] })).toBe(false);
    expect(fits({ scopes: ['files:*'] })).toBe(true);
    expect(fits({ scopes: ['files:write'] })).toBe(false);
    expect(fits({ ids: ['corp:*'], groups: ['dev'], scopes: ['files:read'], routes: ['/mcp'] })).toBe(true);
    expect(fits({ ids: ['corp:*'], groups: ['qa'] })).toBe(false);
  });

  it.each([
    ['/mcp', '/mcp', true],
    ['/mcp', '/sse', true],
    ['/sse', '/mcp', true],
    ['/servers/*/mcp', '/servers/files/sse', true],
    ['/servers/*/mcp', '/servers/files/messages', true],
    ['/servers/files/mcp', '/servers/fileserver/mcp', false],
    ['/profiles/support/mcp', '/profiles/support/mcp', true],
    ['/mcp', '/servers/mcp/mcp', false],
    ['/servers/sse/mcp', '/servers/sse/mcp', true],
  ])('%s on %s: %s', (pattern, route, expected) => {
    expect(fits({ routes: [pattern] }, route)).toBe(expected);
  });

  it('compares claims by type; an array claim contains the value', () => {
    expect(fits({ claims: { tenant: 'acme' } })).toBe(true);
    expect(fits({ claims: { tenant: 'ac*' } })).toBe(true);
    expect(fits({ claims: { tenant: 'acme', level: 3, staff: true } })).toBe(true);
    expect(fits({ claims: { tenant: 'acme', level: 4 } })).toBe(false);
    expect(fits({ claims: { level: '3' } })).toBe(false);
    expect(fits({ claims: { staff: 'true' } })).toBe(false);
    expect(fits({ claims: { teams: 'bl?e' } })).toBe(true);
    expect(fits({ claims: { teams: 7 } })).toBe(true);
    expect(fits({ claims: { teams: '7' } })).toBe(false);
  });

  it('finds no claim in the prototype, and none that is missing, null or an object', () => {
    const named = (name: string, wanted: string): Who => ({
      claims: JSON.parse(`{"${name}":"${wanted}"}`) as Record<string, string>,
    });
    for (const name of ['absent', 'toString', '__proto__', 'constructor', 'nested', 'none'])
      expect(fits(named(name, '*'))).toBe(false);
  });
});
