/** A gateway in front of servers that know 2026-07-28 alone: what operators see of them, and what they are asked. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { tool } from '../fixtures/servers/http-upstream.js';
import { startGateway } from '../helpers/gateway.js';
import { callTool, post, textOf } from '../helpers/http.js';
import { call } from '../helpers/modern.js';
import { until } from '../helpers/wait.js';
import { createModernUpstream, REVISION } from './upstream/modern-server.js';

const MODERN = fileURLToPath(new URL('../fixtures/servers/modern.mjs', import.meta.url));
const quick = { reconnect: { backoff_base_ms: 10, backoff_max_ms: 20 } };

describe('a modern upstream', () => {
  it('is shown with its era and its revision, over HTTP and over stdio', async () => {
    const upstream = await createModernUpstream({ tools: [tool('t')] });
    const running = await startGateway({
      servers: [
        upstream.entry('http'),
        { name: 'stdio', command: process.execPath, args: [MODERN, 'stdio'] },
      ],
    });
    const { servers } = (await running.health()) as unknown as { servers: object[] };
    expect(servers).toMatchObject([
      { name: 'http', era: 'modern', revision: REVISION, tools_count: 1 },
      { name: 'stdio', era: 'modern', revision: REVISION },
    ]);
    const { result } = await callTool(running.url, 'http__t', { a: 1 });
    expect(result?.['content']).toEqual([{ type: 'text', text: '{"a":1}' }]);
  });

  it('is probed once, however many calls and clients there are', async () => {
    const upstream = await createModernUpstream({ tools: [tool('t')] });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    await Promise.all(Array.from({ length: 20 }, () => callTool(running.url, 's__t')));
    expect(upstream.calls().length).toBe(20);
    expect(upstream.received('server/discover').length).toBe(1);
    // For its legacy clients: it refuses that, and is not asked again.
    expect(upstream.received('initialize')).toHaveLength(1);
    expect(upstream.received('subscriptions/listen').length).toBe(1);
  });

  it('that is gone and comes back is asked again, and its lists with it', async () => {
    const upstream = await createModernUpstream({ tools: [tool('t')] });
    const running = await startGateway({ servers: [upstream.entry('s', quick)] });
    await upstream.stop();
    const failed = await callTool(running.url, 's__t');
    expect(failed.error).toBeDefined();
    upstream.options.tools = [tool('u')];
    await upstream.start();
    await until(async () => {
      const listed = await post(running.url, { jsonrpc: '2.0', id: 1, method: 'tools/list' });
      return listed.text.includes('s__u');
    });
  });

  it('that asks is answered, its pings with {}, and its call goes on', async () => {
    const upstream = await createModernUpstream({
      tools: [tool('t')],
      onCall: async (call) => {
        const [pinged, asked] = [
          await call.ask('ping', {}),
          await call.ask('elicitation/create', { message: 'who?', requestedSchema: { type: 'object' } }),
        ];
        call.text(JSON.stringify([pinged.result, asked.error?.code]));
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    expect(textOf(await callTool(running.url, 's__t'))).toBe('[{},-32601]');
    expect(textOf(await call(running.url, 's__t'))).toBe('[{},-32601]');
    const answers = upstream.requests.filter(({ message }) => message.method === undefined);
    expect(answers.map(({ headers }) => headers['mcp-protocol-version'])).toEqual(
      Array(4).fill('2026-07-28'),
    );
  });

  it('does not keep a gateway from closing', async () => {
    const upstream = await createModernUpstream({ tools: [tool('t')] });
    const running = await startGateway({
      mcp: { session: { shutdown_grace_seconds: 300 } },
      servers: [upstream.entry('s'), { name: 'stdio', command: process.execPath, args: [MODERN, 'stdio'] }],
    });
    await running.gateway.close();
    await until(() => upstream.abandoned === 1);
  });
});
