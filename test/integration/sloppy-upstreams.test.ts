/** Servers that a direct client gets on with, through the gateway: what they leave out, or say otherwise. */
import { describe, expect, test } from 'vitest';
import {
  createUpstream,
  tool,
  type Upstream,
  type UpstreamOptions,
} from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { callTool, textOf } from '../helpers/http.js';
import { connect } from '../helpers/legacy.js';
import { answerTo } from '../helpers/modern.js';
import { until } from '../helpers/wait.js';

const quick = { reconnect: { backoff_base_ms: 10, backoff_max_ms: 20 } };

async function behind(
  options: UpstreamOptions,
  more: object = {},
): Promise<{ upstream: Upstream; gateway: RunningGateway }> {
  const upstream = await createUpstream({ tools: [tool('t')], sessions: true, ...options });
  return { upstream, gateway: await startGateway({ servers: [upstream.entry('s', { ...quick, ...more })] }) };
}

describe('a list that a server has but does not declare', () => {
  const hidden = (options: UpstreamOptions = {}): UpstreamOptions => ({
    capabilities: { tools: {} },
    onRequest: (call) => {
      if (call.message.method !== 'prompts/list') return false;
      call.result({ prompts: [{ name: 'p' }] });
      return true;
    },
    ...options,
  });

  test('is asked for once on the route of its server, after a client asked for it, and declared then', async () => {
    const { upstream, gateway } = await behind(hidden());
    const all = await connect(gateway.url);
    expect(await all.list('prompts/list', 'prompts')).toEqual([]);
    expect(upstream.received('prompts/list')).toHaveLength(0);
    const client = await connect(gateway.server('s'));
    expect(client.greeting['capabilities']).not.toHaveProperty('prompts');
    expect(await client.list('prompts/list', 'prompts')).toMatchObject([{ name: 'p' }]);
    const asked = upstream.received('prompts/list').length;
    expect(await client.list('prompts/list', 'prompts')).toMatchObject([{ name: 'p' }]);
    expect((await answerTo(gateway.server('s'), 'prompts/list')).result?.['prompts']).toMatchObject([
      { name: 'p' },
    ]);
    expect(upstream.received('prompts/list')).toHaveLength(asked);
    expect((await connect(gateway.server('s'))).greeting['capabilities']).toHaveProperty('prompts');
    expect(await all.list('prompts/list', 'prompts')).toMatchObject([{ name: 's__p' }]);
  });

  test('that it answers with an error is none, and not asked for again', async () => {
    const { upstream, gateway } = await behind({ capabilities: { tools: {} } });
    const client = await connect(gateway.server('s'));
    for (let i = 0; i < 3; i++) expect(await client.list('resources/list', 'resources')).toEqual([]);
    expect(upstream.received('resources/list')).toHaveLength(1);
  });
});

describe('server/discover that is answered with', () => {
  test.each([500, 403, 401])('%i: initialize is tried, and what it reached is not kept', async (status) => {
    let knows = false;
    const { upstream, gateway } = await behind(
      {
        onHttp: (received, res) => {
          if (received.message.method !== 'server/discover') return false;
          if (knows)
            res.writeHead(404, { 'content-type': 'application/json' }).end(NOT_FOUND(received.message.id));
          else res.writeHead(status).end('no');
          return true;
        },
      },
      { tools: { ttl_seconds: 1 } },
    );
    expect(textOf(await callTool(gateway.url, 's__t', { a: 1 }))).toBe('{"a":1}');
    const asked = upstream.received('server/discover').length;
    // At each refresh, until it says what it speaks.
    await until(() => upstream.received('server/discover').length >= asked + 2);
    knows = true;
    const before = upstream.received('server/discover').length;
    await until(() => upstream.received('server/discover').length > before);
    const now = upstream.received('server/discover').length;
    const lists = upstream.received('tools/list').length;
    await until(() => upstream.received('tools/list').length >= lists + 2);
    expect(upstream.received('server/discover')).toHaveLength(now);
    expect(upstream.received('initialize')).toHaveLength(1);
  });

  test('401, as everything is: both errors are one where they are the same', async () => {
    const upstream = await createUpstream({
      onHttp: (_received, res) => {
        res.writeHead(401).end('no');
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s', quick)] }, { wait: [] });
    const error = await until(async () => (await gateway.health()).servers[0]?.last_error);
    expect(error).toContain('401');
    expect(error).not.toContain('and to initialize');
  });

  test('500, and initialize with 503: both are told', async () => {
    const upstream = await createUpstream({
      onHttp: (received, res) => {
        res.writeHead(received.message.method === 'initialize' ? 503 : 500).end('no');
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s', quick)] }, { wait: [] });
    const error = await until(async () => (await gateway.health()).servers[0]?.last_error);
    expect(error).toMatch(/500.*\(and to initialize: .*503/);
  });
});

const NOT_FOUND = (id: unknown): string =>
  JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } });
