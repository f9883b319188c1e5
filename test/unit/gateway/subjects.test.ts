/** What a caller has shown, as it is exchanged for a token of a server. */
import { expect, it } from 'vitest';
import type { Config } from '../../../src/config/types.js';
import { subjectOf, type SubjectsDeps } from '../../../src/gateway/subjects.js';
import { failure } from '../../helpers/credentials.js';

const IDP = 'https://id.example';
const WHOSE = { server: 'x', owner: 'login:ada' };

function deps(more: Partial<SubjectsDeps> = {}, idp?: string): SubjectsDeps {
  const auth = idp === undefined ? {} : { idp: { issuer: idp } };
  return {
    config: () =>
      ({
        mcp: { auth: { login: { issuer: IDP } } },
        servers: [{ name: 'x', kind: 'http', auth }],
      }) as unknown as Config,
    shownBy: () => ({ token: 'own', issuer: 'https://gw.example', expires: 2000, grant: 'g' }),
    idTokenOf: (grant) => Promise.resolve(grant === 'g' ? { token: 'id', expires: 1000 } : undefined),
    ...more,
  };
}

it('of a sign-in at the gateway the ID token of its identity provider is exchanged, never the token of the gateway', async () => {
  const expected = { token: 'id', type: 'id_token', expiresAt: 1000 };
  expect(await subjectOf(deps(), WHOSE)).toEqual(expected);
  expect(await subjectOf(deps({}, IDP), WHOSE)).toEqual(expected);
  expect((await failure(subjectOf(deps({}, 'https://other.example'), WHOSE))).message).toBe(
    `needs a token of its caller from https://other.example: his is from ${IDP}`,
  );
  const none = deps({ idTokenOf: () => Promise.resolve(undefined) });
  expect((await failure(subjectOf(none, WHOSE))).message).toBe(
    `needs an ID token of its caller, and ${IDP} has given none that counts: sign in again`,
  );
});

it('of an issuer its token is exchanged', async () => {
  const shownBy = () => ({ token: 'theirs', issuer: IDP, expires: 2000, grant: undefined });
  expect(await subjectOf(deps({ shownBy }), WHOSE)).toEqual({
    token: 'theirs',
    type: 'access_token',
    expiresAt: 2000,
  });
  expect((await subjectOf(deps({ shownBy }, IDP), WHOSE)).type).toBe('id_token');
  const missing = deps({ shownBy: () => undefined });
  expect((await failure(subjectOf(missing, WHOSE))).message).toContain('he has shown none that counts here');
});
