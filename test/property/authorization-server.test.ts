/** What the authorization server hands out and reads back, under any change. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readAccessRequest } from '../../src/authorization-server/access-request.js';
import { Consents } from '../../src/authorization-server/consents.js';
import { OAuthProblem } from '../../src/authorization-server/problem.js';
import { Seals } from '../../src/authorization-server/seals.js';
import { Tickets } from '../../src/authorization-server/tickets.js';

const seals = new Seals([Buffer.alloc(32, 1), Buffer.alloc(32, 2)], 'https://gw.example');
const older = new Seals([Buffer.alloc(32, 2)], 'https://gw.example');
const tickets = new Tickets(seals);
const ID = 'i'.repeat(38);

/** A text with one character replaced, removed or added. */
const altered = (text: string): fc.Arbitrary<string> =>
  fc
    .tuple(fc.nat(text.length - 1), fc.constantFrom('', 'A', '_', '.', 'é', '\n', 'AA'))
    .map(([at, other]) => text.slice(0, at) + other + text.slice(at + 1))
    .filter((each) => each !== text);

it('what was sealed opens unchanged alone, also under an older key', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const plain = JSON.parse(JSON.stringify(value)) as object;
      expect(seals.open('form', seals.seal('form', value))).toEqual(plain);
      expect(seals.open('form', older.seal('form', value))).toEqual(plain);
      expect(older.open('form', seals.seal('form', value))).toBeUndefined();
      expect(seals.open('cookie', seals.seal('form', value))).toBeUndefined();
    }),
  );
  const sealed = seals.seal('form', { a: 1 });
  fc.assert(
    fc.property(altered(sealed), (other) => {
      expect(seals.open('form', other)).toBeUndefined();
    }),
  );
});

it('codes and refresh tokens count unchanged alone', () => {
  const code = tickets.code(ID);
  expect(tickets.readCode(code)).toBe(ID);
  fc.assert(
    fc.property(fc.oneof(altered(code), fc.string()), (other) => {
      expect(tickets.readCode(other)).toBeUndefined();
    }),
  );
  fc.assert(
    fc.property(fc.nat(), (generation) => {
      expect(tickets.readRefreshToken(tickets.refreshToken(ID, generation))).toEqual({ id: ID, generation });
    }),
  );
  fc.assert(
    fc.property(altered(tickets.refreshToken(ID, 35)), (other) => {
      expect(tickets.readRefreshToken(other)).toBeUndefined();
    }),
  );
  expect(tickets.readRefreshToken(code)).toBeUndefined();
});

it('a request of a client is read, or refused as OAuth says', () => {
  const rules = {
    issuer: 'https://gw.example',
    resource: 'route',
    scopes: new Set(['a']),
    usual: [],
  } as const;
  const names = fc.constantFrom(
    'resource',
    'state',
    'scope',
    'response_type',
    'code_challenge',
    'prompt',
    'x',
  );
  const values = fc.oneof(
    fc.string(),
    fc.constantFrom('code', 'S256', 'https://gw.example/mcp', 'c'.repeat(43)),
  );
  const good: [string, string][] = [
    ['response_type', 'code'],
    ['code_challenge', 'c'.repeat(43)],
    ['code_challenge_method', 'S256'],
    ['resource', 'https://gw.example/mcp'],
  ];
  fc.assert(
    fc.property(fc.array(fc.tuple(names, values), { maxLength: 6 }), fc.boolean(), (pairs, isGood) => {
      const parameters = new URLSearchParams(isGood ? [...good, ...pairs] : pairs);
      try {
        const { resource, scopes } = readAccessRequest(parameters, rules, false);
        expect([resource.startsWith('https://gw.example/'), scopes.every((each) => each === 'a')]).toEqual([
          true,
          true,
        ]);
      } catch (error) {
        expect(error).toBeInstanceOf(OAuthProblem);
      }
    }),
  );
});

it('a cookie header of any form ends no sign-in but its own', () => {
  const consents = new Consents(seals, () => 1_800_000_000_000);
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), fc.string(), (header, state) => {
      expect(consents.finish(state, header).trip).toBeUndefined();
    }),
  );
});
