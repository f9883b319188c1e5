import { describe, expect, test } from 'vitest';
import { createUpstream, tool, type Call, type Upstream } from '../fixtures/servers/http-upstream.js';
import { startGateway } from '../helpers/gateway.js';
import { callBody, callTool, JSON_ONLY, message, openSse, post, textOf, beat } from '../helpers/http.js';
import { scriptedStdio } from '../helpers/upstreams.js';

const rpc = (call: Call, code: number, text: string): string =>
  call.envelope('error', JSON.stringify({ code, message: text }));
const resets = (reason: string): string =>
  `mcpstead_upstream_session_resets_total{server="s",reason="${reason}"}`;
const initialized = (upstream: Upstream): number => upstream.received('initialize').length;

/** A server that counts what it really ran. */
async function counting(onLostSession: (call: Call) => unknown) {
  let ran = 0;
  const upstream = await createUpstream({
    sessions: true,
    tools: [tool('run')],
    onLostSession,
    onCall: (call) => {
      ran++;
      call.text(`ran ${JSON.stringify(call.args)}`);
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('s')] });
  return { upstream, gateway, ran: () => ran };
}

describe('lost: the gateway initialises once and sends the request again', () => {
  const TEXTS: [string, string][] = [
    ['Unknown MCP session', 'unknown_session'],
    ['the session expired long ago', 'expired'],
    ['SESSION TERMINATED', 'terminated'],
    ['Session not found', 'unknown_session'],
    ['Bad Request: No valid session ID provided', 'unknown_session'],
  ];
  const forms: [string, (call: Call) => void, string][] = [
    ['404 with -32001', (call) => call.raw(rpc(call, -32001, 'gone'), 404), 'unknown_session'],
    ['404 without a body', (call) => call.raw('', 404), 'unknown_session'],
    [
      '404 with HTML',
      (call) => call.raw('<h1>Not Found</h1>', 404, { 'content-type': 'text/html' }),
      'unknown_session',
    ],
    ['404 with another code', (call) => call.raw(rpc(call, -32600, 'what?'), 404), 'unknown_session'],
    [
      '404 with an id of null',
      (call) => call.raw('{"jsonrpc":"2.0","error":{"code":-32001,"message":"x"},"id":null}', 404),
      'unknown_session',
    ],
    ['400 with -32001', (call) => call.raw(rpc(call, -32001, 'gone'), 400), 'unknown_session'],
    ...TEXTS.flatMap(([text, reason]): [string, (call: Call) => void, string][] => [
      [`400 with "${text}"`, (call) => call.raw(rpc(call, -32000, text), 400), reason],
      [`401 with "${text}"`, (call) => call.raw(text, 401, { 'content-type': 'text/plain' }), reason],
      [`403 with "${text}"`, (call) => call.raw(rpc(call, -32603, text), 403), reason],
      [`410 with "${text}"`, (call) => call.raw(JSON.stringify({ error: text }), 410), reason],
      [`200 with -32000 "${text}"`, (call) => call.raw(rpc(call, -32000, text)), reason],
      [`200 with -32001 "${text}"`, (call) => call.raw(rpc(call, -32001, text)), reason],
      [`200 with -32600 "${text}"`, (call) => call.raw(rpc(call, -32600, text)), reason],
      [`an event with -32000 "${text}"`, (call) => (call.event(rpc(call, -32000, text)), call.end()), reason],
    ]),
  ];

  test.each(forms)('%s', async (_form, onLostSession, reason) => {
    const { upstream, gateway, ran } = await counting(onLostSession);
    upstream.dropSessions();
    expect(textOf(await callTool(gateway.url, 's__run', { a: 1 }, JSON_ONLY))).toBe('ran {"a":1}');
    expect(ran()).toBe(1);
    expect(initialized(upstream)).toBe(2);
    expect(await gateway.metric(resets(reason))).toBe(1);
    const [first, second] = upstream.calls().map((call) => call.headers['mcp-session-id']);
    expect(first).not.toBe(second);
  });

  test('an empty line and a comment before the error in a stream are no message', async () => {
    const { upstream, gateway, ran } = await counting((call) => {
      call.write(': hello\n\nid: 1\ndata:\n\n');
      call.event(rpc(call, -32000, 'session expired'));
      call.end();
    });
    upstream.dropSessions();
    expect(textOf(await callTool(gateway.url, 's__run', { a: 1 }))).toBe('ran {"a":1}');
    expect(ran()).toBe(1);
  });

  test('over stdio an error with a session text counts too', async () => {
    const gateway = await startGateway({ servers: [scriptedStdio('s')] });
    expect(textOf(await callTool(gateway.url, 's__lost_once'))).toBe('found again');
    const lines = JSON.parse(textOf(await callTool(gateway.url, 's__received'))) as string[];
    expect(lines.filter((line) => line.includes('"initialize"')).length).toBe(2);
  });

  test('however many calls fail at once, there is one initialize', async () => {
    const { upstream, gateway, ran } = await counting((call) => {
      setTimeout(() => call.raw(rpc(call, -32001, 'Session not found'), 404), 30);
    });
    upstream.dropSessions();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => callTool(gateway.url, 's__run', { n }, JSON_ONLY)),
    );
    expect(answers.map(textOf)).toEqual(answers.map((_, n) => `ran {"n":${n}}`));
    expect(ran()).toBe(20);
    expect(initialized(upstream)).toBe(2);
    expect(await gateway.metric(resets('unknown_session'))).toBe(1);
  });

  test('a late answer about the old session does not reset the new one', async () => {
    let lost = 0;
    const { upstream, gateway, ran } = await counting((call) => {
      setTimeout(() => call.raw(rpc(call, -32001, 'Session not found'), 404), ++lost === 1 ? 0 : 400);
    });
    upstream.dropSessions();
    const answers = await Promise.all(
      [1, 2, 3].map((n) => callTool(gateway.url, 's__run', { n }, JSON_ONLY)),
    );
    expect(answers.map((answer) => answer.error)).toEqual([undefined, undefined, undefined]);
    expect(ran()).toBe(3);
    expect(initialized(upstream)).toBe(2);
  });

  test('a request is sent again once only', async () => {
    const { upstream, gateway, ran } = await counting((call) =>
      call.raw(rpc(call, -32001, 'Session not found'), 404),
    );
    upstream.dropSessions();
    upstream.sessions.add = () => upstream.sessions;
    const answer = await callTool(gateway.url, 's__run', {}, JSON_ONLY);
    expect(answer.error?.code).toSatisfy((code) => code === -32000 || code === -32001);
    expect(ran()).toBe(0);
    expect(upstream.calls().length).toBe(2);
  });
});

