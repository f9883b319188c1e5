/** Who somebody is, from what an identity provider says. */
import { expect, it } from 'vitest';
import {
  asPrincipal,
  mergeClaims,
  missingClaims,
  personOf,
} from '../../../src/authorization-server/people.js';
import type { Person } from '../../../src/protocol/authorization-server.js';
import { matches } from '../../../src/policy/who.js';
import { LOGIN } from '../../helpers/identity-provider.js';

const person = (claims: object, config: Partial<typeof LOGIN> = {}) =>
  personOf({ ...LOGIN, ...config }, { sub: 'ada', ...claims });
const named = (id: string, name = 'preferred_username', groups = 'groups') => ({
  claims: { id, name, groups },
});

it.each<[object, Partial<typeof LOGIN>, object]>([
  [{}, {}, { id: 'ada', name: 'ada', groups: [], kept: {} }],
  [
    { preferred_username: 'Ada L.', groups: ['dev', 7] },
    {},
    { id: 'ada', name: 'Ada L.', groups: ['dev', '7'] },
  ],
  [{ oid: 42 }, named('oid'), { id: '42' }],
  [{ groups: 'dev' }, {}, { groups: ['dev'] }],
  [{ preferred_username: 'a\u0000b' }, {}, { name: 'ada' }],
  [
    { realm_access: { roles: ['dev'] } },
    { ...named('sub', 'sub', 'realm_access.roles'), keep: ['realm_access.roles', 'realm_access.none'] },
    { groups: ['dev'], kept: { 'realm_access.roles': ['dev'] } },
  ],
  [
    { dept: 'x', level: 3, no: null },
    { keep: ['dept', 'level', 'no', 'none'] },
    { kept: { dept: 'x', level: 3 } },
  ],
  [
    { email: 'a@b.c', email_verified: true },
    named('email', 'email', 'email'),
    { id: 'a@b.c', groups: ['a@b.c'] },
  ],
  [
    { email: 'a@b.c' },
    { ...named('sub', 'email', 'email'), keep: ['email'] },
    { name: 'ada', groups: [], kept: {} },
  ],
  [{ email: 'a@b.c', email_verified: 'true' }, named('sub', 'email'), { name: 'ada' }],
  [{}, named('oid'), { problem: 'no id' }],
  [{ oid: 1.5 }, named('oid'), { problem: 'no id' }],
  [{ oid: 'x'.repeat(257) }, named('oid'), { problem: 'no id' }],
  [{ email: 'a@b.c' }, named('email'), { problem: 'no id', why: 'the email is not verified' }],
  [{ groups: Array(200).fill('dev') }, {}, { id: 'ada' }],
  [{ groups: Array(201).fill('dev') }, {}, { problem: 'too many groups' }],
  [{ _claim_names: { groups: 'src1' } }, {}, { problem: 'too many groups' }],
  [
    { _claim_names: { realm_access: 'src1' } },
    named('sub', 'sub', 'realm_access.roles'),
    { problem: 'too many groups' },
  ],
  [{ groups: [{}] }, {}, { problem: 'bad groups' }],
  [{ filler: 'x'.repeat(16_384) }, { keep: ['filler'] }, { problem: 'too large' }],
  [{ filler: 'x'.repeat(16_384) }, {}, { name: 'ada' }],
  [{ filler: 'x'.repeat(65_536) }, {}, { problem: 'too large' }],
])('%j with %j is %j', (claims, config, expected) => {
  expect(person(claims, config)).toMatchObject(expected);
});

it('userinfo is worth asking for claims that the configuration uses, and only for those', () => {
  const config = {
    ...LOGIN,
    keep: ['dept'],
    allow: [{ claims: { hd: 'example.com' } }, { groups: ['dev'] }],
  };
  expect(missingClaims(config, { sub: 'ada', groups: [] })).toEqual(['preferred_username', 'dept', 'hd']);
  const all = { sub: 'ada', groups: 'x', preferred_username: 'x', dept: 1, hd: 'x' };
  expect(missingClaims(config, all)).toEqual([]);
  expect(missingClaims(config, { ...all, dept: null })).toEqual(['dept']);
  const byEmail = { ...LOGIN, ...named('email', 'sub') };
  expect(missingClaims(byEmail, { groups: [], sub: 'x', email: 'a@b.c' })).toEqual(['email_verified']);
});

it.each<[object, object, object]>([
  [{ a: 1 }, { a: 2, b: 3 }, { a: 1, b: 3 }],
  [{ groups: null }, { groups: ['dev'] }, { groups: ['dev'] }],
  [{ groups: [] }, { groups: ['dev'] }, { groups: [] }],
  [{ realm: { id: 1 } }, { realm: { id: 2, roles: ['dev'] } }, { realm: { id: 1, roles: ['dev'] } }],
  [{ email: 'a' }, { email: 'a', email_verified: true }, { email: 'a', email_verified: true }],
  // What userinfo says of one address is not said of another.
  [{ email: 'a' }, { email: 'b', email_verified: true }, { email: 'a' }],
  [{ email: 'a' }, { email_verified: true }, { email: 'a' }],
  [{ email_verified: true }, { email: 'b' }, { email: 'b' }],
  [{ email_verified: true }, { email: 'b', email_verified: false }, { email: 'b', email_verified: false }],
  [{ email_verified: false }, { email: 'b', email_verified: true }, { email: 'b', email_verified: false }],
  [{ email: 'a', email_verified: true }, { email: 'b' }, { email: 'a', email_verified: true }],
  [{}, { email: 'b', email_verified: true }, { email: 'b', email_verified: true }],
])('%j and %j of userinfo are %j', (idToken, userinfo, merged) => {
  expect(mergeClaims({ ...idToken }, { ...userinfo })).toEqual(merged);
});

it('allow is judged on all claims, kept or not, by name or path', () => {
  const claims = { sub: 'ada', hd: 'example.com', realm: { tier: 'gold' }, email: 'ada@example.com' };
  const principal = asPrincipal(person(claims) as Person, claims, 'login');
  expect(principal).toMatchObject({ id: 'login:ada', kind: 'token', name: 'ada', groups: [], scopes: [] });
  const fits = (wanted: Record<string, string>) => matches({ claims: wanted }, principal, '/mcp');
  expect(fits({ hd: 'example.com' })).toBe(true);
  expect(fits({ 'realm.tier': 'gold' })).toBe(true);
  expect(fits({ email: '*' })).toBe(false);
  expect(fits({ sub: 'eve' })).toBe(false);
  const verified = asPrincipal(person(claims) as Person, { ...claims, email_verified: true }, 'login');
  expect(matches({ claims: { email: '*@example.com' } }, verified, '/mcp')).toBe(true);
});
