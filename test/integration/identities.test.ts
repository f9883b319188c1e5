/** Keys, users of a proxy and wrong credentials, over real sockets. */
import { request } from 'node:http';
import { beforeAll, describe, expect, it } from 'vitest';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import type { ConfigInput } from '../../src/index.js';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { startGateway } from '../helpers/gateway.js';
import { openSession, openSse, post, send, type Headers } from '../helpers/http.js';

const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const [KEY, NEXT, OTHER] = [createApiKey(), createApiKey(), createApiKey()];

let upstream: Upstream;
beforeAll(async () => {
  upstream = await createUpstream({ tools: [tool('echo')] });
});

const config = (auth: object): ConfigInput => ({
  servers: [upstream.entry('one')],
  mcp: { auth },
  metrics: { enabled: true },
});
const key = (name: string, ...keys: string[]) => ({ name, sha256: keys.map(hashApiKey) });

describe('a key', () => {
  it('is enough to start, and a second hash lets it be rotated without losing the session', async () => {
    const own = await startGateway(config({ keys: [key('ci', KEY)] }));
    const session = await openSession(own.url, { headers: bearer(KEY) });
    await own.gateway.reload(config({ keys: [key('ci', KEY, NEXT)] }));
    expect((await post(own.url, ping, { ...session, ...bearer(NEXT) })).status).toBe(200);
    await own.gateway.reload(config({ keys: [key('ci', NEXT)] }));
    expect((await post(own.url, ping, { ...session, ...bearer(NEXT) })).status).toBe(200);
    expect((await post(own.url, ping, session)).status).toBe(401);
  });

  it('that is revoked ends its sessions and streams, and no others', async () => {
    const own = await startGateway(config({ keys: [key('a', KEY), key('b', OTHER)] }));
    const [a, b] = await Promise.all(
      [KEY, OTHER].map((each) => openSession(own.url, { headers: bearer(each) })),
    );
    const [streamA, streamB] = await Promise.all([a, b].map((each) => openSse(own.url, undefined, each)));
    await own.gateway.reload(config({ keys: [{ ...key('a', KEY), disabled: true }, key('b', OTHER)] }));
    await streamA?.done();
    expect(streamB?.ended).toBe(false);
    const answer = await post(own.url, ping, a);
    expect(answer.json().error).toEqual({ code: -32000, message: 'unauthorized: unknown key' });
    expect(answer.headers['www-authenticate']).toBe('Bearer');
    expect((await post(own.url, ping, b)).status).toBe(200);
    expect(await own.metric('mcpstead_downstream_session_terminations_total{reason="auth_changed"}')).toBe(1);
  });

  it('does not open the session of another one', async () => {
    const own = await startGateway(config({ keys: [key('a', KEY), key('b', OTHER)] }));
    const session = await openSession(own.url, { headers: bearer(KEY) });
    expect((await post(own.url, ping, { ...session, ...bearer(OTHER) })).status).toBe(404);
  });
});

describe('wrong credentials', () => {
  it('are 429 with Retry-After beyond twenty, and keep nobody out who has a right one', async () => {
    const own = await startGateway(config({ keys: [key('ci', KEY)] }));
    // One each second comes back while they are sent.
    let answer = await post(own.url, ping, bearer(OTHER));
    for (let i = 0; i < 1000 && answer.status === 401; i++) answer = await post(own.url, ping, bearer(OTHER));
    expect([answer.status, answer.headers['retry-after'], answer.headers['www-authenticate']]).toEqual([
      429,
      '1',
      undefined,
    ]);
    expect(answer.json().error).toEqual({
      code: -32000,
      message: 'too many wrong credentials from this address: try again in 1 s',
      data: { retryAfter: 1 },
    });
    expect((await post(own.url, ping, bearer(KEY))).status).toBe(200);
    expect((await post(own.url, ping)).status).toBe(401);
    expect(await own.metric('mcpstead_mcp_auth_failures_total{reason="too_many"}')).toBe(1);
  });
});

describe('a user of a proxy', () => {
  const proxy = (address: string) => ({ proxy: { addresses: [address], user: 'X-Forwarded-User' } });
  const status = (url: string, ...raw: string[]): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify(ping);
      const headers = ['Host', new URL(url).host, 'Content-Type', 'application/json', ...raw];
      const req = request(url, {
        method: 'POST',
        agent: false,
        headers: [...headers, 'Content-Length', `${body.length}`],
      });
      req.on('response', (res) => {
        res.resume();
        resolve(res.statusCode);
      });
      req.on('error', reject);
      req.end(body);
    });

  it('is admitted by a listed address, and a header that is sent twice is not', async () => {
    const own = await startGateway(config(proxy('127.0.0.0/8')));
    expect(await status(own.url, 'X-Forwarded-User', 'alice')).toBe(200);
    expect(await status(own.url, 'X-Forwarded-User', 'alice', 'x-forwarded-user', 'alice')).toBe(401);
    expect(await own.metric('mcpstead_mcp_auth_failures_total{reason="bad_proxy"}')).toBe(1);
    expect(await status(own.url)).toBe(401);
  });

  it('is not admitted by another address', async () => {
    const own = await startGateway(config(proxy('10.0.0.0/8')));
    expect(await status(own.url, 'X-Forwarded-User', 'alice')).toBe(401);
    expect(await own.metric('mcpstead_mcp_auth_failures_total{reason="missing_header"}')).toBe(1);
  });
});

it('POST /register says how to authenticate where OAuth is off, and nothing where everybody is admitted', async () => {
  const own = await startGateway(config({ keys: [key('ci', KEY)] }));
  const answer = await send(`${own.base}/register`, '{}', { method: 'POST' });
  expect([answer.status, answer.json()]).toEqual([
    404,
    { error: 'invalid_request', error_description: 'OAuth is off here: send Authorization: Bearer <key>' },
  ]);
  expect((await send(`${own.base}/.well-known/oauth-protected-resource/mcp`)).status).toBe(404);
  const open = await startGateway({ servers: [] });
  expect((await send(`${open.base}/register`, '{}', { method: 'POST' })).json().error?.code).toBe(-32000);
});
