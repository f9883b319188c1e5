import { describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call } from '../fixtures/servers/http-upstream.js';
import { startGateway } from '../helpers/gateway.js';
import { JSON_ONLY, send, SSE_ONLY, textOf } from '../helpers/http.js';
import { ask, call, EVERYTHING, needs, stream } from '../helpers/modern.js';
import { sleep, until } from '../helpers/wait.js';

const able = { capabilities: EVERYTHING };
const form = { message: 'Name?', requestedSchema: { type: 'object', properties: {} } };

const behaviours: Record<string, (asked: Call) => unknown> = {
  tells(asked) {
    asked.progress(1);
    asked.log('hello', 'error');
    asked.text('done');
  },
  async asks(asked) {
    await asked.ask('elicitation/create', form);
    asked.text('done');
  },
  fails(asked) {
    asked.error(-32601, 'no such thing');
  },
  async late(asked) {
    await sleep(400);
    asked.text('done');
  },
};

async function stage() {
  const upstream = await createUpstream({
    tools: Object.keys(behaviours).map((name) => tool(name)),
    onCall: (asked) => behaviours[asked.params.name ?? '']?.(asked),
  });
  const running = await startGateway({
    http: { stream_after_ms: 100 },
    servers: [upstream.entry('s')],
  });
  return { upstream, running, url: running.server('s') };
}

describe('a modern client that takes only JSON', () => {
  const more = { ...able, logLevel: 'debug', meta: { progressToken: 1 }, headers: JSON_ONLY };

  it('gets JSON, whatever comes before the answer and however long it takes', async () => {
    const { url } = await stage();
    for (const name of ['tells', 'late']) {
      const answer = await ask(url, 'tools/call', { name, arguments: {} }, more);
      expect(answer.headers['content-type']).toBe('application/json');
      expect(textOf(answer.json())).toBe('done');
    }
    const refused = await ask(url, 'tools/call', { name: 'fails', arguments: {} }, more);
    expect([refused.status, refused.json().error?.code]).toEqual([404, -32601]);
  });

  it('is asked all the same: that takes no stream', async () => {
    const { url } = await stage();
    const answer = await ask(url, 'tools/call', { name: 'asks', arguments: {} }, more);
    expect(answer.headers['content-type']).toBe('application/json');
    const { requestState } = needs(answer.json());
    const inputResponses = { q1: { action: 'decline' } };
    const again = await call(url, 'asks', {}, { ...more, more: { requestState, inputResponses } });
    expect(textOf(again)).toBe('done');
  });

  it('hears changes on a stream', async () => {
    const { url } = await stage();
    const told = await stream(
      url,
      'subscriptions/listen',
      { notifications: { toolsListChanged: true } },
      { headers: JSON_ONLY },
    );
    expect(told.headers['content-type']).toBe('text/event-stream');
    await told.message();
  });
});

describe('a modern client that takes only event streams', () => {
  it('gets one', async () => {
    const { url } = await stage();
    const answer = await ask(url, 'tools/call', { name: 'late', arguments: {} }, { headers: SSE_ONLY });
    expect(answer.headers['content-type']).toBe('text/event-stream');
    expect(answer.text).toContain('done');
    const list = await ask(url, 'tools/list', {}, { headers: SSE_ONLY });
    expect(list.headers['content-type']).toBe('text/event-stream');
  });
});

describe('methods of HTTP', () => {
  it('other than POST are refused under a modern revision', async () => {
    const { url } = await stage();
    const headers = { 'mcp-protocol-version': '2026-07-28' };
    for (const method of ['GET', 'DELETE', 'HEAD', 'PUT']) {
      const answer = await send(url, undefined, { method, headers });
      expect([method, answer.status, answer.headers['allow']]).toEqual([method, 405, 'POST, OPTIONS']);
    }
    expect((await send(url, undefined, { method: 'OPTIONS', headers })).status).toBe(204);
  });
});

describe('a gateway that is closed', () => {
  it('parks no more calls: what is asked now is refused, and the call ends with what comes of that', async () => {
    let go: (() => void) | undefined;
    const upstream = await createUpstream({
      tools: [tool('asks')],
      answer: 'sse',
      async onCall(asked) {
        asked.open();
        await new Promise<void>((resolve) => (go = resolve));
        const { error } = await asked.ask('elicitation/create', form);
        asked.text(String(error?.code));
      },
    });
    const running = await startGateway({
      mcp: { session: { shutdown_grace_seconds: 300 } },
      servers: [upstream.entry('s')],
    });
    const answer = call(running.server('s'), 'asks', {}, able);
    await until(() => go !== undefined, 'the call');
    const closed = running.gateway.close();
    await until(async () => (await send(`${running.base}/ready`)).status === 503, 'the end to begin');
    go?.();
    expect(textOf(await answer)).toBe('-32603');
    await closed;
  });
});
