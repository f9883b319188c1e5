/** What clients are answered while a server waits for a login, and how they go on after it. */
import { describe, expect, it } from 'vitest';
import { tool } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { logInAt, startGuarded } from '../helpers/guarded.js';
import { callBody, message, openSse, post, textOf, type Headers, type JsonRpc } from '../helpers/http.js';
import { call, needs, only } from '../helpers/modern.js';
import { scratchFolder } from '../helpers/state.js';
import { until } from '../helpers/wait.js';

const URLS = { elicitation: { url: {} } };

async function start(options: Parameters<typeof startGuarded>[0] = {}, more: object = {}) {
  const guarded = await startGuarded({ legacy: { tools: [tool('t')] }, ...options });
  const running = await startGateway(
    { state: { dir: scratchFolder() }, servers: [guarded.upstream.entry('x', more)] },
    { wait: [] },
  );
  await until(async () => (await stateOf(running)) !== 'connecting', 'the end of the attempt');
  return { guarded, running };
}

const stateOf = async (running: RunningGateway): Promise<string | undefined> =>
  (await running.health()).servers[0]?.state;

/** Opens a session of a client with these capabilities. */
async function session(url: string, capabilities: object): Promise<Headers> {
  const params = { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 'c', version: '1' } };
  const opened = await post(url, { jsonrpc: '2.0', id: 0, method: 'initialize', params });
  return { 'mcp-session-id': String(opened.headers['mcp-session-id']), 'mcp-protocol-version': '2025-11-25' };
}

const list = (url: string, headers: Headers): Promise<string[]> =>
  post(url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, headers).then((answer) =>
    ((message(answer).result?.['tools'] ?? []) as { name: string }[]).map(({ name }) => name),
  );

const linkIn = ({ error }: JsonRpc): string => (error?.data as { url: string }).url;

describe('a legacy client', () => {
  it('that opens URLs is asked to, is told when the login is done, and then calls', async () => {
    const { running } = await start();
    const headers = await session(running.url, URLS);
    const stream = await openSse(running.url, undefined, headers);
    const { error } = message(await post(running.url, callBody('x__t', {}), headers));
    expect(error).toMatchObject({ code: -32042 });
    const [asked] = (error?.data as { elicitations: Record<string, string>[] }).elicitations;
    expect(asked).toMatchObject({
      mode: 'url',
      message: "'x' needs a login.",
      url: expect.stringContaining('/-/login/') as string,
    });
    expect(await logInAt(asked?.['url'] as string)).toBe('303 ../login/done');
    await until(
      () => stream.events.some(({ data }) => data.includes('elicitation/complete')),
      'the notification',
    );
    expect(stream.text).toContain(`"elicitationId":"${asked?.['elicitationId'] ?? ''}"`);
    expect(textOf(message(await post(running.url, callBody('x__t', { a: 1 }), headers)))).toBe('{"a":1}');
  });

  it('that does not is given the link in the error', async () => {
    const { running } = await start();
    const headers = await session(running.url, {});
    const answer = message(await post(running.url, callBody('x__t', {}), headers));
    expect(answer.error).toMatchObject({
      code: -32000,
      message: expect.stringMatching(
        /^upstream 'x' needs a login: open http\S+\/-\/login\/\S+, or run: mcpstead login x$/,
      ) as string,
      data: { server: 'x', reason: 'never' },
    });
    await logInAt(linkIn(answer));
    expect(textOf(message(await post(running.url, callBody('x__t', {}), headers)))).toBe('{}');
  });

  it('finds the login tool in the list until the login is done', async () => {
    const { running } = await start();
    const headers = await session(running.url, {});
    expect(await list(running.url, headers)).toEqual(['x__login']);
    const told = await openSse(running.url, undefined, headers);
    const answer = message(await post(running.url, callBody('x__login', {}), headers));
    const link = /http\S+\/-\/login\/[\w-]+/.exec(textOf(answer))?.[0] as string;
    await logInAt(link);
    await until(() => told.text.includes('tools/list_changed'), 'the change of the list');
    expect(await list(running.url, headers)).toEqual(['x__t']);
    expect(textOf(message(await post(running.url, callBody('x__login', {}), headers)))).toContain(
      'You are logged in',
    );
  });

  it('finds the login tool on the route of the server', async () => {
    const { running } = await start();
    const url = running.server('x');
    const headers = await session(url, {});
    expect(await list(url, headers)).toEqual(['login']);
    const answer = message(await post(url, callBody('login', {}), headers));
    await logInAt(/http\S+\/-\/login\/[\w-]+/.exec(textOf(answer))?.[0] as string);
    await until(async () => (await list(url, headers)).includes('t'), 'the list of the server');
    expect(textOf(message(await post(url, callBody('t', {}), headers)))).toBe('{}');
  });

  it('finds no login tool where the configuration wants none', async () => {
    const { running } = await start({}, { auth: { login_tool: false } });
    const headers = await session(running.url, {});
    expect(await list(running.url, headers)).toEqual([]);
  });

  it('calls a server that lists without a login, and gets the link from the call', async () => {
    const free = ['server/discover', 'initialize', 'notifications/initialized', 'tools/list'];
    const { running } = await start({ free });
    const headers = await session(running.url, {});
    expect(await list(running.url, headers)).toEqual(['x__t']);
    const answer = message(await post(running.url, callBody('x__t', {}), headers));
    expect(answer.error?.code).toBe(-32000);
    expect(await stateOf(running)).toBe('up');
    await logInAt(linkIn(answer));
    expect(textOf(message(await post(running.url, callBody('x__t', { a: 2 }), headers)))).toBe('{"a":2}');
  });
});

