import { expect, it } from 'vitest';
import { ShownTokens } from '../../../src/fleet/shown-tokens.js';
import type { Principal, ShownToken } from '../../../src/protocol/principal.js';

const principalOf = (id: string): Principal => ({
  ...{ id, kind: 'token', name: id, groups: [], scopes: [], claims: {}, credential: id, expires: undefined },
});
const tokenOf = (token: string, expires?: number): ShownToken => ({
  ...{ token, issuer: 'https://id.example.com', expires, grant: undefined },
});

it('the token that counts longest is kept, until it ends or its credential is withdrawn', () => {
  const clock = { now: 1000 };
  const accepted = new Set(['ann', 'ben']);
  const tokens = new ShownTokens(
    ({ id }) => accepted.has(id),
    () => clock.now,
  );
  const ann = principalOf('ann');
  tokens.note(ann, tokenOf('long', 3000));
  tokens.note(ann, tokenOf('short', 2000));
  expect(tokens.shownBy('ann')?.token).toBe('long');
  expect(tokens.shownBy('ben')).toBeUndefined();
  clock.now = 3000;
  expect(tokens.shownBy('ann')).toBeUndefined();
  tokens.note(ann, tokenOf('endless'));
  expect(tokens.shownBy('ann')?.token).toBe('endless');
  accepted.delete('ann');
  expect(tokens.shownBy('ann')).toBeUndefined();
});

it('is bounded', () => {
  const tokens = new ShownTokens(() => true);
  for (let i = 0; i <= 10_000; i++) tokens.note(principalOf(`p${i}`), tokenOf(`t${i}`));
  expect(tokens.shownBy('p0')).toBeUndefined();
  expect(tokens.shownBy('p1')).toBeDefined();
});
