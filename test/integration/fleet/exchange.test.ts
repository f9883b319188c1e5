/** A server that gets a token in exchange for that of its caller, whose request was authenticated by another replica. */
import { expect, it } from 'vitest';
import { newKey, startReplica, together } from '../../helpers/fleet.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import { textOf } from '../../helpers/http.js';
import { call, type Modern } from '../../helpers/modern.js';
import { startStore } from '../../helpers/store.js';
import { guarded, inboundFor, startCorp, startStrictIssuer } from '../../helpers/strict-issuer.js';
import { until } from '../../helpers/wait.js';

const RESOURCE = 'https://gateway.example.com';

it('the token of a caller reaches the replica that calls the server, and no other place', async () => {
  const { oidc, trusts } = await startCorp();
  const issuer = await startStrictIssuer({ trusts, basic: 'gateway:hush', audience: RESOURCE });
  const upstream = await guarded(() => issuer);
  const entry = upstream.entry('x', {
    session: 'per-client' as const,
    auth: {
      type: 'oauth' as const,
      grant: 'token_exchange' as const,
      per: 'user' as const,
      issuer: issuer.issuer,
      client_id: 'gateway',
      client_secret_env: 'HUSH',
    },
  });
  const auth = { issuers: [{ name: 'corp', issuer: oidc.issuer, audiences: [RESOURCE] }] };
  const config = { servers: [entry], mcp: { auth }, metrics: { auth: 'none' as const } };
  const store = await startStore();
  const key = newKey();
  // Only b can exchange a token.
  const start = (secret: string): Promise<RunningGateway> =>
    startReplica(store, config, { key, wait: [], env: { HUSH: secret } });
  const replicas = await Promise.all([start('wrong'), start('hush')]);
  const [a, b] = replicas;
  await together(a.base, b.base);
  for (const each of replicas)
    await until(
      async () => (await each.metric('mcpstead_auth_issuer_up{issuer="corp"}')) === 1,
      'the issuer',
    );
  const inbound = await inboundFor(oidc, RESOURCE);
  const asCaller = (name: string): Modern => ({
    clientInfo: { name, version: '1' },
    headers: { authorization: `Bearer ${inbound}` },
  });
  const forwarded = (): Promise<number> => a.metric('mcpstead_fleet_forwarded_total{result="answered"}');
  // Each client's links are in one of the replicas; only `a` sees the token.
  let answer = await call(a.url, 'x__echo', { i: 0 }, asCaller('client 0'));
  for (let i = 1; (await forwarded()) === 0; i++) {
    expect(answer.error).toBeDefined();
    answer = await call(a.url, 'x__echo', { i }, asCaller(`client ${i}`));
  }
  expect(textOf(answer)).toMatch(/^\{"i":\d+\}$/);
  expect(await b.metric('mcpstead_mcp_auth_attempts_total{result="success"}')).toBe(0);
  expect(issuer.requests.at(-1)?.['subject_token']).toBe(inbound);
  const everything = upstream.requests.map(({ headers, text }) => JSON.stringify(headers) + text).join('');
  expect(everything).not.toContain(inbound);
});
