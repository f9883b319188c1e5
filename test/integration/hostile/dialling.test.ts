/** What a server says at the handshake, and how often it is dialled. */
import { describe, expect, test } from 'vitest';
import { createUpstream, tool } from '../../fixtures/servers/http-upstream.js';
import { startGateway } from '../../helpers/gateway.js';
import { callTool, openSession, textOf } from '../../helpers/http.js';
import { answerTo } from '../../helpers/modern.js';
import { until } from '../../helpers/wait.js';
import { createModernUpstream } from '../upstream/modern-server.js';
import { openLink } from '../upstream/link.js';

const deep = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;

describe('capabilities', () => {
  test('null counts as absent, in the greeting of every client', async () => {
    const capabilities = {
      tools: {},
      logging: null,
      completions: null,
      tasks: null,
      prompts: null,
      resources: null,
    };
    const legacy = await createUpstream({ tools: [tool('echo')], capabilities });
    const modern = await createModernUpstream({ tools: [tool('echo')], capabilities });
    const gateway = await startGateway({ servers: [legacy.entry('l'), modern.entry('m')] });
    for (const url of [gateway.url, gateway.server('l'), gateway.server('m')]) {
      await openSession(url);
      const { result } = await answerTo(url, 'server/discover');
      expect(Object.values(result?.['capabilities'] as object)).not.toContain(null);
    }
    expect(textOf(await callTool(gateway.url, 'l__echo', { a: 1 }))).toBe('{"a":1}');
  });

  test.each(['initialize', 'server/discover'])(
    'nested 20,000 deep they make %s unreadable',
    async (method) => {
      const bad = await createUpstream({
        onRequest: (call) => {
          if (call.message.method !== method) return false;
          const versions = '"supportedVersions":["2026-07-28"],"protocolVersion":"2025-11-25"';
          call.result(`{${versions},"capabilities":{"logging":${deep(20_000)}}}`);
          return true;
        },
      });
      const good = await createUpstream({ tools: [tool('echo')] });
      const gateway = await startGateway(
        { servers: [bad.entry('bad'), good.entry('good')] },
        { wait: ['good'] },
      );
      const error = await until(async () => (await gateway.health()).servers[0]?.last_error);
      expect(error).toContain(`answered ${method} with`);
      await openSession(gateway.url);
      expect(textOf(await callTool(gateway.url, 'good__echo', { a: 1 }))).toBe('{"a":1}');
    },
  );

  test('instructions over 1 MB make it unreadable', async () => {
    const bad = await createUpstream({ instructions: 'x'.repeat(1_100_000) });
    const gateway = await startGateway({ servers: [bad.entry('bad')] }, { wait: [] });
    const error = await until(async () => (await gateway.health()).servers[0]?.last_error);
    expect(error).toMatch(/answered initialize with \d+ bytes, more than 1048576/);
  });
});

describe('an answer that asks to wait', () => {
  test.each([
    ['with a JSON-RPC body', true],
    ['with text', false],
  ])('is heeded from a 503 %s', async (_what, rpc) => {
    const upstream = await createUpstream({
      onRequest: (call) => {
        const headers = { 'retry-after': '120' };
        call.raw(rpc ? call.envelope('error', '{"code":-32000,"message":"busy"}') : 'busy', 503, headers);
        return true;
      },
    });
    const { link } = openLink(upstream.entry('s', { reconnect: { backoff_base_ms: 1, backoff_max_ms: 2 } }));
    link.start();
    await link.settled;
    expect(link.stats.currentBackoffSeconds).toBeGreaterThanOrEqual(120);
    expect(link.stats.currentBackoffSeconds).toBeLessThanOrEqual(132);
    expect(upstream.received('server/discover')).toHaveLength(1);
  });

  test.each([
    ['0', 0],
    ['86400', 300],
  ])('never shortens the back-off, nor makes it longer than 5 min: %s', async (value, least) => {
    const upstream = await createUpstream({
      onRequest: (call) => {
        call.raw('busy', 503, { 'retry-after': value });
        return true;
      },
    });
    // Full jitter: the mean of many attempts shows what a single one cannot.
    const waits: number[] = [];
    const random = Math.random;
    Math.random = () => 1;
    try {
      const reconnect = { backoff_base_ms: 2000, backoff_max_ms: 2000 };
      const { link } = openLink(upstream.entry('s', { reconnect }));
      link.start();
      await link.settled;
      waits.push(link.stats.currentBackoffSeconds);
    } finally {
      Math.random = random;
    }
    expect(waits).toEqual([Math.max(2, least)]);
  });
});
