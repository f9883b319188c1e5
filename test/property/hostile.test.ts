/**
 * Hostile servers and clients of every transport and era. Whatever they say, the process lives, no boundary has to catch anything, calls to
 * other servers are answered with their own bytes, and what was held is given back.
 *
 * `npm run fuzz -- --minutes N [--seed S]` runs the same for as long as one likes.
 */
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { cut, cuts, opening, requests, sayings, unasked } from '../fuzz/arbitraries.js';
import { framed, HONEST, HostileHttp, type Told } from '../fuzz/hostile-http.js';
import { atEnd } from '../helpers/cleanup.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { callBody, message, openSession, post, send, type Answer, type Headers } from '../helpers/http.js';
import { until } from '../helpers/wait.js';
import { openLink } from '../integration/upstream/link.js';
import { Boundary } from '../../src/observe/boundary.js';
import { createBudget } from '../../src/lib/budget.js';
import { silent } from '../../src/observe/log.js';
import { MessageScan } from '../../src/wire/message-scan.js';

const minutes = Number(process.env['FUZZ_MINUTES'] ?? 0);
const seed = Number(process.env['FUZZ_SEED'] ?? (minutes > 0 ? Date.now() % 2 ** 31 : 20261126));
const GROUPS = 6;

/** The answers in a body: the id of each as it is written, and what makes it doubtful. What a result holds need not be JSON. */
function answersIn(answer: Answer): { id: string; problem?: string }[] {
  const isStream = String(answer.headers['content-type']).startsWith('text/event-stream');
  const texts = isStream ? answer.text.split('\n\n').map(dataOf) : [answer.text];
  return texts
    .filter((text) => text !== '')
    .map((text) => MessageScan.of([Buffer.from(text)]))
    .filter(({ kind }) => kind !== 'method')
    .map(({ idText, problem }) => ({ id: idText, ...(problem !== undefined && { problem }) }));
}

/** Of one event, line by line: U+2028 ends no line. An answer that broke off is no message: the last type counts. */
function dataOf(event: string): string {
  const of = (field: string): string | undefined =>
    event
      .split('\n')
      .findLast((line) => line.startsWith(field))
      ?.slice(field.length);
  return of('event: ') === 'cut' ? '' : (of('data: ') ?? '');
}

/** A connection that is cut before the head of an answer. */
function cutOff(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ECONNRESET') throw error;
}

/** A bounded number of cases in `npm test`; under `npm run fuzz` as many as the time allows. */
const bounds = (numRuns: number): fc.Parameters<unknown> =>
  minutes > 0
    ? {
        seed,
        numRuns: 1_000_000_000,
        interruptAfterTimeLimit: (minutes * 60_000) / GROUPS,
        markInterruptAsFailure: false,
      }
    : { seed, numRuns };
const TIMEOUT = minutes * 60_000 + 120_000;

console.log(`hostile peers: seed ${seed}`);

const told = fc.record<Told>({
  say: sayings,
  framing: fc.constantFrom('json', 'sse', 'crlf', 'raw'),
  cuts,
});
const quick = {
  reconnect: { backoff_base_ms: 10, backoff_max_ms: 20 },
  timeouts: {
    request_ms: 400,
    total_ms: 800,
    probe_ms: 300,
    connect_ms: 1000,
    start_ms: 5000,
    input_ms: 300,
  },
};
const hostileStdio = fileURLToPath(new URL('../fixtures/servers/hostile-stdio.mjs', import.meta.url));
const stdioEntry = (name: string, era: 'legacy' | 'modern', more: object = {}) => ({
  name,
  command: process.execPath,
  args: [hostileStdio],
  env: { OPENING: JSON.stringify(HONEST[era]) },
  revision: era,
  ...quick,
  ...more,
});

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {
    elicitation: { form: {}, url: {} },
    sampling: {},
    roots: {},
  },
  'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
};
const modernHeaders = (method: string, name: string): Headers => ({
  'mcp-protocol-version': '2026-07-28',
  'mcp-method': method,
  'mcp-name': name,
});

