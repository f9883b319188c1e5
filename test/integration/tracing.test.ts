/** Traces of calls, as a collector gets them (OTLP over HTTP in JSON). */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { PACKAGES, Tracing } from '../../src/observe/tracing.js';
import { silent, type Logger } from '../../src/observe/log.js';
import { createUpstream, tool, type Received, type Upstream } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { startGateway } from '../helpers/gateway.js';
import { callBody, JSON_ONLY, openSession, post } from '../helpers/http.js';
import * as modern from '../helpers/modern.js';

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: number };
}

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  /** 2: SERVER, 3: CLIENT. */
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly Attribute[];
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly status: { readonly code?: number };
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const META = `00-${TRACE}-b7ad6b7169203331-01`;
const HEADER = '00-11111111111111111111111111111111-2222222222222222-01';

async function collector(status = 200) {
  const exports: { readonly text: string; readonly key: string | undefined }[] = [];
  const server = createServer((req, res) => {
    let text = '';
    req.setEncoding('utf8').on('data', (part: string) => (text += part));
    req.on('end', () => {
      exports.push({ text, key: req.headers['x-key'] as string | undefined });
      res.writeHead(status, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => server.close().closeAllConnections());
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}/v1/traces`,
    exports,
    spans: () =>
      exports
        .flatMap(({ text }) => (JSON.parse(text) as Export).resourceSpans)
        .flatMap(({ scopeSpans }) => scopeSpans)
        .flatMap(({ spans }) => spans),
  };
}

const valuesOf = ({ attributes }: Pick<Span, 'attributes'>): Record<string, string | number | undefined> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]));

const callsOf = (upstream: Upstream): Received[] => upstream.received('tools/call');

describe('a traced call', () => {
  it('has a SERVER and a CLIENT span, and its server goes on from the CLIENT span', async () => {
    const collected = await collector();
    const upstream = await createUpstream({ tools: [tool('t')] });
    const { gateway, url } = await startGateway({
      servers: [{ name: 's', url: upstream.url }],
      tracing: { endpoint: collected.endpoint, headers: { 'x-key': 'secret-of-the-collector' }, ratio: 0 },
    });
    const session = await openSession(url);
    const body = callBody('s__t', { password: 'hunter2' }, 7, { traceparent: META, progressToken: 'p' });
    const answer = await post(url, body, { ...session, traceparent: HEADER });
    expect(answer.status).toBe(200);
    await gateway.close();

    const [client, server, ...others] = collected.spans();
    expect(others).toEqual([]);
    if (!client || !server) throw new Error('no spans');
    expect([server.kind, client.kind]).toEqual([2, 3]);
    expect([server.name, client.name]).toEqual(['tools/call t', 'tools/call t']);
    expect([server.traceId, client.traceId]).toEqual([TRACE, TRACE]);
    expect([server.parentSpanId, client.parentSpanId]).toEqual(['b7ad6b7169203331', server.spanId]);
    expect(server.links).toMatchObject([{ traceId: '1'.repeat(32), spanId: '2'.repeat(16) }]);
    expect(valuesOf(server)).toEqual({
      'mcp.method.name': 'tools/call',
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': 't',
      'network.transport': 'tcp',
      'client.address': '127.0.0.1',
      'user.id': 'anonymous',
      'mcp.session.id': session['mcp-session-id']?.slice(0, 8),
      'mcp.protocol.version': '2025-11-25',
      'jsonrpc.request.id': '7',
    });
    expect(valuesOf(client)).toEqual({
      'mcp.method.name': 'tools/call',
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': 't',
      'network.transport': 'tcp',
      'peer.service': 's',
      'mcp.protocol.version': '2025-11-25',
    });
    const times = [server.startTimeUnixNano, client.startTimeUnixNano, client.endTimeUnixNano].map(Number);
    expect(times[1]).toBeLessThanOrEqual(times[2] ?? 0);
    expect([server.status.code ?? 0, client.status.code ?? 0]).toEqual([0, 0]);

    const [received] = callsOf(upstream);
    const own = `00-${TRACE}-${client.spanId}-01`;
    expect(received?.message.params?._meta).toMatchObject({ traceparent: own });
    expect(received?.message.params?.arguments).toEqual({ password: 'hunter2' });
    expect(received?.headers['traceparent']).toBe(own);
    expect(collected.exports[0]?.key).toBe('secret-of-the-collector');
    const text = collected.exports.map((each) => each.text).join('');
    expect(text).toContain('"mcpstead"');
    expect(text).not.toMatch(/hunter2|password|secret-of/);
    expect(text).not.toContain(session['mcp-session-id']);
  });

  it('that is not sampled by its caller passes untouched', async () => {
    const collected = await collector();
    const upstream = await createUpstream({ tools: [tool('t')] });
    const { gateway, url } = await startGateway({
      servers: [{ name: 's', url: upstream.url }],
      tracing: { endpoint: collected.endpoint, ratio: 1 },
    });
    const unsampled = META.replace(/01$/, '00');
    await post(url, callBody('s__t', {}, 1, { traceparent: unsampled }), {
      ...JSON_ONLY,
      traceparent: HEADER,
    });
    await gateway.close();
    const [received] = callsOf(upstream);
    expect(received?.message.params?._meta).toEqual({ traceparent: unsampled });
    expect(received?.headers['traceparent']).toBeUndefined();
    expect(collected.spans().filter(({ name }) => name.startsWith('tools/call'))).toEqual([]);
  });

  it('without a caller that traces is sampled by ratio', async () => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    for (const [tracing, least, most] of [
      [{ ratio: 0 }, 0, 0],
      [{ ratio: 1, per_second: 1000 }, 20, 20],
    ] as const) {
      const collected = await collector();
      const { gateway, url } = await startGateway({
        servers: [{ name: 's', url: upstream.url }],
        tracing: { endpoint: collected.endpoint, ...tracing },
      });
      for (let i = 0; i < 20; i++) await post(url, callBody('s__t'), JSON_ONLY);
      await gateway.close();
      const servers = collected.spans().filter(({ kind }) => kind === 2);
      expect(servers.length, JSON.stringify(tracing)).toBeGreaterThanOrEqual(least);
      expect(servers.length, JSON.stringify(tracing)).toBeLessThanOrEqual(most);
      // Each has its CLIENT span, and each trace one call.
      expect(new Set(servers.map(({ traceId }) => traceId)).size).toBe(servers.length);
      expect(collected.spans().filter(({ kind }) => kind === 3)).toHaveLength(servers.length);
    }
  });

  it('says how it failed: by the tool, by its server, and without a server', async () => {
    const collected = await collector();
    const upstream = await createUpstream({
      tools: [tool('wrong'), tool('broken')],
      onCall: (call) => {
        if (call.params.name === 'wrong') call.text('no', { isError: true });
        else call.error(-32050, 'broken');
      },
    });
    const { gateway, url } = await startGateway({
      servers: [{ name: 's', url: upstream.url }],
      tracing: { endpoint: collected.endpoint, ratio: 1 },
    });
    for (const name of ['s__wrong', 's__broken', 'absent__t']) await post(url, callBody(name), JSON_ONLY);
    await post(url, { jsonrpc: '2.0', id: 1, method: 'ping' }, JSON_ONLY);
    await gateway.close();
    const shown = collected.spans().map((span) => {
      const { 'error.type': error, 'rpc.response.status_code': code } = valuesOf(span);
      return [span.kind, span.name, span.status.code ?? 0, error, code];
    });
    expect(shown).toEqual([
      [3, 'tools/call wrong', 2, 'tool_error', undefined],
      [2, 'tools/call wrong', 2, 'tool_error', undefined],
      [3, 'tools/call broken', 2, '-32050', '-32050'],
      [2, 'tools/call broken', 2, '-32050', '-32050'],
      [2, 'tools/call', 2, 'invalid_params', '-32602'],
    ]);
  });

  it.each(['legacy', 'modern'] as const)('from either era reaches a modern server', async (era) => {
    const collected = await collector();
    const upstream = await modern.createModernUpstream({ tools: [tool('t')] });
    const { gateway, url } = await startGateway({
      servers: [{ name: 's', url: upstream.url }],
      tracing: { endpoint: collected.endpoint, ratio: 1 },
    });
    if (era === 'modern') await modern.call(url, 's__t');
    else await post(url, callBody('s__t'), JSON_ONLY);
    await gateway.close();
    const client = collected.spans().find(({ kind, name }) => kind === 3 && name === 'tools/call t');
    const own = `00-${client?.traceId}-${client?.spanId}-01`;
    const [received] = callsOf(upstream);
    expect(received?.message.params?._meta).toMatchObject({
      traceparent: own,
      'io.modelcontextprotocol/protocolVersion': modern.REVISION,
    });
    expect(received?.headers['traceparent']).toBe(own);
    expect(valuesOf(client as Span)).toMatchObject({ 'mcp.protocol.version': modern.REVISION });
  });
});

describe('the rate of samples', () => {
  it('is bounded, whatever callers ask for', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    atEnd(() => vi.useRealTimers());
    const config = { endpoint: 'http://127.0.0.1:1/v1/traces', headers: {}, ratio: 1, per_second: 3 };
    const tracing = new Tracing({ config, version: '1', log: silent });
    const parent = { traceId: TRACE, spanId: 'b7ad6b7169203331', sampled: true };
    const sampled = (times: number): number =>
      Array.from({ length: times }, (_, i) =>
        tracing.begin({
          method: 'tools/call',
          id: '1',
          principal: undefined,
          route: '/mcp',
          sessionId: undefined,
          target: undefined,
          sent: true,
          details: {
            decision: undefined,
            rule: undefined,
            error: undefined,
            rpcCode: undefined,
            named: undefined,
            address: undefined,
            revision: undefined,
            bytesIn: 0,
            bytesOut: 0,
            traceId: undefined,
            parents: [i % 2 === 0 ? parent : undefined, undefined],
            arrived: 0,
            began: undefined,
            argumentBytes: () => undefined,
          },
        }),
      ).filter((trace) => trace !== undefined).length;
    expect(sampled(10)).toBe(3);
    vi.advanceTimersByTime(999);
    expect(sampled(10)).toBe(0);
    vi.advanceTimersByTime(1);
    expect(sampled(10)).toBe(3);
  });
});

describe('a collector that refuses', () => {
  it('is logged, and holds nobody up', async () => {
    const warned: string[] = [];
    const logger: Logger = { ...silent, warn: (text) => void warned.push(text) };
    const collected = await collector(400);
    const upstream = await createUpstream({ tools: [tool('t')] });
    const { gateway, url } = await startGateway(
      {
        servers: [{ name: 's', url: upstream.url }],
        tracing: { endpoint: collected.endpoint, ratio: 1 },
      },
      { logger },
    );
    expect((await post(url, callBody('s__t'), JSON_ONLY)).json().result).toBeDefined();
    await gateway.close();
    expect(warned).toContain('spans cannot be sent, and are lost');
    expect(collected.exports.length).toBeGreaterThan(0);
  });
});

describe('the packages', () => {
  const { peerDependencies, peerDependenciesMeta } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as Record<string, Record<string, unknown>>;

  it('are optional, and a start without them says what to install', () => {
    const named = Object.fromEntries(PACKAGES.map((each) => each.split(/(?<=.)@/) as [string, string]));
    // The other one is for fleets.
    expect({ ...named, ioredis: '~6.0.0' }).toEqual(peerDependencies);
    expect(Object.keys(peerDependenciesMeta ?? {})).toEqual([...Object.keys(named), 'ioredis']);
    const config = { endpoint: 'http://127.0.0.1:1/v1/traces', headers: {}, ratio: 1, per_second: 1 };
    const load = (name: string): unknown => {
      throw Object.assign(new Error(`Cannot find module '${name}'`), { code: 'MODULE_NOT_FOUND' });
    };
    expect(() => new Tracing({ config, version: '1', log: silent, load })).toThrow(
      `npm install ${PACKAGES.join(' ')}`,
    );
  });

  it('are not loaded as long as nothing is traced', () => {
    const index = fileURLToPath(new URL('../../dist/index.js', import.meta.url));
    const script = (tracing: string): string => `
      import { createRequire } from 'node:module';
      import { createGateway } from ${JSON.stringify(index)};
      createGateway({ servers: [], ${tracing} }).destroy();
      const loaded = Object.keys(createRequire(import.meta.url).cache);
      console.log(loaded.some((file) => file.includes('@opentelemetry')));
      process.exit(0);`;
    const run = (tracing: string): string =>
      execFileSync(process.execPath, ['--input-type=module', '-e', script(tracing)], {
        encoding: 'utf8',
      }).trim();
    expect(run('')).toBe('false');
    expect(run("tracing: { endpoint: 'http://127.0.0.1:1/v1/traces' }")).toBe('true');
  });
});
