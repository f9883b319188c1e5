/** People from any claims. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { asPrincipal, mergeClaims, missingClaims, personOf } from '../../src/authorization-server/people.js';
import type { JsonObject } from '../../src/wire/json.js';
import { LOGIN } from '../helpers/identity-provider.js';

const EMAIL = 'unverified@example.com';
const NAMES = [
  'sub',
  'email',
  'email_verified',
  'groups',
  'preferred_username',
  'realm_access',
  'realm_access.roles',
  '_claim_names',
  '__proto__',
  'constructor',
  'email.x',
];
const value = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc.string(),
  fc.integer(),
  fc.array(fc.string(), { maxLength: 210 }),
  fc.dictionary(fc.constantFrom('roles', 'groups', 'email'), fc.jsonValue({ maxDepth: 2 })),
  fc.string({ minLength: 3000, maxLength: 20_000 }),
);
/** As a parser makes them: also with a member `__proto__`. */
const claimSet = fc
  .array(fc.tuple(fc.constantFrom(...NAMES), value), { maxLength: 10 })
  .map((pairs): JsonObject => Object.fromEntries(pairs));
const names = fc.constantFrom(...NAMES);
const config = fc.record({
  claims: fc.record({ id: names, name: names, groups: names }),
  keep: fc.array(names, { maxLength: 5 }),
});

it('never throws, is bounded, and never has an email that is not verified', () => {
  fc.assert(
    fc.property(config, claimSet, claimSet, fc.constantFrom(0, 1), (some, first, second, which) => {
      const own = [first, second].map((claims, index): JsonObject => {
        const { email: _, email_verified: isVerified, ...rest } = claims;
        // One of both says the address; it is not verified there. Of the other's address anything may be said.
        return index === which
          ? {
              ...rest,
              email: EMAIL,
              ...(isVerified !== undefined && isVerified !== true && { email_verified: isVerified }),
            }
          : { ...rest, ...(index === 0 ? {} : { email: 'other@example.com' }), email_verified: true };
      }) as [JsonObject, JsonObject];
      const claims = mergeClaims(own[0], own[1]);
      const person = personOf({ ...LOGIN, ...some }, claims);
      missingClaims({ ...LOGIN, ...some }, claims);
      if ('problem' in person) {
        expect(person.why).not.toContain('example.com');
        return;
      }
      const text = JSON.stringify(person);
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(16_384);
      expect(person.groups.length).toBeLessThanOrEqual(200);
      expect(person.id.length).toBeLessThanOrEqual(256);
      expect(text).not.toContain(EMAIL);
      expect(Object.values(asPrincipal(person, claims, 'login').claims)).not.toContain(EMAIL);
    }),
    { numRuns: 1000 },
  );
});
