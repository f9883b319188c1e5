/** Access tokens of a real issuer, from the first 401 to a session, with the clients of both SDKs. */
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport as SseV1 } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { importJWK, SignJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ConfigInput } from '../../src/index.js';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { tempFile } from '../helpers/cli.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { callTool, openSession, post, send, textOf, type Headers } from '../helpers/http.js';
import { application, browse, REDIRECT } from '../helpers/login.js';
import { startOidc, type Oidc } from '../fixtures/servers/oidc.mjs';
import { until } from '../helpers/wait.js';

const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const WELL_KNOWN = '/.well-known/oauth-protected-resource';
const reasonOf = (challenge: string | undefined) => /error_description="([^"]*)"/.exec(challenge ?? '')?.[1];

let upstream: Upstream;
let oidc: Oidc;
let running: RunningGateway;

const issuer = (more: object = {}) => ({ name: 'corp', issuer: oidc.issuer, ...more });
const config = (auth: object = {}, more: object = {}): ConfigInput => ({
  servers: [upstream.entry('one'), upstream.entry('two')],
  mcp: { auth: { issuers: [issuer()], scopes: ['read'], ...auth } },
  ...more,
});

beforeAll(async () => {
  upstream = await createUpstream({ tools: [tool('echo')] });
  oidc = await startOidc({ opaque: ['/servers/two/mcp'] });
  atEnd(() => {
    oidc.close();
  });
  running = await startGateway(config());
  await until(async () => (await running.metric('mcpstead_auth_issuer_up{issuer="corp"}')) === 1);
});

async function json(url: string, init?: RequestInit): Promise<Record<string, string>> {
  return (await (await fetch(url, init)).json()) as Record<string, string>;
}

