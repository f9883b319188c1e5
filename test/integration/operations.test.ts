import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { createGateway, type LogFields, type Logger } from '../../src/index.js';
import { createUpstream, tool, type Call } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { tempFile } from '../helpers/cli.js';
import { startGateway } from '../helpers/gateway.js';
import { callBody, callTool, openSession, post, textOf } from '../helpers/http.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

interface Line {
  level: string;
  message: string;
  fields: LogFields;
}

function collector(debugEnabled = false): Logger & { lines: Line[]; text(): string } {
  const lines: Line[] = [];
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}): void =>
      void lines.push({ level, message, fields });
  return {
    lines,
    text: () => JSON.stringify(lines),
    debugEnabled,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  };
}

describe('/health of a stdio server', () => {
  it('names the command, never the whole command line', async () => {
    const running = await startGateway({
      servers: [{ ...scriptedStdio('s'), env: { TOKEN: 'child-secret-1' } }],
    });
    const body = await running.health();
    expect(body.servers[0]).toMatchObject({
      url: `stdio:${process.execPath}`,
      protocol: 'stdio',
      connected: true,
      state: 'up',
    });
    expect(JSON.stringify(body)).not.toMatch(/child-secret-1|stdio-upstream/);
  });

  it('says `starting` while it starts', async () => {
    const running = await startGateway({ servers: [scriptedStdio('s', { delay: 300 })] }, { wait: [] });
    expect((await running.health()).servers[0]).toMatchObject({ state: 'starting', connected: false });
    await running.up('s');
  });

  const dying = (name: string) => ({
    name,
    command: process.execPath,
    args: [
      '-e',
      `process.stderr.write('first line\\nno license for ' + process.env.TOKEN + ' ' + 'x'.repeat(400) + '\\n'); process.exit(3)`,
    ],
    env: { TOKEN: 'child-secret-2' },
    reconnect: { backoff_base_ms: 60_000, backoff_max_ms: 60_000 },
  });

  it('shows the last line of stderr under mode none on loopback: short, secrets masked', async () => {
    const running = await startGateway({ servers: [dying('s')] }, { wait: [] });
    const error = await until(async () => (await running.health()).servers[0]?.last_error);
    expect(error).toContain('no license for ***');
    expect(error).toContain('first line | no license');
    expect(error).not.toContain('child-secret-2');
    expect(error.length).toBeLessThan(400);
    expect(error.match(/x+/g)?.at(-1)?.length ?? 0).toBeLessThanOrEqual(200);
  });

  it.each([
    ['under bearer', { mcp: { auth: { mode: 'bearer' as const } } }, { MCPSTEAD_BEARER_TOKEN: 'some-token' }],
    ['on a bind that is not loopback', { host: '0.0.0.0' }, {}],
  ])('keeps stderr for the log %s', async (_where, config, env) => {
    const gateway = createGateway({ port: 0, servers: [dying('s')], ...config }, { env });
    atEnd(() => {
      gateway.destroy();
    });
    await gateway.listen();
    const error = await until(() => gateway.health().servers[0]?.last_error);
    expect(error).not.toContain('license');
    expect(error).toContain('3');
  });
});

it('at most startup.parallel children start at once', async () => {
  const record = await tempFile('starts', '');
  // Each writes when it starts and when it answers initialize.
  const script = `
    const { appendFileSync } = require('node:fs');
    appendFileSync(${JSON.stringify(record)}, '+');
    process.stdin.on('data', (data) => {
      for (const line of String(data).split('\\n').filter(Boolean)) {
        const { id, method, params } = JSON.parse(line);
        const answer = (result) => console.log(JSON.stringify({ jsonrpc: '2.0', id, result }));
        if (method === 'initialize') setTimeout(() => {
          appendFileSync(${JSON.stringify(record)}, '-');
          answer({ protocolVersion: params.protocolVersion, capabilities: {}, serverInfo: { name: 'x', version: '1' } });
        }, 400);
        else if (id !== undefined) answer({});
      }
    });`;
  const servers = Array.from({ length: 6 }, (_, i) => ({
    name: `s${i}`,
    command: process.execPath,
    args: ['-e', script],
  }));
  await startGateway({ servers, startup: { parallel: 2 } });
  let [open, most] = [0, 0];
  for (const sign of await readFile(record, 'utf8')) most = Math.max(most, (open += sign === '+' ? 1 : -1));
  expect(most).toBe(2);
  expect(open).toBe(0);
});

