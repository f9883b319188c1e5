import { expect, it } from 'vitest';
import { readChallenge, scopesOf } from '../../../src/protocol/challenge.js';

it.each([
  ['Bearer', {}],
  ['bearer error="invalid_token"', { error: 'invalid_token' }],
  [
    'Bearer realm="a, Bearer b", resource_metadata="https://x.example/m", scope="a b"',
    { resourceMetadata: 'https://x.example/m', scopes: ['a', 'b'] },
  ],
  ['Basic realm="x", Bearer scope=read', { scopes: ['read'] }],
  ['Negotiate, Bearer resource_metadata = "u"', { resourceMetadata: 'u' }],
  ['Negotiate abc==, Bearer error=e', { error: 'e' }],
  ['Basic QWxhZGRpbjpvcGVu, Bearer error=e', { error: 'e' }],
  ['DPoP algs="ES256", Bearer scope="a", scope="b"', { scopes: ['a'] }],
  [String.raw`Bearer error="a\"b"`, { error: 'a"b' }],
  [', , Bearer ,scope="a" ,, error="e",', { scopes: ['a'], error: 'e' }],
])('reads %s', (header, found) => {
  expect(readChallenge(header)).toEqual({
    resourceMetadata: undefined,
    scopes: undefined,
    error: undefined,
    ...found,
  });
});

it.each(['', 'Basic realm="Bearer"', 'Basic x="Bearer y=1', '=', '"Bearer"', 'Bearerx a=b'])(
  'finds none in %j',
  (header) => {
    expect(readChallenge(header)).toBeUndefined();
  },
);

it('leaves out what is no scope, and those that are there already', () => {
  expect(scopesOf(' a  b a c"d \u00e9 e')).toEqual(['a', 'b', 'e']);
});