/** A token of the issuer for a machine. */
async function tokenFor(resource: string, from: Oidc = oidc): Promise<string> {
  const answer = await json(`${from.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa('machine:machine-secret')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource, scope: 'read' }),
  });
  return answer['access_token'] as string;
}

/** A token that the issuer could have signed. */
async function signed(
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({
    iss: oidc.issuer,
    aud: running.url,
    sub: 'forged',
    iat: now,
    exp: now + 60,
    ...claims,
  })
    .setProtectedHeader({ alg: 'RS256', kid: 'one', ...header })
    .sign(await importJWK(oidc.privateKey, 'RS256'));
}

const status = async (url: string, token: string): Promise<number> =>
  (await post(url, ping, bearer(token))).status;

describe('a token of a real issuer', () => {
  it('opens a session and calls tools, and is not passed on', async () => {
    const session = await openSession(running.url, { headers: bearer(await tokenFor(running.url)) });
    expect(textOf(await callTool(running.url, 'one__echo', { a: 1 }, session))).toBe('{"a":1}');
    expect(upstream.calls('echo').at(-1)?.headers.authorization).toBeUndefined();
  });

  it('is for its route: elsewhere it is 401, also once it was seen', async () => {
    const [merged, one] = [await tokenFor(running.url), await tokenFor(running.server('one'))];
    expect(await status(running.url, merged)).toBe(200);
    const refused = await post(running.server('one'), ping, bearer(merged));
    expect([refused.status, reasonOf(refused.headers['www-authenticate'])]).toEqual([401, 'wrong audience']);
    expect(refused.json().error).toEqual({ code: -32000, message: 'unauthorized: invalid token' });
    expect(await status(running.server('one'), one)).toBe(200);
    expect(await status(running.url, one)).toBe(401);
  });

  it.each<[string, Record<string, unknown>, Record<string, unknown>, string]>([
    ['an ID token', { aud: 'machine' }, {}, 'wrong audience'],
    ['a bound token', { cnf: { jkt: 'x' } }, {}, 'bound token'],
    ['an expired token', { exp: 1_700_000_000 }, {}, 'expired'],
    ['a token with crit', {}, { crit: ['b64'], b64: true }, 'bad format'],
    ['a token of an unknown key', {}, { kid: 'two' }, 'bad signature'],
  ])('%s is 401', async (_what, claims, header, reason) => {
    const answer = await post(running.url, ping, bearer(await signed(claims, header)));
    expect([answer.status, reasonOf(answer.headers['www-authenticate'])]).toEqual([401, reason]);
    expect(
      await running.metric(`mcpstead_mcp_auth_failures_total{reason="${reason.replace(' ', '_')}"}`),
    ).toBeGreaterThan(0);
  });

  it('continues a session that another token of the same person opened', async () => {
    const session = await openSession(running.url, {
      headers: bearer(await signed({ sub: 'ada', jti: '1' })),
    });
    const next = bearer(await signed({ sub: 'ada', jti: '2' }));
    expect((await post(running.url, ping, { ...session, ...next })).status).toBe(200);
    const other = bearer(await signed({ sub: 'bob' }));
    expect((await post(running.url, ping, { ...session, ...other })).status).toBe(404);
  });

  it('is verified with the kept keys while the issuer is down; without keys it is 503', async () => {
    const token = await tokenFor(running.url);
    oidc.down();
    try {
      expect(await status(running.url, token)).toBe(200);
      const fresh = await startGateway(config({}, { http: { public_url: running.base } }));
      const answer = await post(fresh.url, ping, bearer(token));
      expect([answer.status, answer.headers['retry-after']]).toEqual([503, '5']);
      expect(answer.headers['www-authenticate']).toBeUndefined();
      expect(await fresh.metric('mcpstead_auth_issuer_up{issuer="corp"}')).toBe(0);
    } finally {
      oidc.up();
    }
  });

  it('of a removed issuer ends its session, and the reload keeps the keys of one that stays', async () => {
    const own = await startGateway(config());
    const token = await tokenFor(own.url);
    const session = await openSession(own.url, { headers: bearer(token) });
    const before = oidc.asked.filter((path) => path === '/jwks').length;
    await own.gateway.reload(config({ scopes: ['write'] }));
    expect((await post(own.url, ping, session)).status).toBe(200);
    expect(oidc.asked.filter((path) => path === '/jwks')).toHaveLength(before);
    const key = { name: 'ci', sha256: ['A'.repeat(43)] };
    await own.gateway.reload(config({ issuers: [], keys: [key] }));
    expect((await post(own.url, ping, session)).status).toBe(401);
    expect(await own.metric('mcpstead_downstream_session_terminations_total{reason="auth_changed"}')).toBe(1);
  });

  it('that is opaque is introspected', async () => {
    const introspection = { client_id: 'gateway', secret_file: await tempFile('secret', 'gateway-secret\n') };
    const own = await startGateway(
      config({ issuers: [issuer({ introspection, claims: { id: 'client_id' } })] }),
    );
    const token = await tokenFor(own.server('two'));
    expect(token).not.toContain('.');
    expect(await status(own.server('two'), token)).toBe(200);
    expect(await status(own.server('one'), token)).toBe(401);
    const asked = oidc.asked.filter((path) => path === '/token/introspection').length;
    expect(await status(own.server('two'), token)).toBe(200);
    expect(oidc.asked.filter((path) => path === '/token/introspection')).toHaveLength(asked);
    const wrong = await post(own.server('two'), ping, bearer('unheard-of'));
    expect([wrong.status, reasonOf(wrong.headers['www-authenticate'])]).toEqual([401, 'inactive']);
  });
});

describe('the metadata', () => {
  it.each(['/mcp', '/servers/one/mcp', '/servers/nobody/mcp', '/sse'])(
    'of %s is named by its challenge, and open to every page',
    async (path) => {
      const { headers } = await post(running.base + path, ping);
      const challenge = `Bearer resource_metadata="${running.base}${WELL_KNOWN}${path}", scope="read"`;
      expect(headers['www-authenticate']).toBe(challenge);
      const elsewhere = { origin: 'https://evil.example' };
      const answer = await send(running.base + WELL_KNOWN + path, undefined, { headers: elsewhere });
      expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([200, '*']);
      expect(answer.json()).toEqual({
        resource: running.base + path,
        authorization_servers: [oidc.issuer],
        scopes_supported: ['read'],
        bearer_methods_supported: ['header'],
        resource_name: 'mcpstead',
      });
    },
  );

  it('is under a prefix with and without it', async () => {
    const own = await startGateway(config({}, { http: { public_url: 'https://gw.example/pre' } }));
    for (const path of ['/pre/servers/one/mcp', '/servers/one/mcp'])
      expect((await send(own.base + WELL_KNOWN + path)).json()).toMatchObject({
        resource: 'https://gw.example/pre/servers/one/mcp',
      });
    expect((await post(own.url, ping)).headers['www-authenticate']).toBe(
      `Bearer resource_metadata="https://gw.example${WELL_KNOWN}/pre/mcp", scope="read"`,
    );
    const rebound = await send(own.base + WELL_KNOWN, undefined, { headers: { host: 'evil.example' } });
    expect(rebound.json()).toMatchObject({ resource: 'https://gw.example/pre/mcp' });
  });

  it('answers a preflight, and no other method', async () => {
    const url = `${running.base}${WELL_KNOWN}/mcp`;
    const preflight = await send(url, undefined, {
      method: 'OPTIONS',
      headers: { origin: 'https://a.example' },
    });
    expect([preflight.status, preflight.headers['access-control-allow-headers']]).toEqual([
      204,
      'Accept, Authorization, Content-Type, MCP-Protocol-Version',
    ]);
    expect((await send(url, undefined, { method: 'HEAD' })).status).toBe(200);
    expect((await send(url, undefined, { method: 'DELETE' })).status).toBe(405);
    expect((await send(`${running.base}${WELL_KNOWN}/other`)).status).toBe(404);
    expect((await send(`${running.base}/register`, '{}', { method: 'POST' })).status).toBe(404);
  });
});

interface Transport {
  finishAuth(code: string, iss?: string): Promise<void>;
}

const info = { name: 'test', version: '0' };
const sdks: [
  string,
  string,
  (url: string, provider: object) => { transport: Transport; connect: () => Promise<string[]> },
][] = [
  [
    'SDK v1',
    '/mcp',
    (url, provider) => {
      const transport = new HttpV1(new URL(url), { authProvider: provider as never });
      const client = new ClientV1(info);
      atEnd(() => client.close());
      const connect = async () => {
        await client.connect(transport);
        return (await client.listTools()).tools.map(({ name }) => name);
      };
      return { transport, connect };
    },
  ],
  [
    'SDK v1 over HTTP+SSE',
    '/sse',
    (url, provider) => {
      const transport = new SseV1(new URL(url), { authProvider: provider as never });
      const client = new ClientV1(info);
      atEnd(() => client.close());
      const connect = async () => {
        await client.connect(transport);
        return (await client.listTools()).tools.map(({ name }) => name);
      };
      return { transport, connect };
    },
  ],
  [
    'SDK v2',
    '/servers/one/mcp',
    (url, provider) => {
      const transport = new HttpV2(new URL(url), { authProvider: provider as never });
      const client = new ClientV2(info, { versionNegotiation: { mode: 'auto' } });
      atEnd(() => client.close());
      const connect = async () => {
        await client.connect(transport);
        return (await client.listTools()).tools.map(({ name }) => name);
      };
      return { transport, connect };
    },
  ],
];

describe.each(sdks)('%s', (_name, path, open) => {
  it('logs in at the issuer that the gateway names, for the resource that it names', async () => {
    const url = running.base + path;
    const { kept, provider } = application();
    const first = open(url, provider);
    await expect(first.connect()).rejects.toThrow(/unauthorized/i);
    expect(kept.at?.origin).toBe(oidc.issuer);
    expect(kept.at?.searchParams.get('resource')).toBe(url);
    expect(kept.at?.searchParams.get('scope')).toContain('read');
    const back = await browse(kept.at as URL, REDIRECT);
    const [code, iss] = ['code', 'iss'].map((name) => back.searchParams.get(name) as string);
    await first.transport.finishAuth(code as string, iss);
    expect(kept.tokens?.access_token).toMatch(/^eyJ/);
    const names = await open(url, provider).connect();
    expect(names).toContain(path.includes('one') ? 'echo' : 'one__echo');
  });

  it('shows that OAuth is off where it is', async () => {
    const own = await startGateway(
      { servers: [upstream.entry('one')], mcp: { auth: { mode: 'bearer' as const } } },
      { env: { MCPSTEAD_BEARER_TOKEN: 'contract' } },
    );
    const { kept, provider } = application();
    await expect(open(own.base + path, provider).connect()).rejects.toThrow(
      'OAuth is off here: send Authorization: Bearer <key>',
    );
    expect(kept.at).toBeUndefined();
  });
});
