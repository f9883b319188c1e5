import fc from 'fast-check';
import { expect, it } from 'vitest';
import { audienceOf, judge } from '../../src/auth/claims.js';
import { hasJwtForm, readEnvelope } from '../../src/auth/jwt.js';
import { alternativeName, clientOf, network } from '../../src/auth/peer.js';
import { createApiKey, hashApiKey, isApiKey } from '../../src/lib/api-key.js';
import { authenticator, issuerConfig, keyConfig, shown, type Verdict } from '../helpers/authenticator.js';

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const KEY = createApiKey();

it('an Authorization header of any form is answered, and only the right ones are admitted', async () => {
  const { auth } = authenticator(
    { keys: [keyConfig({ sha256: [hashApiKey(KEY)] })], tokens: ['contract'], issuers: [issuerConfig()] },
    { fetch: () => Promise.reject(new Error('down')) },
  );
  const piece = fc.oneof(
    fc.constantFrom(
      'Bearer',
      'bearer',
      ' ',
      'mcps_',
      'eyJ',
      '.',
      '..',
      'contract',
      KEY,
      'Basic',
      '\t',
      ',',
      '"',
    ),
    fc.string({ maxLength: 20, unit: 'binary' }),
    fc.constantFrom(part({ alg: 'ES256' }), part({ alg: 'none' }), part({ iss: 'https://id.example/t' })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
      const header = pieces.join('');
      const verdict: Verdict = await auth.authenticate(shown({ authorization: header }), '/mcp');
      const token = /^bearer +(.*)$/is.exec(header)?.[1];
      if ('status' in verdict) {
        expect([KEY, 'contract']).not.toContain(token);
        if (verdict.challenge !== undefined) expect(verdict.challenge).toMatch(/^[\x20-\x7e]+$/);
      } else expect([KEY, 'contract']).toContain(token);
    }),
    { numRuns: 500 },
  );
});

it('a token is read without an exception, and what is read is what was written', () => {
  const anything = fc.oneof(
    fc.json(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom('{}', '[]', 'null', '{"alg":7}'),
  );
  fc.assert(
    fc.property(fc.array(anything, { minLength: 1, maxLength: 4 }), (parts) => {
      const token = parts.map((each) => Buffer.from(each).toString('base64url')).join('.');
      const read = readEnvelope(token);
      if (!('reason' in read)) expect(parts).toHaveLength(3);
      readEnvelope(parts.join('.'));
      hasJwtForm(parts.join('.'));
    }),
  );
  fc.assert(
    fc.property(
      fc.string(),
      fc.jsonValue(),
      fc.option(fc.string(), { nil: undefined }),
      (alg, value, kid) => {
        const token = `${part({ alg, kid })}.${part({ iss: 'i', value })}.${part('s')}`;
        const read = readEnvelope(token);
        if ('reason' in read) expect(token.length).toBeGreaterThan(8192);
        else
          expect(read).toMatchObject({
            alg,
            kid,
            issuer: 'i',
            claims: JSON.parse(JSON.stringify({ iss: 'i', value })) as object,
          });
      },
    ),
  );
});

it('claims of any kind make a principal whose id is of the issuer, or a refusal', () => {
  const config = issuerConfig({ keep: ['a', 'a.b', '__proto__'] });
  const scopesOf = (scopes: readonly string[]) => scopes;
  const name = fc.constantFrom(
    'sub',
    'exp',
    'nbf',
    'groups',
    'scope',
    'scp',
    'aud',
    'azp',
    'cnf',
    'a',
    '__proto__',
    '_claim_names',
  );
  fc.assert(
    fc.property(fc.dictionary(name, fc.oneof(fc.jsonValue(), fc.constant(2e9))), (said) => {
      const claims = JSON.parse(JSON.stringify(said)) as Record<string, unknown>;
      audienceOf(claims);
      const verdict = judge({ config, tag: 't', scopesOf }, claims, 1e12, 'f');
      if ('reason' in verdict) return;
      expect(verdict.id.startsWith('corp:')).toBe(true);
      expect(verdict.groups.length).toBeLessThanOrEqual(200);
      expect(claims['cnf']).toBeUndefined();
      for (const text of [...verdict.groups, ...verdict.scopes, verdict.name])
        expect(typeof text).toBe('string');
    }),
  );
});

it('X-Forwarded-For: the last hop that is not listed counts, whatever stands before it', () => {
  const ip = fc.oneof(fc.ipV4(), fc.ipV6());
  const listed = (address: string) => address.startsWith('10.');
  const proxies = fc.array(
    fc.nat({ max: 255 }).map((n) => `10.0.0.${n}`),
    { maxLength: 10 },
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), ip, proxies, (before, client, via) => {
      const expected = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(client)?.[1] ?? client;
      fc.pre(!listed(expected));
      const header = [before, client, ...via].join(', ');
      expect(clientOf(header, '10.9.9.9', listed)).toBe(expected);
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (header) => {
      network(clientOf(header, '10.9.9.9', listed));
    }),
  );
});

it('two IPv6 addresses count together if their first 64 bits are equal, and only then', () => {
  const group = fc.nat({ max: 0xffff });
  const address = (groups: readonly number[]) => groups.map((each) => each.toString(16)).join(':');
  /** The shortest form of an address, as URL has it. */
  const short = (text: string) => new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const half = fc.tuple(group, group, group, group);
  fc.assert(
    fc.property(half, half, half, (left, right, other) => {
      const one = network(short(address([...left, ...right])));
      expect(network(address([...left, ...other]))).toBe(one);
      const same = other.every((each, i) => each === left[i]);
      expect(network(short(address([...other, ...right]))) === one).toBe(same);
    }),
  );
});

it('the names of a certificate are those that were written, as Node writes them', () => {
  const type = fc.constantFrom('URI', 'DNS', 'email', 'IP Address', 'othername');
  /** Node quotes what could be taken for several names (lib/internal/tls, node_x509). */
  const write = (value: string) =>
    /[,"'\\\0]/.test(value) || value.startsWith('"') ? JSON.stringify(value) : value;
  const value = fc.oneof(
    fc.string({ unit: fc.constantFrom(...'ab:/@,"\\ .') }),
    fc.constantFrom('spiffe://a/b', 'x, URI:spiffe://evil', '"'),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(type, value)), fc.constantFrom('URI', 'DNS', 'email'), (names, wanted) => {
      const text = names.map(([kind, name]) => `${kind}:${write(name)}`).join(', ');
      expect(alternativeName(text, wanted)).toBe(names.find(([kind]) => kind === wanted)?.[1]);
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'URIDNS:, "\\ax') }), (text) => {
      alternativeName(text, 'URI');
    }),
  );
});

it('a key has the form of a key, and no other text has', () => {
  for (let i = 0; i < 200; i++) expect(isApiKey(createApiKey())).toBe(true);
  fc.assert(
    fc.property(fc.nat({ max: KEY.length - 1 }), fc.string({ minLength: 1, maxLength: 1 }), (at, c) => {
      const text = KEY.slice(0, at) + c + KEY.slice(at + 1);
      expect(isApiKey(text)).toBe(text === KEY);
    }),
  );
});
