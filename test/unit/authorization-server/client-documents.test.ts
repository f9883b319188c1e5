import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  ClientDocuments,
  documentIn,
  documentUrl,
  lifetime,
} from '../../../src/authorization-server/client-documents.js';
import { ClientProblem } from '../../../src/authorization-server/client-problem.js';
import { silent } from '../../../src/observe/log.js';
import type { GuardedAnswer, GuardedFetch } from '../../../src/protocol/small-request.js';
import { createGuardedFetch, type Resolve } from '../../../src/upstream/http/guarded-fetch.js';
import { createAuthority } from '../../helpers/certificates.js';
import { atEnd } from '../../helpers/cleanup.js';
import { answering, DOCUMENT_ID, documentAnswer, documentOf } from '../../helpers/client-document.js';

const URL_ = new URL(DOCUMENT_ID);

async function problemOf(promise: Promise<unknown>): Promise<ClientProblem> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ClientProblem)) throw new Error(`no ClientProblem: ${String(error)}`);
  return error;
}

function stage(fetch: GuardedFetch, mayFetch: (address: string) => number = () => 0) {
  const clock = { now: 1_000_000_000_000 };
  const documents = new ClientDocuments({ fetch, mayFetch, now: () => clock.now });
  const get = (
    id = DOCUMENT_ID,
    more: { isTrusted?: boolean; address?: string; signal?: AbortSignal } = {},
  ) =>
    documents.get({
      url: new URL(id),
      isTrusted: false,
      address: 'a',
      ...more,
      signal: more.signal ?? new AbortController().signal,
    });
  return { documents, get, clock };
}

describe('the id of a metadata document', () => {
  it.each([
    'https://app.example/client.json',
    'https://app.example:8443/a/b',
    'https://app.example/a/',
    'https://app.example/a..b/...',
    'https://10.0.0.1/c',
  ])('%s is one', (id) => {
    expect(documentUrl(id)?.href).toBe(id);
  });

  it.each([
    'https://app.example',
    'https://app.example/',
    'http://app.example/c',
    'HTTPS://app.example/c',
    'https://App.example/c',
    'https://app.example:443/c',
    'https://app.example./c',
    'https://app.example/c?x',
    'https://app.example/c?',
    'https://app.example/c#x',
    'https://app.example/c#',
    'https://user@app.example/c',
    'https://user:pw@app.example/c',
    'https://@app.example/c',
    'https://app.example/a/../c',
    'https://app.example/a/./c',
    'https://app.example/a/..',
    'https://app.example/a/%2e%2e/c',
    'https://app.example/a/.%2E/c',
    'https://app.example/a/..%2fc',
    'https://app.example/a%2f..%2fc',
    'https://app.example/a/%2e%2e%5cc',
    'https://app.example/%2e%2f',
    'https://app.example\\c',
    'https://app.example/a\\c',
    'https://app.example/c ',
    'https://app.example/\tc',
    'https://app.example/é',
    'https://ａpp.example/c',
    'https://',
    'https:///c',
    'mcpc_x',
    'cursor://app.example/c',
    'javascript:alert(1)',
    `https://app.example/${'x'.repeat(493)}`,
    '',
  ])('%j is none', (id) => {
    expect(documentUrl(id)).toBeUndefined();
  });
});

