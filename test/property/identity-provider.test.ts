/** An identity provider that answers anything. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { codeOf } from '../../src/authorization-server/provider-answers.js';
import { metadataUrl, readMetadata } from '../../src/authorization-server/provider-metadata.js';
import { ProviderProblem } from '../../src/authorization-server/provider-problem.js';
import { ISSUER, returned, SIGN_IN, startIdentityProvider } from '../helpers/identity-provider.js';

const { signal } = new AbortController();
const member = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    'Bearer',
    'invalid_grant',
    'temporarily_unavailable',
    'eyJhbGciOiJub25lIn0.e30.',
    'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJldmUifQ.AAAA',
    'https://id.example/x',
    'http://id.example/x',
    'javascript:alert(1)',
    ISSUER,
    'eve',
    [{ kty: 'EC' }],
    [],
  ),
);
const NAMES = [
  ...[
    'access_token',
    'token_type',
    'refresh_token',
    'id_token',
    'error',
    'keys',
    'sub',
    'issuer',
    'jwks_uri',
  ],
  ...['authorization_endpoint', 'token_endpoint', 'userinfo_endpoint', '__proto__'],
  ...['token_endpoint_auth_methods_supported', 'id_token_signing_alg_values_supported'],
];
const json = fc.dictionary(fc.constantFrom(...NAMES), member);
const reply = fc.record({
  status: fc.constantFrom(200, 200, 200, 204, 301, 400, 401, 404, 429, 500),
  headers: fc.constantFrom({}, { 'content-type': 'application/jwt' }, { 'retry-after': 'soon' }),
  body: fc.oneof(json, fc.string({ unit: 'binary' }), fc.constant('['.repeat(5000))),
});

it('whatever it answers, nobody signs in, and the error is a bounded line without secrets', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('openid-configuration', 'token', 'jwks', 'userinfo'),
      reply,
      async (end, answer) => {
        const idp = await startIdentityProvider();
        idp.scripts = { [end]: () => answer };
        const { provider } = idp;
        const tries: Promise<unknown>[] = [
          provider.exchange({ ...SIGN_IN, returned: returned() }, signal),
          provider.refresh('refresh-token-1', { sub: 'ada' }, signal),
          provider.userinfo('access-token-1', 'ada', signal),
        ];
        const results = await Promise.allSettled(tries);
        for (const result of results) {
          if (result.status === 'fulfilled') continue;
          expect(result.reason).toBeInstanceOf(ProviderProblem);
          const { message, code = '' } = result.reason as ProviderProblem;
          expect(message).toMatch(/^[\x20-\x7e]{1,600}$/);
          expect(code).toMatch(/^[\x20-\x7e]{0,128}$/);
          expect(message).not.toMatch(/the-secret-of-gw|the-code-of-this-sign-in|-token-1/);
        }
        const [signedIn, refreshed] = results;
        if (end === 'token' || end === 'jwks') expect(signedIn?.status).toBe('rejected');
        // A refresh may have no ID token, and then says nothing about the person.
        if (end === 'token' && refreshed?.status === 'fulfilled')
          expect(refreshed.value).toMatchObject({ claims: undefined });
      },
    ),
    { numRuns: 300 },
  );
});

it('metadata names nothing but https', () => {
  fc.assert(
    fc.property(json, (object) => {
      try {
        const { issuer, ...read } = readMetadata({ ...object, issuer: ISSUER }, ISSUER);
        expect(issuer).toBe(ISSUER);
        for (const value of Object.values(read))
          if (typeof value === 'string') expect(value).toMatch(/^https:/);
      } catch (error) {
        expect(error).toBeInstanceOf(ProviderProblem);
      }
    }),
  );
});

it('an issuer of any form is asked over https, on loopback, or not at all', () => {
  const text = fc.oneof(
    fc.webUrl({ withQueryParameters: true, withFragments: true }),
    fc.string(),
    fc.constantFrom(
      'http://localhost:1/',
      'http://127.0.0.1.evil.example',
      'https:id.example',
      'http://[::1]',
    ),
  );
  fc.assert(
    fc.property(text, (issuer) => {
      try {
        const { protocol, hostname } = new URL(metadataUrl(issuer));
        if (protocol !== 'https:') expect(hostname).toMatch(/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/);
      } catch (error) {
        expect(error).toBeInstanceOf(ProviderProblem);
      }
    }),
  );
});

it('an error code is short, visible, and without what was sent', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (before, after) => {
      const secret = 'a-secret-that-was-sent';
      const code = codeOf(before + secret + after, [secret]);
      expect(code).toMatch(/^[\x20-\x7e]{0,128}$/);
      expect(code).not.toContain(secret);
    }),
  );
});
