import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createUpstream, tool, type Received, type Upstream } from '../../fixtures/servers/http-upstream.js';
import { atEnd } from '../../helpers/cleanup.js';
import { timer, until } from '../../helpers/wait.js';
import { call, openLink, toolCall } from './link.js';
import { createModernUpstream, META, REVISION } from './modern-server.js';

/** What an upstream heard, GET streams and notifications aside. */
const heard = (upstream: Upstream): string[] =>
  upstream.requests
    .filter(({ message }) => message.id !== undefined)
    .map(({ message }) => message.method ?? '?')
    .filter((method) => method !== 'subscriptions/listen');
const quick = { reconnect: { backoff_base_ms: 10, backoff_max_ms: 20 } };

describe('2: the era of an HTTP upstream', () => {
  it('is asked for with one server/discover, and a modern one needs no handshake', async () => {
    const upstream = await createModernUpstream({ tools: [tool('echo')] });
    const { link, up } = openLink(upstream.entry('s'));
    expect(link.era).toBe('legacy');
    await up();
    expect(heard(upstream)).toEqual(['server/discover', 'tools/list']);
    expect(link.era).toBe('modern');
    expect(link.peer).toMatchObject({ era: 'modern', revision: REVISION });
    expect(link.stats).toMatchObject({ era: 'modern', revision: REVISION, connected: true });
    expect(link.lists.tools.map(({ key }) => key)).toEqual(['echo']);
    await call(link, toolCall('echo')).done;
    await call(link, toolCall('echo')).done;
    expect(heard(upstream).filter((method) => method === 'server/discover').length).toBe(1);
    expect(upstream.requests.every(({ method }) => method === 'POST')).toBe(true);
  });

  it('of a server that answers with an error is legacy, and initialize comes next', async () => {
    const upstream = await createUpstream({ sessions: true, tools: [tool('echo')] });
    const { link, up } = openLink(upstream.entry('s'));
    await up();
    expect(heard(upstream)).toEqual(['server/discover', 'initialize', 'tools/list']);
    expect(link.stats.era).toBe('legacy');
    const probe = upstream.received('server/discover')[0] as Received;
    expect(probe.headers).toMatchObject({
      'mcp-protocol-version': REVISION,
      'mcp-method': 'server/discover',
    });
    expect(probe.message.params?._meta).toMatchObject({ [`${META}/protocolVersion`]: REVISION });
    const initialize = upstream.received('initialize')[0] as Received;
    expect(initialize.headers['mcp-method']).toBeUndefined();
    expect(initialize.message.params?._meta).toBeUndefined();
  });

  it('is kept over a lost connection: a legacy server is not probed again', async () => {
    const upstream = await createUpstream({ tools: [tool('echo')] });
    const { link, up } = openLink(upstream.entry('s', quick));
    await up();
    await upstream.stop();
    await link.refresh().catch(() => undefined);
    await until(() => link.state !== 'up');
    await upstream.start();
    await until(() => link.state === 'up');
    expect(heard(upstream)).toEqual([
      'server/discover',
      'initialize',
      'tools/list',
      'initialize',
      'tools/list',
    ]);
  });

  it('is found out again when initialize is refused where it was taken before', async () => {
    let modern = false;
    const upstream = await createUpstream({
      tools: [tool('echo')],
      onRequest: (request) => {
        if (!modern) return false;
        if (request.message.method === 'server/discover')
          request.result({
            resultType: 'complete',
            supportedVersions: [REVISION],
            capabilities: { tools: {} },
          });
        else if (request.message.method === 'tools/list')
          request.result({ resultType: 'complete', tools: [], ttlMs: 0, cacheScope: 'public' });
        else request.raw(request.envelope('error', '{"code":-32601,"message":"no"}'), 404);
        return true;
      },
    });
    const { link, up } = openLink(upstream.entry('s', quick));
    await up();
    await upstream.stop();
    await link.refresh().catch(() => undefined);
    await until(() => link.state !== 'up');
    modern = true;
    upstream.requests.length = 0;
    await upstream.start();
    await until(() => link.state === 'up');
    expect(heard(upstream)).toEqual(['initialize', 'server/discover', 'tools/list']);
    expect(link.era).toBe('modern');
  });

  it('of a modern server is found out again, once, when it refuses a call without a modern error', async () => {
    let modern = true;
    const upstream = await createModernUpstream({
      tools: [tool('echo')],
      onRequest: (request) => {
        if (modern) return false;
        const { method } = request.message;
        if (method === 'initialize')
          request.result({
            protocolVersion: '2025-11-25',
            capabilities: { tools: {} },
            serverInfo: { name: 'l', version: '1' },
          });
        else if (method === 'tools/list' && request.received.headers['mcp-protocol-version'] === '2025-11-25')
          request.result({ tools: [] });
        else request.raw('{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request"}}', 400);
        return true;
      },
    });
    const { link, up } = openLink(upstream.entry('s', quick));
    await up();
    modern = false;
    upstream.requests.length = 0;
    const [first, second] = await Promise.all([
      call(link, toolCall('echo')).done,
      call(link, toolCall('echo')).done,
    ]);
    expect(first.head?.code ?? first.error?.code).toBe(-32000);
    expect(second.head?.code ?? second.error?.code).toBe(-32000);
    await until(() => link.era === 'legacy' && link.state === 'up');
    // One doubt, and one dial that begins with the probe.
    expect(heard(upstream).filter((method) => method !== 'tools/call')).toEqual([
      'server/discover',
      'server/discover',
      'initialize',
      'tools/list',
    ]);
  });

  it.each([
    [401, true],
    [403, true],
    [408, false],
    [429, false],
    [500, true],
    [503, true],
  ])(
    'is not known by HTTP %s: initialize tried: %s, nothing else before the next attempt',
    async (status, tried) => {
      let failing = true;
      const upstream = await createModernUpstream({
        tools: [tool('echo')],
        onHttp: (_received, res) => {
          if (!failing) return false;
          res.writeHead(status).end('no');
          return true;
        },
      });
      const { link } = openLink(upstream.entry('s', quick));
      link.start();
      await until(() => upstream.received('server/discover').length >= 2);
      expect(new Set(heard(upstream))).toEqual(
        new Set(['server/discover', ...(tried ? ['initialize'] : [])]),
      );
      expect(upstream.requests.every(({ method }) => method === 'POST')).toBe(true);
      failing = false;
      await until(() => link.state === 'up');
      expect(link.era).toBe('modern');
    },
  );

  it('a GET for HTTP+SSE comes after both POSTs, and the next dial begins with it', async () => {
    const upstream = await createUpstream({ transport: 'sse', tools: [tool('echo')] });
    const posts: (string | undefined)[] = [];
    upstream.options.onHttp = (received, res) => {
      posts.push(received.method === 'GET' ? 'GET' : received.message.method);
      if (received.method !== 'POST' || received.path !== '/sse') return false;
      res.writeHead(405).end();
      return true;
    };
    const { link, up } = openLink(upstream.entry('s', quick));
    await up();
    expect(posts).toEqual([
      'server/discover',
      'initialize',
      'GET',
      'initialize',
      'notifications/initialized',
      'tools/list',
    ]);
    expect(link.transportKind).toBe('sse');
    posts.length = 0;
    await upstream.stop();
    await until(() => link.state !== 'up');
    await upstream.start();
    await until(() => link.state === 'up');
    expect(posts.slice(0, 2)).toEqual(['GET', 'initialize']);
  });

  it('of a server that has left HTTP+SSE is found out again in the same dial', async () => {
    const upstream = await createUpstream({ transport: 'sse', tools: [tool('echo')] });
    upstream.options.onHttp = (received, res) => {
      if (upstream.options.transport !== 'sse' || received.method !== 'POST' || received.path !== '/sse')
        return false;
      res.writeHead(405).end();
      return true;
    };
    const { link, told, up } = openLink(upstream.entry('s', quick));
    await up();
    await upstream.stop();
    await until(() => link.state !== 'up');
    delete upstream.options.transport;
    upstream.requests.length = 0;
    await upstream.start();
    await until(() => link.state === 'up');
    expect(upstream.requests.map(({ method, message }) => message.method ?? method).slice(0, 3)).toEqual([
      'GET',
      'server/discover',
      'initialize',
    ]);
    expect(link.transportKind).toBe('streamable');
    await link.refresh();
    expect(link.state).toBe('up');
    expect(told.states.at(-1)).toBe('up');
  });

  it('no GET is tried where only one of both was refused so', async () => {
    const upstream = await createUpstream({
      onHttp: (received, res) => {
        const status = received.message.method === 'initialize' ? 404 : 422;
        res.writeHead(status).end();
        return true;
      },
    });
    const { link } = openLink(upstream.entry('s', quick));
    link.start();
    await until(() => upstream.requests.length >= 4);
    expect(upstream.requests.some(({ method }) => method === 'GET')).toBe(false);
  });

  it('-32022 with legacy revisions alone leads to initialize with the newest of them', async () => {
    const upstream = await createUpstream({
      tools: [tool('echo')],
      onRequest: (request) => {
        if (request.message.method !== 'server/discover') return false;
        const data = { supported: ['2025-03-26', '2025-06-18'], requested: REVISION };
        request.raw(request.envelope('error', JSON.stringify({ code: -32022, message: 'no', data })), 400);
        return true;
      },
    });
    const { link, up } = openLink(upstream.entry('s'));
    await up();
    expect(upstream.received('initialize')[0]?.message.params?.protocolVersion).toBe('2025-06-18');
    expect(link.peer?.revision).toBe('2025-06-18');
  });

  it.each(['modern', '2026-07-28'])('pinned to %s never falls back to initialize', async (revision) => {
    const upstream = await createUpstream({ tools: [tool('echo')] });
    const { link } = openLink(upstream.entry('s', { ...quick, revision }));
    link.start();
    await until(() => upstream.received('server/discover').length >= 2);
    expect(upstream.received('initialize')).toEqual([]);
    expect(link.lastError).toContain('allows no older revision');
  });

  it.each(['legacy', '2025-06-18'])('pinned to %s is not asked for', async (revision) => {
    const upstream = await createUpstream({ tools: [tool('echo')] });
    const { link, up } = openLink(upstream.entry('s', { revision }));
    await up();
    expect(upstream.received('server/discover')).toEqual([]);
    expect(link.era).toBe('legacy');
  });
});

