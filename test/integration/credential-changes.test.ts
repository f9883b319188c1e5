/** What a reload changes about the holder of a credential, while he is connected. */
import { request } from 'node:http';
import { beforeAll, describe, expect, it } from 'vitest';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import type { ConfigInput } from '../../src/index.js';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { callBody, MCP_HEADERS, message, openSession, openSse, post, type Headers } from '../helpers/http.js';
import { ask, REVISION, stream } from '../helpers/modern.js';
import { until } from '../helpers/wait.js';

const [KEY, NEXT] = [createApiKey(), createApiKey()];
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };

let upstream: Upstream;
beforeAll(async () => {
  upstream = await createUpstream({ tools: [tool('echo'), tool('write')] });
});

interface Entry {
  groups?: string[];
  keys?: string[];
  disabled?: boolean;
  expires?: string;
  profile?: string;
}

const config = ({ keys = [KEY], ...more }: Entry): ConfigInput => ({
  servers: [upstream.entry('one')],
  metrics: { auth: 'none' },
  mcp: { auth: { keys: [{ name: 'ci', sha256: keys.map(hashApiKey), ...more }], keys_file: undefined } },
  profiles: [{ name: 'small', allow: [{ tools: ['echo'] }] }],
  policy: {
    rules: [
      { name: 'all', allow: [{ tools: ['echo'] }] },
      { name: 'writers', who: { groups: ['writers'] }, allow: [{ tools: ['write'] }] },
    ],
  },
});

async function start(from: ConfigInput): Promise<RunningGateway> {
  const own = await startGateway(from, { wait: [] });
  await until(() => own.gateway.health().servers.every(({ connected }) => connected));
  return own;
}

const toolsIn = (text: string): string[] =>
  [...text.matchAll(/"name":"one__(\w+)"/g)].map(([, name = '']) => name);

/** A POST whose body is not complete. */
function pending(url: string, body: object, headers: Headers) {
  const text = JSON.stringify(body);
  const sent = request(url, {
    method: 'POST',
    agent: false,
    headers: { ...MCP_HEADERS, ...headers, 'content-length': text.length },
  });
  const answer = new Promise<{ status: number; text: string }>((resolve, reject) => {
    sent.on('error', reject);
    sent.on('response', (res) => {
      let all = '';
      res.setEncoding('utf8').on('data', (part: string) => (all += part));
      res.on('end', () => resolve({ status: res.statusCode ?? 0, text: all }));
    });
  });
  sent.write(text.slice(0, 1));
  return {
    answer,
    finish: () => void sent.end(text.slice(1)),
  };
}

/** Requests of the main port that have been authenticated. */
const admitted = (own: RunningGateway): Promise<number> =>
  own.metric('mcpstead_mcp_auth_attempts_total{result="success"}');

describe('groups of a key that a reload changes', () => {
  it('count for a listen stream without another request of its client', async () => {
    const own = await start(config({ groups: ['writers'] }));
    const listening = await stream(
      own.url,
      'subscriptions/listen',
      { notifications: { toolsListChanged: true } },
      { headers: bearer(KEY) },
    );
    await listening.next();
    await own.gateway.reload(config({ groups: [] }));
    expect((await listening.next()).data).toContain('notifications/tools/list_changed');
    const listed = await ask(own.url, 'tools/list', {}, { headers: bearer(KEY) });
    expect(toolsIn(listed.text)).toEqual(['echo']);
  });

  it('count for a session that is told on its stream', async () => {
    const own = await start(config({ groups: [] }));
    const session = await openSession(own.url, { headers: bearer(KEY) });
    const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
    expect(toolsIn((await post(own.url, list, session)).text)).toEqual(['echo']);
    const events = await openSse(own.url, undefined, session);
    await own.gateway.reload(config({ groups: ['writers'] }));
    expect((await events.next()).data).toContain('notifications/tools/list_changed');
    expect(toolsIn((await post(own.url, list, session)).text)).toEqual(['echo', 'write']);
  });

  it('count for a call whose body comes afterwards', async () => {
    const own = await start(config({ groups: ['writers'] }));
    const session = await openSession(own.url, { headers: bearer(KEY) });
    const before = await admitted(own);
    const call = pending(own.url, callBody('one__write'), session);
    await until(async () => (await admitted(own)) > before);
    await own.gateway.reload(config({ groups: [] }));
    call.finish();
    expect((await call.answer).text).toContain("unknown tool 'one__write'");
    expect(upstream.received('tools/call')).toHaveLength(0);
  });
});

it('a key that a reload confines to a profile loses its sessions and streams elsewhere', async () => {
  const own = await start(config({}));
  const session = await openSession(own.url, { headers: bearer(KEY) });
  const listening = await stream(
    own.url,
    'subscriptions/listen',
    { notifications: { toolsListChanged: true } },
    { headers: bearer(KEY) },
  );
  await own.gateway.reload(config({ profile: 'small' }));
  await listening.done();
  expect((await post(own.url, ping, session)).status).toBe(404);
});

describe('a key that is withdrawn while the body of a request is on its way', () => {
  it.each([
    ['a modern call', {}],
    ['initialize', undefined],
  ])('is not good for it: %s', async (_what, params) => {
    const own = await start(config({ groups: ['writers'] }));
    const body = params
      ? {
          ...callBody('one__echo'),
          params: {
            name: 'one__echo',
            arguments: {},
            _meta: {
              'io.modelcontextprotocol/protocolVersion': REVISION,
              'io.modelcontextprotocol/clientCapabilities': {},
            },
          },
        }
      : { ...ping, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {} } };
    const headers = params
      ? { 'mcp-protocol-version': REVISION, 'mcp-method': 'tools/call', 'mcp-name': 'one__echo' }
      : {};
    const before = await admitted(own);
    const sent = pending(own.url, body, { ...headers, ...bearer(KEY) });
    await until(async () => (await admitted(own)) > before);
    await own.gateway.reload(config({ disabled: true }));
    sent.finish();
    const { status, text } = await sent.answer;
    expect([status, text]).toEqual([401, expect.stringContaining('the credential was withdrawn')]);
    expect(upstream.received('tools/call')).toHaveLength(0);
  });
});

it('HTTP+SSE goes by the newest key that its client showed', async () => {
  const own = await start(config({ keys: [KEY, NEXT] }));
  const events = await openSse(`${own.base}/sse`, undefined, bearer(KEY));
  const endpoint = new URL((await events.next()).data, own.base).href;
  const params = { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'x', version: '1' } };
  await post(endpoint, { ...ping, method: 'initialize', params }, bearer(KEY));
  await events.next();
  expect((await post(endpoint, ping, bearer(NEXT))).status).toBe(202);
  await events.next();
  // The key that opened the stream goes, the session stays.
  await own.gateway.reload(config({ keys: [NEXT] }));
  expect((await post(endpoint, ping, bearer(NEXT))).status).toBe(202);
  expect((await events.next()).data).toBe('{"jsonrpc":"2.0","id":1,"result":{}}');
});

it('says that a key has expired', async () => {
  const own = await start(config({ expires: '2020-01-01' }));
  const answer = message(await post(own.url, ping, bearer(KEY)));
  expect(answer.error).toEqual({ code: -32000, message: 'unauthorized: expired' });
});