describe('a metadata document', () => {
  it('has a name fit to be shown and the redirect URIs that are well-formed', () => {
    const body = documentOf({
      client_name: ' A\u202epp\n',
      redirect_uris: [
        'javascript:x',
        'https://app.example/cb',
        'https://app.example/cb',
        'http://a.example/',
      ],
      client_secret: 'x',
    });
    expect(documentIn(documentAnswer(body), URL_)).toEqual({
      name: 'App',
      redirectUris: ['https://app.example/cb'],
    });
    expect(documentIn(documentAnswer(documentOf({ client_name: '\u200b' })), URL_).name).toBe(
      'an application without a name',
    );
  });

  it.each([
    { token_endpoint_auth_method: 'none' },
    { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_methods_supported: ['none'] },
    { token_endpoint_auth_method: undefined, token_endpoint_auth_methods_supported: ['none', 'x'] },
  ])('may be of a public client by %j', (more) => {
    expect(documentIn(documentAnswer(documentOf(more)), URL_).name).toBe('App');
  });

  it.each([
    ['application/json; charset=utf-8', true],
    ['Application/JSON', true],
    ['application/cimd+json', true],
    ['application/jsonp', false],
    ['text/html', false],
    ['text/plain; x=application/json', false],
    [undefined, false],
    [['application/json', 'text/html'], false],
  ])('of the type %j: %s', (type, isRead) => {
    const answer = documentAnswer(documentOf(), { headers: { 'content-type': type } });
    const read = (): unknown => documentIn(answer, URL_);
    if (isRead) expect(read()).toMatchObject({ name: 'App' });
    else expect(read).toThrow('is not application/json');
  });

  it.each<[unknown, string]>([
    ['', 'is not a JSON object'],
    ['[]', 'is not a JSON object'],
    ['null', 'is not a JSON object'],
    ['{"client_id":', 'is not a JSON object'],
    [`${'['.repeat(3000)}`, 'is not a JSON object'],
    [{}, 'another client_id'],
    [documentOf({ client_id: `${DOCUMENT_ID}/` }), 'another client_id'],
    [documentOf({ client_id: DOCUMENT_ID.toUpperCase() }), 'another client_id'],
    [documentOf({ client_id: [DOCUMENT_ID] }), 'another client_id'],
    [documentOf({ client_name: undefined }), 'no client_name'],
    [documentOf({ client_name: null }), 'no client_name'],
    [documentOf({ client_name: { en: 'App' } }), 'no client_name'],
    [documentOf({ redirect_uris: undefined }), 'no list of redirect_uris'],
    [documentOf({ redirect_uris: 'https://app.example/cb' }), 'no list of redirect_uris'],
    [documentOf({ redirect_uris: ['https://app.example/cb', 1] }), 'no list of redirect_uris'],
    [documentOf({ token_endpoint_auth_method: undefined }), "'none'"],
    [documentOf({ token_endpoint_auth_method: 'private_key_jwt' }), "'none'"],
    [
      documentOf({ token_endpoint_auth_method: 'x', token_endpoint_auth_methods_supported: 'none' }),
      "'none'",
    ],
  ])('%j is refused: %s', (body, why) => {
    expect(() => documentIn(documentAnswer(body), URL_)).toThrow(why);
    expect(() => documentIn(documentAnswer(body), URL_)).toThrow('app.example');
  });

  it.each([
    [404, 'refused'],
    [204, 'refused'],
    [301, 'refused'],
    [429, 'unreachable'],
    [500, 'unreachable'],
    [503, 'unreachable'],
  ])('with the status %i is %s', async (status, kind) => {
    const { fetch } = answering(() => documentAnswer(documentOf(), { status }));
    expect((await problemOf(stage(fetch).get())).kind).toBe(kind);
  });
});