describe('2: the era of a stdio upstream', () => {
  /** A server in a few lines: `answer` is the body of a function of the message, the start's number and `say`. */
  function script(
    answer: string,
    probe_ms = 20_000,
  ): { entry: object; log: () => { start: number; pid: number; method: string }[] } {
    const folder = mkdtempSync(join(tmpdir(), 'probe-'));
    atEnd(() => {
      rmSync(folder, { recursive: true, force: true });
    });
    const log = join(folder, 'log');
    const starts = join(folder, 'starts');
    writeFileSync(log, '');
    writeFileSync(starts, '');
    const file = join(folder, 'server.mjs');
    writeFileSync(
      file,
      `import { appendFileSync, readFileSync } from 'node:fs';
      import { createInterface } from 'node:readline';
      appendFileSync(${JSON.stringify(starts)}, 'x');
      const start = readFileSync(${JSON.stringify(starts)}, 'utf8').length;
      const say = (m, more) => console.log(JSON.stringify({ jsonrpc: '2.0', id: m.id, ...more }));
      const discovered = (m) => say(m, { result: { resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, ttlMs: 60000, cacheScope: 'public' } });
      const initialized = (m) => say(m, { result: { protocolVersion: m.params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'x', version: '1' } } });
      const refused = (m) => say(m, { error: { code: -32601, message: 'Method not found' } });
      const answer = (m) => { ${answer} };
      createInterface({ input: process.stdin }).on('line', (line) => {
        const m = JSON.parse(line);
        appendFileSync(${JSON.stringify(log)}, JSON.stringify({ start, pid: process.pid, method: m.method }) + '\\n');
        if (m.id === undefined) return;
        if (m.method === 'tools/list') globalThis.late?.();
        if (m.method === 'tools/list') say(m, { result: { resultType: 'complete', tools: [], ttlMs: 60000, cacheScope: 'public' } });
        else answer(m);
      }).on('close', () => process.exit(0));`,
    );
    return {
      entry: { name: 's', command: process.execPath, args: [file], ...quick, timeouts: { probe_ms } },
      log: () =>
        readFileSync(log, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line) as { start: number; pid: number; method: string }),
    };
  }
  const methods = (log: { start: number; method: string }[]): string[] =>
    log.map(({ start, method }) => `${start} ${method}`);

  it('is modern by its DiscoverResult', async () => {
    const { entry, log } = script(`m.method === 'server/discover' ? discovered(m) : refused(m)`);
    const { link, up } = openLink(entry);
    await up();
    expect(link.era).toBe('modern');
    expect(methods(log())).toEqual(['1 server/discover', '1 tools/list']);
  });

  it('is legacy by an error, in the same process', async () => {
    const { entry, log } = script(`m.method === 'initialize' ? initialized(m) : refused(m)`);
    const { link, up } = openLink(entry);
    await up();
    expect(link.era).toBe('legacy');
    expect(methods(log())).toEqual([
      '1 server/discover',
      '1 initialize',
      '1 notifications/initialized',
      '1 tools/list',
    ]);
  });

  it('is legacy by its silence, counted from its first output, or three times as long from its start', async () => {
    const probe_ms = 600;
    const speaks = script(
      `if (m.method === 'initialize') initialized(m); else console.error('what?')`,
      probe_ms,
    );
    const silent = script(`if (m.method === 'initialize') initialized(m)`, probe_ms);
    const [one, three] = [timer(probe_ms - 10), timer(3 * probe_ms - 10)];
    const [first, second] = [openLink(speaks.entry), openLink(silent.entry)];
    const both = second.up();
    await first.up();
    expect(first.link.era).toBe('legacy');
    expect(one.rung).toBe(true);
    expect(second.link.state).not.toBe('up');
    await both;
    expect(second.link.era).toBe('legacy');
    expect(three.rung).toBe(true);
    // Nobody is told that the probe is over: a legacy server would not know of what.
    expect(silent.log().some(({ method }) => method === 'notifications/cancelled')).toBe(false);
  });

  it('is legacy by an exit: it is started again, and each new process is probed', async () => {
    const { entry, log } = script(
      `if (m.method === 'initialize') initialized(m); else if (m.method === 'server/discover') process.exit(3); else process.exit(4)`,
    );
    const { link, up } = openLink(entry);
    await up();
    expect(link.era).toBe('legacy');
    expect(link.stats.reconnects).toBe(0);
    await call(link, toolCall('x')).done;
    await until(() => link.stats.reconnects === 1 && link.state === 'up');
    expect(methods(log()).filter((line) => !line.endsWith('initialized'))).toEqual([
      '1 server/discover',
      '2 initialize',
      '2 tools/list',
      '2 tools/call',
      '3 server/discover',
      '4 initialize',
      '4 tools/list',
    ]);
  });

  it('that cannot be started at all is not started a second time at once', async () => {
    const { link } = openLink({
      name: 's',
      command: '/no/such/command',
      args: [],
      reconnect: { max_attempts: 1 },
    });
    link.start();
    await until(() => link.state === 'down');
    expect(link.lastError).toContain('/no/such/command');
  });

  it('is modern after all if the answer to the probe comes before that to initialize', async () => {
    const { entry, log } = script(
      `if (m.method === 'server/discover') { console.error('busy'); globalThis.probe = m; }
       else if (m.method === 'initialize') { discovered(probe); globalThis.late = () => refused(m); }`,
      300,
    );
    const { link, up } = openLink(entry);
    await up();
    expect(link.era).toBe('modern');
    expect(methods(log())).toEqual(['1 server/discover', '1 initialize', '1 tools/list']);
  });

  it('is modern after all if both answers come together', async () => {
    const { entry, log } = script(
      `if (m.method === 'server/discover') { console.error('busy'); globalThis.probe = m; }
       else if (m.method === 'initialize') { discovered(probe); refused(m); }`,
      300,
    );
    const { link, up } = openLink(entry);
    await up();
    expect(link.era).toBe('modern');
    expect(methods(log())).toEqual(['1 server/discover', '1 initialize', '1 tools/list']);
  });

  it('is found out again, once, if that comes when the legacy era was taken for its own', async () => {
    const { entry, log } = script(
      `if (m.method === 'server/discover') {
         console.error('busy');
         if (start === 1) process.on('SIGUSR2', () => discovered(m));
         else setTimeout(() => discovered(m), 900);
       }
       else if (m.method === 'initialize') initialized(m);`,
      300,
    );
    const { link, up } = openLink(entry);
    await up();
    expect(link.era).toBe('legacy');
    process.kill(log()[0]?.pid ?? 0, 'SIGUSR2');
    await until(() => link.era === 'modern' && link.state === 'up');
    expect(methods(log()).filter((line) => line.startsWith('2'))).toEqual([
      '2 server/discover',
      '2 tools/list',
    ]);
  });

  it('pinned to modern fails without an older handshake', async () => {
    const { entry, log } = script(`m.method === 'initialize' ? initialized(m) : refused(m)`);
    const { link } = openLink({ ...entry, revision: 'modern' });
    link.start();
    await until(() => log().length >= 2);
    expect(new Set(log().map(({ method }) => method))).toEqual(new Set(['server/discover']));
    expect(link.state).not.toBe('up');
  });
});
