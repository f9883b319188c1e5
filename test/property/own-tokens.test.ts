/** Tokens of the gateway: no other text than what it signed is accepted, and no application gets a role. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AuthConfig, Who } from '../../src/config/index.js';
import { hasRole } from '../../src/proxy/roles.js';
import { authenticator, bearer, type Verdict } from '../helpers/authenticator.js';
import { createOwn, LOGIN, ownClaims } from '../helpers/own-issuer.js';

const NOW = Date.UTC(2026, 10, 1) / 1000;
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.';
const PATHS = ['/mcp', '/sse', '/-/api/v1/status', '/metrics'];

async function begin() {
  const own = await createOwn();
  const { auth } = authenticator({ login: LOGIN }, { own });
  let asked = 0;
  return {
    own,
    /** Each request is from another address: the limit of failures is not what is tested. */
    ask: async (token: string, path = '/mcp'): Promise<Verdict> => {
      asked++;
      const remoteAddress = `10.${asked >> 16}.${(asked >> 8) & 255}.${asked & 255}`;
      return auth.authenticate(bearer(token, { remoteAddress }), path);
    },
  };
}

it('a token that differs in one character is refused, wherever it differs', async () => {
  const { own, ask } = await begin();
  const token = await own.sign(ownClaims(NOW));
  expect(await ask(token)).toMatchObject({ id: 'login:u1' });
  const character = fc.constantFrom(...BASE64URL);
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: token.length - 1 }), character, async (at, other) => {
      fc.pre(token[at] !== other);
      const altered = token.slice(0, at) + other + token.slice(at + 1);
      expect(await ask(altered)).toMatchObject({ status: 401 });
    }),
    { numRuns: 500 },
  );
  for (const other of BASE64URL)
    if (!token.endsWith(other)) expect(await ask(token.slice(0, -1) + other)).toMatchObject({ status: 401 });
});

it('a token with a part of another one is refused', async () => {
  const { own, ask } = await begin();
  const one = (await own.sign(ownClaims(NOW))).split('.');
  const two = (await own.sign(ownClaims(NOW, { sub: 'u2' }))).split('.');
  await fc.assert(
    fc.asyncProperty(fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()), async (from) => {
      const mixed = from.map((isOne, i) => (isOne ? one : two)[i]).join('.');
      const admitted = !('status' in (await ask(mixed)));
      expect(admitted).toBe(from[1] === from[2]);
    }),
  );
});

it('a token of an application never has a role, whatever it claims and whoever is an operator', async () => {
  const { own, ask } = await begin();
  const text = fc.constantFrom('u1', 'ops', 'console', 'https://gw.example/-/', '');
  const who = fc.record(
    {
      ids: fc.constant(['*']),
      groups: fc.constant(['ops', '*']),
      scopes: fc.constant(['*']),
      claims: fc.constant({ grant: '*' }),
    },
    { requiredKeys: [] },
  ) as fc.Arbitrary<Who>;
  const claims = fc.record(
    {
      aud: fc.oneof(
        text,
        fc.constantFrom('https://gw.example', 'https://gw.example/mcp', 'https://gw.example/-/mcp'),
        fc.constant(['https://gw.example/-/']),
      ),
      sub: text,
      name: text,
      scope: fc.constantFrom('', 'admin', '* console'),
      groups: fc.array(text, { maxLength: 3 }),
      kept: fc.oneof(
        fc.constantFrom({ grant: 'x' }, { isConsole: true }, { console: true }),
        fc.dictionary(fc.string(), fc.jsonValue()),
      ),
      console: fc.constantFrom(false, 'true', 1, null, undefined),
    },
    { requiredKeys: [] },
  );
  let admitted = 0;
  await fc.assert(
    fc.asyncProperty(
      claims,
      fc.constantFrom(...PATHS),
      fc.array(who, { maxLength: 2 }),
      fc.array(who, { maxLength: 2 }),
      async (more, path, admins, viewers) => {
        const verdict = await ask(await own.sign(ownClaims(NOW, more)), path);
        if ('status' in verdict) return;
        admitted++;
        const auth = { mode: 'bearer', admins, viewers } as unknown as AuthConfig;
        expect(verdict.grant?.isConsole).toBe(false);
        for (const role of ['operator', 'viewer'] as const)
          for (const at of PATHS) expect(hasRole(auth, verdict, role, at)).toBe(false);
      },
    ),
    { numRuns: 300 },
  );
  expect(admitted).toBeGreaterThan(0);
});