describe('a modern client', () => {
  const options = { capabilities: URLS };
  const retry = (
    running: RunningGateway,
    name: string,
    { requestState }: { requestState: string },
    action: string,
    args = {},
  ): Promise<JsonRpc> =>
    call(running.url, name, args, {
      ...options,
      more: { requestState, inputResponses: { login: { action } } },
    });

  it.each([
    ['legacy', {}],
    ['modern', { modern: { tools: [tool('t')] } }],
  ])(
    'is asked to open the page; its retry waits for the login, then calls a %s server',
    async (_, upstream) => {
      const { running, guarded } = await start(upstream);
      const asked = needs(await call(running.url, 'x__t', { a: 1 }, options));
      const { key, method, params } = only(asked);
      expect([key, method, params['mode']]).toEqual(['login', 'elicitation/create', 'url']);
      const early = retry(running, 'x__t', asked, 'accept', { a: 1 });
      await logInAt(params['url'] as string);
      expect(textOf(await early)).toBe('{"a":1}');
      const sent = guarded.upstream.requests.filter(({ text }) => text.includes('tools/call'));
      expect(sent.map(({ text }) => /requestState|inputResponses/.test(text))).toEqual([false]);
    },
  );

  it('that declines gets the error with the link', async () => {
    const { running } = await start();
    const asked = needs(await call(running.url, 'x__t', {}, options));
    const { error } = await retry(running, 'x__t', asked, 'decline');
    expect(error).toMatchObject({ code: -32603, data: { reason: 'never', url: only(asked).params['url'] } });
  });

  it('cannot use the state for another tool', async () => {
    const { running } = await start();
    const asked = needs(await call(running.url, 'x__t', {}, options));
    const { error } = await retry(running, 'x__other', asked, 'accept');
    expect(error).toMatchObject({ code: -32602, data: { reason: 'other_request' } });
  });

  it('logs in by the login tool', async () => {
    const { running } = await start();
    const asked = needs(await call(running.url, 'x__login', {}, options));
    await logInAt(only(asked).params['url'] as string);
    expect(textOf(await retry(running, 'x__login', asked, 'accept'))).toContain('You are logged in');
  });

  it('that opens no URLs gets the link in the error, and from the login tool a result', async () => {
    const { running } = await start();
    const { error } = await call(running.url, 'x__t');
    expect(error).toMatchObject({ code: -32603, message: expect.stringContaining('/-/login/') as string });
    expect(textOf(await call(running.url, 'x__login'))).toContain('/-/login/');
  });
});

describe('a call that needs more scopes', () => {
  it('is answered with a link to a login with them, and the server stays up', async () => {
    const { running, guarded } = await start();
    const first = message(await post(running.url, callBody('x__t', {}), await session(running.url, {})));
    await logInAt(linkIn(first));
    const before = guarded.upstream.options.onHttp;
    let isEnough = false;
    guarded.upstream.options.onHttp = (received, res) => {
      if (received.message.method !== 'tools/call' || isEnough) return before?.(received, res);
      const challenge = `Bearer error="insufficient_scope", scope="read write", resource_metadata="${guarded.upstream.origin}/metadata"`;
      res.writeHead(403, { 'www-authenticate': challenge }).end('no');
      return true;
    };
    const headers = await session(running.url, {});
    const answer = message(await post(running.url, callBody('x__t', {}), headers));
    expect(answer.error?.data).toMatchObject({ reason: 'scopes', scopes: ['read', 'write'] });
    expect(await stateOf(running)).toBe('up');
    await logInAt(linkIn(answer));
    isEnough = true;
    const last = guarded.upstream.requests.at(-1)?.headers.authorization;
    expect(textOf(message(await post(running.url, callBody('x__t', {}), headers)))).toBe('{}');
    expect(guarded.upstream.requests.at(-1)?.headers.authorization).not.toBe(last);
  });
});