describe('hostile servers', () => {
  let gateway: RunningGateway;
  const streams = { legacy: new HostileHttp(HONEST.legacy), modern: new HostileHttp(HONEST.modern) };
  let session: Headers;
  let idle = 0;
  const servers = ['http_legacy', 'http_modern', 'stdio_legacy', 'stdio_modern', 'own_legacy'] as const;

  beforeAll(async () => {
    const honest = await createUpstream({ tools: [tool('echo')] });
    const legacy = { url: await streams.legacy.start(), revision: 'legacy', ...quick };
    const modern = { url: await streams.modern.start(), revision: 'modern', ...quick };
    gateway = await startGateway({
      servers: [
        honest.entry('honest'),
        { name: 'http_legacy', ...legacy },
        { name: 'http_modern', ...modern },
        { name: 'own_legacy', ...legacy, session: 'per-client' },
        stdioEntry('stdio_legacy', 'legacy'),
        stdioEntry('stdio_modern', 'modern'),
      ],
      limits: { parked_seconds: 1 },
    });
    session = await openSession(gateway.url);
    // What is kept of the session itself.
    idle = await gateway.metric('mcpstead_buffered_bytes');
  });

  afterAll(() => {
    for (const server of Object.values(streams)) server.stop();
  });

  /** The neighbour answers with its own bytes. */
  async function neighbourIsWell(): Promise<void> {
    const mark = Math.random().toString(36);
    const answer = message(await post(gateway.url, callBody('honest__echo', { mark }), session));
    expect(answer.error).toBeUndefined();
    expect(answer.result).toEqual({ content: [{ type: 'text', text: JSON.stringify({ mark }) }] });
  }

  it.each(['legacy', 'modern'] as const)(
    'that answer calls of a %s client',
    async (era) => {
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...servers), told, fc.boolean(), async (server, what, inSession) => {
          const args = { told: Buffer.from(JSON.stringify(what)).toString('base64') };
          const name = `${server}__say`;
          const body = callBody(name, args, 'mine', {
            progressToken: 'mine',
            ...(era === 'modern' ? META : {}),
          });
          const headers =
            era === 'modern' ? modernHeaders('tools/call', name) : inSession ? session : undefined;
          // Either a whole answer under the own id, or one that cannot be taken for whole.
          const answer = await post(gateway.url, body, headers).catch(cutOff);
          if (answer?.complete) for (const each of answersIn(answer)) expect(each).toEqual({ id: '"mine"' });
          await neighbourIsWell();
        }),
        bounds(60),
      );
      await until(
        async () => (await gateway.metric('mcpstead_buffered_bytes')) <= idle,
        `buffers of ${idle} bytes`,
      );
    },
    TIMEOUT,
  );

  it(
    'that speak by themselves',
    async () => {
      await until(() => streams.legacy.listening > 0, 'the GET stream');
      await fc.assert(
        fc.asyncProperty(
          unasked,
          fc.constantFrom('sse' as const, 'crlf' as const),
          cuts,
          async (say, framing, at) => {
            for (const piece of cut(framed({ say, framing, cuts: [] }, '1', '1'), at)) {
              streams.legacy.announce(piece);
              await new Promise(setImmediate);
            }
            await neighbourIsWell();
          },
        ),
        bounds(60),
      );
    },
    TIMEOUT,
  );

  it(
    'that are asked for a handshake, their lists, and a sign of life',
    async () => {
      const counts = new Map<string, number>();
      const boundary = new Boundary(
        { ...silent, error: (_message, fields) => failures.push(JSON.stringify(fields)) },
        { add: (where) => counts.set(where, (counts.get(where) ?? 0) + 1) },
      );
      const failures: string[] = [];
      await fc.assert(
        fc.asyncProperty(opening, fc.constantFrom('auto', 'legacy', 'modern'), async (answers, revision) => {
          const server = new HostileHttp(answers);
          const budget = createBudget(1 << 28);
          try {
            const { link } = openLink(
              {
                name: 'evil',
                url: await server.start(),
                revision,
                ...quick,
                reconnect: { backoff_base_ms: 60_000 },
              },
              { boundary, budget },
            );
            link.start();
            await link.settled;
            link.destroy();
            await until(() => budget.used === 0, 'an empty budget');
          } finally {
            server.stop();
          }
          expect(failures).toEqual([]);
        }),
        bounds(80),
      );
    },
    TIMEOUT,
  );
});

describe('hostile clients', () => {
  it(
    'over HTTP',
    async () => {
      const honest = await createUpstream({ tools: [tool('echo')] });
      const evil = new HostileHttp(HONEST.legacy);
      atEnd(() => {
        evil.stop();
      });
      const gateway = await startGateway({
        servers: [honest.entry('honest'), { name: 'evil', url: await evil.start(), ...quick }],
      });
      const session = await openSession(gateway.url);
      const headers = fc.constantFrom<Headers[]>(
        {},
        { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'honest__echo' },
        { 'mcp-protocol-version': '2025-11-25' },
        { 'mcp-session-id': 'nobody' },
        { accept: 'application/json' },
        { accept: 'text/event-stream' },
      );
      await fc.assert(
        fc.asyncProperty(requests, headers, fc.boolean(), cuts, async (body, more, inSession, at) => {
          const text = body.replaceAll('@ID@', '1').replaceAll('@TOKEN@', '2');
          const abort = new AbortController();
          const sent = send(gateway.url, Buffer.from(text), {
            headers: {
              'content-type': 'application/json',
              accept: 'application/json, text/event-stream',
              ...(inSession ? session : {}),
              ...more,
            },
            signal: abort.signal,
          }).catch(() => undefined);
          // Streams that stay open are left.
          const answer = await Promise.race([
            sent,
            new Promise<undefined>((resolve) =>
              setTimeout(() => {
                resolve(undefined);
              }, 100),
            ),
          ]);
          abort.abort();
          if (answer && answer.status >= 500) expect([503]).toContain(answer.status);
          void at;
          const mark = Math.random().toString(36);
          const own = message(await post(gateway.url, callBody('honest__echo', { mark })));
          expect(own.result).toEqual({ content: [{ type: 'text', text: JSON.stringify({ mark }) }] });
        }),
        bounds(100),
      );
    },
    TIMEOUT,
  );

  it(
    'over stdio',
    async () => {
      const honest = await createUpstream({ tools: [tool('echo')] });
      const gateway = await startGateway({ servers: [honest.entry('honest')] });
      await fc.assert(
        fc.asyncProperty(fc.array(requests, { maxLength: 4 }), cuts, async (bodies, at) => {
          const input = new PassThrough();
          const output = new PassThrough();
          output.resume();
          const left = gateway.gateway.attach(input, output);
          const lines = bodies.map((body) => `${body.replaceAll('@ID@', '1').replaceAll('@TOKEN@', '2')}\n`);
          for (const piece of cut(Buffer.from(lines.join('')), at)) {
            input.write(piece);
            await new Promise(setImmediate);
          }
          input.end();
          await left;
          const mark = Math.random().toString(36);
          const own = message(await post(gateway.url, callBody('honest__echo', { mark })));
          expect(own.result).toEqual({ content: [{ type: 'text', text: JSON.stringify({ mark }) }] });
        }),
        bounds(100),
      );
    },
    TIMEOUT,
  );
});