describe('the fetch of a document', () => {
  it('is one GET, bounded, without redirects, and of public addresses', async () => {
    const { fetch, sent } = answering(() => documentAnswer(documentOf()));
    await stage(fetch).get();
    expect(sent).toMatchObject([
      {
        request: { url: DOCUMENT_ID, method: 'GET', timeoutMs: 5000, maxBytes: 5120 },
        guard: {
          origins: new Set(),
          allowHosts: [],
          isLoopback: false,
          redirects: 0,
          resolvesBehindProxy: true,
        },
      },
    ]);
  });

  it.each([
    ['https://app.example/c', 'app.example:443'],
    ['https://app.example:8443/c', 'app.example:8443'],
  ])('%s of a host that is named in full may be of a private address', async (id, host) => {
    const { fetch, sent } = answering((url) => documentAnswer(documentOf({}, url)));
    await stage(fetch).get(id, { isTrusted: true });
    expect(sent[0]?.guard.allowHosts).toEqual([host]);
  });

  it('is shared by all who ask meanwhile, and each may give up', async () => {
    let answer: (answer: GuardedAnswer) => void = () => undefined;
    const { fetch, sent } = answering(() => new Promise((resolve) => (answer = resolve)));
    const asked: string[] = [];
    const { get } = stage(fetch, (address) => (asked.push(address), 0));
    const stop = new AbortController();
    const first = get(DOCUMENT_ID, { signal: stop.signal });
    const second = get(DOCUMENT_ID, { address: 'b' });
    stop.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    expect(sent[0]?.signal.aborted).toBe(false);
    answer(documentAnswer(documentOf()));
    expect((await second).name).toBe('App');
    expect((await get()).name).toBe('App');
    expect([sent.length, asked]).toEqual([1, ['a']]);
    await expect(get(DOCUMENT_ID, { signal: stop.signal })).rejects.toThrow('gone');
  });

  it('waits for its turn: new ones ask the limiter, cached ones and failures do not', async () => {
    const { fetch, sent } = answering((url) =>
      url === DOCUMENT_ID ? documentAnswer(documentOf()) : documentAnswer('', { status: 404 }),
    );
    let wait = 0;
    const { get } = stage(fetch, () => wait);
    await get();
    await problemOf(get('https://b.example/c'));
    wait = 3;
    expect((await get()).name).toBe('App');
    expect((await problemOf(get('https://b.example/c'))).kind).toBe('refused');
    const { kind, text, retryAfter } = await problemOf(get('https://c.example/c'));
    expect([kind, text, retryAfter]).toEqual(['limited', 'Too many sign-ins. Wait 3 seconds.', 3]);
    wait = 0;
    expect((await problemOf(get('https://c.example/c'))).kind).toBe('refused');
    expect(sent).toHaveLength(3);
  });

  it('is one of twenty at once', async () => {
    const open: ((answer: GuardedAnswer) => void)[] = [];
    const { fetch } = answering(() => new Promise((resolve) => open.push(resolve)));
    let asked = 0;
    const { get } = stage(fetch, () => (asked++, 0));
    const all = Array.from({ length: 20 }, (_, i) => get(`https://app.example/${i}`));
    const { kind, retryAfter } = await problemOf(get('https://app.example/20'));
    expect([kind, retryAfter, asked]).toEqual(['limited', 5, 20]);
    open.forEach((answer, i) => {
      answer(documentAnswer(documentOf({}, `https://app.example/${i}`)));
    });
    await Promise.all(all);
    const last = get('https://app.example/20');
    open[20]?.(documentAnswer(documentOf({}, 'https://app.example/20')));
    expect((await last).name).toBe('App');
  });

  it('ends when the documents are closed, and none starts after', async () => {
    const fetch: GuardedFetch = (_request, _guard, stop) =>
      new Promise((_resolve, reject) => {
        stop.addEventListener('abort', () => {
          reject(new Error('aborted'));
        });
      });
    const { documents, get } = stage(fetch);
    const pending = problemOf(get());
    documents.close();
    expect((await pending).kind).toBe('unreachable');
    expect(documents.size).toBe(0);
    expect((await problemOf(get())).message).toContain('stopping');
  });
});

describe('a fetched document', () => {
  it.each([
    [undefined, 3600],
    ['', 3600],
    ['public', 3600],
    ['max-age=7200', 7200],
    ['public, Max-Age=7200, immutable', 7200],
    ['max-age="7200"', 7200],
    ['max-age = 7200', 7200],
    ['max-age=0', 60],
    ['max-age=1', 60],
    ['max-age=-1', 60],
    ['max-age=x', 60],
    ['max-age', 60],
    ['max-age=999999999', 86_400],
    [`max-age=${'9'.repeat(400)}`, 86_400],
    ['no-store', 60],
    ['max-age=7200, no-cache', 60],
    ['max-age=7200, max-age=600', 600],
    [['max-age=7200', 'no-store'], 60],
    ['s-maxage=7200', 3600],
  ])('with %j is kept for %i s', (header, seconds) => {
    expect(lifetime(header)).toBe(seconds * 1000);
  });

  it('is fetched again after its time, a failure after 30 s', async () => {
    let status = 404;
    const { fetch, sent } = answering(() =>
      documentAnswer(documentOf(), {
        status,
        headers: { 'content-type': 'application/json', 'cache-control': 'max-age=100' },
      }),
    );
    const { get, clock } = stage(fetch);
    await problemOf(get());
    status = 200;
    clock.now += 29_999;
    await problemOf(get());
    expect(sent).toHaveLength(1);
    clock.now += 1;
    await get();
    clock.now += 99_999;
    await get();
    expect(sent).toHaveLength(2);
    clock.now += 1;
    await get();
    expect(sent).toHaveLength(3);
    // The clock is set back: what it says about the age is not known.
    clock.now -= 1_000_000;
    await get();
    expect(sent).toHaveLength(4);
  });

  it('is one of 500, and the least recently used goes; failures displace none', async () => {
    const { fetch, sent } = answering((url) =>
      url.includes('bad') ? documentAnswer('', { status: 404 }) : documentAnswer(documentOf({}, url)),
    );
    const { documents, get } = stage(fetch);
    for (let i = 0; i < 500; i++) await get(`https://app.example/${i}`);
    await get('https://app.example/0');
    await get('https://app.example/500');
    expect([documents.size, sent.length]).toEqual([500, 501]);
    for (let i = 0; i < 600; i++) await problemOf(get(`https://app.example/bad${i}`));
    expect(documents.size).toBe(1000);
    await get('https://app.example/0');
    expect(sent).toHaveLength(1101);
    await get('https://app.example/1');
    expect(sent).toHaveLength(1102);
  });

  it('of a host that was named in full does not count when it is no more', async () => {
    const { fetch, sent } = answering(() => documentAnswer(documentOf()));
    const { get } = stage(fetch);
    await get(DOCUMENT_ID, { isTrusted: true });
    await get(DOCUMENT_ID, { isTrusted: true });
    expect(sent).toHaveLength(1);
    await get();
    expect(sent).toHaveLength(2);
  });
});

