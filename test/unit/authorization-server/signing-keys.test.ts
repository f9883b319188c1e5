/** The keys of access tokens, as other software sees them. */
import { createLocalJWKSet, jwtVerify, type JWK } from 'jose';
import { expect, it } from 'vitest';
import { SigningKeys } from '../../../src/authorization-server/signing-keys.js';
import type { OwnClaims } from '../../../src/protocol/authorization-server.js';

const [ONE, TWO] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const CLAIMS: OwnClaims = {
  ...{ iss: 'https://gw.example', aud: 'https://gw.example/mcp', sub: 'ada', client_id: 'c', scope: '' },
  ...{
    groups: [],
    name: 'Ada',
    kept: {},
    grant: 'g',
    provider: 'p',
    jti: 'j',
    iat: 1_800_000_000,
    exp: 1_800_000_600,
  },
};
const at = { currentDate: new Date(1_800_000_100_000) };

it('derives the same keys from the same state key, and verifies with all', async () => {
  const before = new SigningKeys([ONE]);
  const after = new SigningKeys([TWO, ONE]);
  expect(after.publicKeys[1]).toEqual(before.publicKeys[0]);
  const token = before.sign(CLAIMS);
  const keys = createLocalJWKSet({ keys: after.publicKeys as unknown as JWK[] });
  const { payload, protectedHeader } = await jwtVerify(token, keys, { ...at, typ: 'at+jwt' });
  expect([payload, protectedHeader.alg]).toEqual([CLAIMS, 'ES256']);
  expect(await after.verify(token)).toEqual(CLAIMS);
  expect(await new SigningKeys([TWO]).verify(token)).toBeUndefined();
});

it('shows no private key, and takes no altered token', async () => {
  const keys = new SigningKeys([ONE]);
  expect(Object.keys(keys.publicKeys[0] ?? {}).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
  const token = keys.sign(CLAIMS);
  const [header = '', , signature = ''] = token.split('.');
  const other = Buffer.from(JSON.stringify({ ...CLAIMS, grant: 'h' })).toString('base64url');
  expect(await keys.verify(`${header}.${other}.${signature}`)).toBeUndefined();
  expect(await keys.verify('x')).toBeUndefined();
});
