/** Sign-ins at the gateway under attack: by a client, by a page in the browser of a person, by a person without rights, and by accidents. */
import { expect, it } from 'vitest';
import { post } from '../helpers/http.js';
import { accessRequest, refreshed, registerClient, signedIn, stageSignIn } from '../helpers/sign-in.js';

async function tools(base: string, token: string): Promise<string[] | number> {
  const answer = await post(
    `${base}/mcp`,
    { jsonrpc: '2.0', id: 1, method: 'tools/list' },
    { authorization: `Bearer ${token}` },
  );
  if (answer.status !== 200) return answer.status;
  return answer
    .json<{ result: { tools: { name: string }[] } }>()
    .result.tools.map(({ name }) => name)
    .sort();
}

it.each([503, 403])('a rule that denies by group holds while userinfo answers %i', async (status) => {
  const { base, oidc } = await stageSignIn({
    // Only userinfo has this claim.
    userinfoOnly: true,
    login: { claims: { groups: 'name' } },
    accounts: { bob: { name: 'guests' } },
    config: {
      policy: {
        default: 'allow',
        rules: [{ name: 'no guests', who: { groups: ['guests'] }, deny: [{ tools: ['write'] }] }],
      },
    },
  });
  const { client, tokens } = await signedIn(base, { person: 'bob' });
  expect(await tools(base, tokens.access_token)).toEqual(['one__look']);
  oidc.intercept((req, res) => {
    if (req.url !== '/me') return false;
    res.writeHead(status).end();
    return true;
  });
  const next = await refreshed(base, client, tokens.refresh_token);
  expect([next.status, await tools(base, next.body.access_token)]).toEqual([200, ['one__look']]);
  // The refresh token of the identity provider was replaced meanwhile, and was kept.
  oidc.intercept(() => false);
  const last = await refreshed(base, client, next.body.refresh_token);
  expect([last.status, await tools(base, last.body.access_token)]).toEqual([200, ['one__look']]);
});

it('a genuine refresh token is revoked also beside somebody who shows forged ones', async () => {
  const { base } = await stageSignIn();
  const { client, tokens } = await signedIn(base);
  const revoke = (token: string): Promise<Response> =>
    fetch(`${base}/oauth/revoke`, {
      method: 'POST',
      body: new URLSearchParams({ token, client_id: client.id }),
    });
  const forged = `${tokens.access_token.slice(0, -8)}AAAAAAAA`;
  let last = 200;
  for (let n = 0; n < 100 && last === 200; n++) last = (await revoke(forged)).status;
  expect([last, (await revoke(tokens.refresh_token)).status]).toEqual([429, 200]);
  expect(await tools(base, tokens.access_token)).toBe(401);
});

it('a page about a made-up redirect URI says nothing else in the name of the gateway', async () => {
  const { base } = await stageSignIn();
  const client = await registerClient(base);
  const text = 'Your account is locked. Call 555 0100 \u202e now';
  const answer = await fetch(accessRequest(base, { ...client, redirectUri: text }).url);
  const page = await answer.text();
  expect([answer.status, page.includes('Your account')]).toEqual([400, false]);
  expect(page).toContain('wants its answer at Your?account?is?locked.?Call?555?0100?now, which');
});