describe('not lost: what the server says is handed on, and nothing runs twice', () => {
  /** Every call is answered by `answer`, as if the session were fine. */
  async function answering(answer: (call: Call) => unknown, { sessions = true } = {}) {
    const upstream = await createUpstream({ sessions, tools: [tool('run')], onCall: answer });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    return { upstream, gateway };
  }

  test.each(['your login session expired', 'Session not found', 'unknown MCP session'])(
    'a tool whose own error says %j',
    async (text) => {
      for (const answer of ['json', 'sse'] as const) {
        const { upstream, gateway } = await answering((call) => {
          if (answer === 'sse') call.open();
          call.text(text, { isError: true });
        });
        const { result } = await callTool(gateway.url, 's__run', {}, JSON_ONLY);
        expect(result).toEqual({ content: [{ type: 'text', text }], isError: true });
        expect(upstream.calls().length).toBe(1);
        expect(initialized(upstream)).toBe(1);
      }
    },
  );

  test.each([
    ['-32001 alone, which SDK servers use for a time-out', -32001, 'Request timed out', undefined],
    ['a session text under another code', -32603, 'session expired', undefined],
    ['a session text under the invalid-params code', -32602, 'Session not found', undefined],
    ['a session text in data', -32000, 'failed', { reason: 'session expired' }],
  ])('%s', async (_kind, code, text, data) => {
    const { upstream, gateway } = await answering((call) => {
      call.error(code, text, data);
    });
    const { error } = await callTool(gateway.url, 's__run', {}, JSON_ONLY);
    expect(error).toEqual({ code, message: text, ...(data ? { data } : {}) });
    expect(upstream.calls().length).toBe(1);
    expect(initialized(upstream)).toBe(1);
  });

  test('an error with a session text that is not the first message of its answer', async () => {
    const { upstream, gateway } = await answering((call) => {
      call.progress(1);
      call.error(-32000, 'session expired');
    });
    const body = callBody('s__run', {}, 1, { progressToken: 't' });
    const { error } = message(await post(gateway.url, body));
    expect(error).toEqual({ code: -32000, message: 'session expired' });
    expect(upstream.calls().length).toBe(1);
    expect(initialized(upstream)).toBe(1);
  });

  test.each([
    ['401 without a session text', 401, 'token expired'],
    ['403 without a session text', 403, 'forbidden'],
    ['400 without a session text', 400, 'bad request'],
    ['500 with a session text', 500, 'session expired'],
    ['502 with a session text', 502, 'session not found'],
  ])('%s', async (_kind, status, body) => {
    const { upstream, gateway } = await answering((call) => {
      call.raw(body, status, { 'content-type': 'text/plain' });
    });
    const { error } = await callTool(gateway.url, 's__run', {}, JSON_ONLY);
    expect(error?.code).toBe(-32000);
    expect(error?.message).toContain(String(status));
    expect(upstream.calls().length).toBe(1);
    await beat(gateway.base);
    expect(initialized(upstream)).toBe(1);
  });

  test('404 to a request that carried no session id', async () => {
    const { upstream, gateway } = await answering((call) => call.raw('nothing here', 404), {
      sessions: false,
    });
    const { error } = await callTool(gateway.url, 's__run', {}, JSON_ONLY);
    expect(error?.code).toBe(-32000);
    expect(upstream.calls().length).toBe(1);
    expect(initialized(upstream)).toBe(1);
  });

  test('over stdio, the isError result of a tool', async () => {
    const gateway = await startGateway({ servers: [scriptedStdio('s')] });
    const { result } = await callTool(gateway.url, 's__is_error');
    expect(result).toMatchObject({ isError: true });
    const lines = JSON.parse(textOf(await callTool(gateway.url, 's__received'))) as string[];
    expect(lines.filter((line) => line.includes('is_error')).length).toBe(1);
    expect(lines.filter((line) => line.includes('"initialize"')).length).toBe(1);
  });
});

test('a call whose event was already seen is failed, not run again, when the session is lost under it', async () => {
  const upstream = await createUpstream({
    sessions: true,
    tools: [tool('run')],
    onCall: (call) => {
      call.progress(1);
      setTimeout(() => {
        upstream.dropSessions();
        call.destroy();
      }, 50);
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('s')] });
  const stream = await openSse(gateway.url, callBody('s__run', {}, 'x', { progressToken: 't' }));
  expect((await stream.message()).method).toBe('notifications/progress');
  expect((await stream.message()).error?.code).toBe(-32000);
  expect(upstream.calls().length).toBe(1);
});