describe('towards an upstream', () => {
  it('a request asks for no coding and says what it takes', async () => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    await callTool(running.url, 's__t');
    const call = upstream.calls('t')[0];
    expect(call?.headers).toMatchObject({
      'accept-encoding': 'identity',
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': '2025-11-25',
    });
  });

  it('the era is probed, then the handshake is initialize, initialized, tools/list, without client capabilities', async () => {
    const upstream = await createUpstream({ sessions: true, tools: [tool('t')] });
    await startGateway({ servers: [upstream.entry('s')] });
    const methods = upstream.requests.map(({ method, message }) => message.method ?? method);
    expect(methods.filter((method) => method !== 'GET')).toEqual([
      'server/discover',
      'initialize',
      'notifications/initialized',
      'tools/list',
    ]);
    const [first] = upstream.received('initialize');
    expect(first?.message.params).toMatchObject({
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'mcpstead' },
    });
    expect(first?.headers['mcp-session-id']).toBeUndefined();
    for (const { headers } of upstream.received('tools/list'))
      expect(headers['mcp-session-id']).toMatch(/^session-/);
  });

  it('a ping is answered on the stream of a session and by a stdio server’s pipe', async () => {
    const record = await tempFile('lines', '');
    const upstream = await createUpstream({ getStream: true, tools: [tool('t')] });
    await startGateway({
      servers: [
        upstream.entry('s'),
        scriptedStdio('child', { record, chatter: ['{"jsonrpc":"2.0","id":"hello?","method":"ping"}'] }),
      ],
    });
    await until(() => upstream.streams.size > 0);
    upstream.announce({ id: 'are you there', method: 'ping' });
    await until(() =>
      upstream.requests.some(({ text }) => text === '{"jsonrpc":"2.0","id":"are you there","result":{}}'),
    );
    await until(async () =>
      (await readFile(record, 'utf8')).includes('{"jsonrpc":"2.0","id":"hello?","result":{}}'),
    );
  });

  it('an older revision is spoken when the upstream wants it, an unknown one is an error', async () => {
    const old = await createUpstream({ protocolVersion: '2024-11-05', tools: [tool('t')] });
    const odd = await createUpstream({ protocolVersion: '1999-01-01', tools: [tool('t')] });
    const running = await startGateway({ servers: [old.entry('old'), odd.entry('odd')] }, { wait: ['old'] });
    const [, shown] = (await until(async () => {
      const { servers } = await running.health();
      return servers[0]?.last_error ? servers : undefined;
    })) as unknown as [unknown, { revision: string }];
    expect(shown.revision).toBe('2024-11-05');
    expect((await running.health()).servers[0]?.last_error).toContain('1999-01-01');
    expect(textOf(await callTool(running.url, 'old__t', { a: 1 }))).toBe('{"a":1}');
  });
});

describe('the log', () => {
  const failing = () =>
    createUpstream({
      tools: [tool('good'), tool('bad')],
      onCall: (call: Call) =>
        call.params.name === 'bad' ? call.error(-32050, 'no') : call.text(JSON.stringify(call.args)),
    });

  it('has a line at info for a failed call, with who, where, how long and how it ended', async () => {
    const upstream = await failing();
    const logger = collector();
    const running = await startGateway({ servers: [upstream.entry('s')] }, { logger });
    const session = await openSession(running.url);
    await post(running.url, callBody('s__good', {}, 'fine'), session);
    await post(running.url, callBody('s__bad', { secret: 'argument' }, 'req-1'), session);
    const calls = logger.lines.filter(({ fields }) => fields['tool'] !== undefined);
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({
      level: 'info',
      message: 'call failed',
      fields: { request: '"req-1"', server: 's', tool: 'bad', outcome: 'upstream error' },
    });
    expect(calls[0]?.fields['ms']).toBeGreaterThanOrEqual(0);
    expect(session['mcp-session-id']?.startsWith(String(calls[0]?.fields['session']))).toBe(true);
    expect(logger.text()).not.toContain('argument');
    expect(logger.text()).not.toContain(session['mcp-session-id']);
  });

  it.each([
    ['all', 2],
    ['failed', 1],
    ['none', 0],
  ] as const)('logging.calls: %s writes %i of a good and a bad call', async (calls, lines) => {
    const upstream = await failing();
    const logger = collector();
    const running = await startGateway({ servers: [upstream.entry('s')], logging: { calls } }, { logger });
    await callTool(running.url, 's__good');
    await callTool(running.url, 's__bad');
    expect(logger.lines.filter(({ fields }) => fields['tool'] !== undefined)).toHaveLength(lines);
  });

  it('has every call at debug', async () => {
    const upstream = await failing();
    const logger = collector(true);
    const running = await startGateway({ servers: [upstream.entry('s')] }, { logger });
    await callTool(running.url, 's__good');
    expect(logger.lines.filter(({ fields }) => fields['tool'] === 'good')).toHaveLength(1);
  });

  it('has one line at info or above for each change of an upstream, with the reason', async () => {
    const upstream = await failing();
    const logger = collector();
    const running = await startGateway(
      {
        servers: [
          upstream.entry('s', {
            headers: { 'X-Key': 'log-secret-3' },
            reconnect: { backoff_base_ms: 60_000, backoff_max_ms: 60_000 },
          }),
        ],
      },
      { logger },
    );
    await upstream.stop();
    await callTool(running.url, 's__good');
    await until(() => logger.lines.some(({ message }) => message === 'upstream down'));
    const changes = logger.lines.filter(({ message }) => message.startsWith('upstream '));
    expect(changes.map(({ message, level }) => [message, level])).toEqual([
      ['upstream up', 'info'],
      ['upstream down', 'warn'],
    ]);
    expect(changes[1]?.fields['error']).toContain('ECONNREFUSED');
    expect(logger.text()).not.toContain('log-secret-3');
  });
});