describe('over real sockets', () => {
  async function serve(answer: (req: IncomingMessage, res: ServerResponse) => void) {
    const authority = createAuthority();
    const folder = mkdtempSync(join(tmpdir(), 'mcpstead-'));
    const file = join(folder, 'ca.pem');
    writeFileSync(file, authority.cert);
    const seen: string[] = [];
    const server = createServer(authority.issue({ ip: ['127.0.0.1'], dns: ['app.example'] }), (req, res) => {
      seen.push(`${req.method} ${req.url}`);
      answer(req, res);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atEnd(() => {
      server.closeAllConnections();
      server.close();
      rmSync(folder, { recursive: true });
    });
    const { port } = server.address() as AddressInfo;
    return { origin: `https://127.0.0.1:${port}`, port, seen, env: { SSL_CERT_FILE: file } };
  }

  const loopback: Resolve = (_name, _options, callback) => {
    process.nextTick(callback, null, [{ address: '127.0.0.1', family: 4 }]);
  };

  it('a private address is not connected to, and looks like a host that does not answer', async () => {
    const { origin, port, seen, env } = await serve((_req, res) => res.end());
    const { get } = stage(createGuardedFetch(env, silent, loopback));
    for (const id of [`${origin}/c`, `https://app.example:${port}/c`, 'https://10.0.0.1/c']) {
      const { kind, text, message } = await problemOf(get(id));
      expect([kind, text]).toEqual(['unreachable', `${new URL(id).host} does not answer.`]);
      expect(message).toContain('is a private address');
    }
    const unresolved: Resolve = (_name, _options, callback) => {
      process.nextTick(callback, Object.assign(new Error('no'), { code: 'ENOTFOUND' }), []);
    };
    const other = stage(createGuardedFetch(env, silent, unresolved));
    expect((await problemOf(other.get('https://app.example/c'))).text).toBe('app.example does not answer.');
    expect(seen).toEqual([]);
  });

  it('of a host that is named in full: read, refused, or unreachable', async () => {
    const { origin, seen, env } = await serve((req, res) => {
      const id = `https://${req.headers.host}${req.url}`;
      if (req.url === '/moved') return res.writeHead(302, { location: '/good' }).end();
      if (req.url === '/gone') return res.socket?.destroy();
      res.writeHead(200, {
        'content-type': 'application/json',
        ...(req.url === '/coded' ? { 'content-encoding': 'gzip' } : {}),
      });
      return res.end(JSON.stringify(documentOf({ pad: 'x'.repeat(req.url === '/huge' ? 6000 : 0) }, id)));
    });
    const { get } = stage(createGuardedFetch(env, silent, loopback));
    const ask = (path: string) => get(`${origin}${path}`, { isTrusted: true });
    expect((await ask('/good')).redirectUris).toHaveLength(2);
    for (const [path, kind, text] of [
      ['/moved', 'refused', 'is redirected'],
      ['/huge', 'refused', 'was answered with more than 5120 bytes'],
      ['/coded', 'refused', 'was answered with the content coding'],
      ['/gone', 'unreachable', 'does not answer'],
    ] as const) {
      const problem = await problemOf(ask(path));
      expect([problem.kind, problem.text]).toEqual([kind, expect.stringContaining(text)]);
    }
    expect(seen).toEqual(['GET /good', 'GET /moved', 'GET /huge', 'GET /coded', 'GET /gone']);
  });
});
