import { describe, expect, it } from 'vitest';
import { ClientDocuments } from '../../../src/authorization-server/client-documents.js';
import { ClientProblem } from '../../../src/authorization-server/client-problem.js';
import { Clients } from '../../../src/authorization-server/clients.js';
import { Redirects } from '../../../src/authorization-server/redirects.js';
import { Seals } from '../../../src/authorization-server/seals.js';
import { answering, DOCUMENT_ID, documentAnswer, documentOf } from '../../helpers/client-document.js';

const ISSUER = 'https://gw.example';
const KEY = Buffer.alloc(32, 7);

interface Stage {
  seals?: Seals;
  register?: readonly ('cimd' | 'dcr')[];
  redirects?: readonly string[];
}

function stage({
  seals = new Seals([KEY], ISSUER),
  register = ['cimd', 'dcr'],
  redirects = ['*'],
}: Stage = {}) {
  const { fetch, sent } = answering((url) => documentAnswer(documentOf({}, url)));
  let wait = 0;
  const addresses: string[] = [];
  const mayFetch = (address: string) => (addresses.push(address), wait);
  const now = () => 1_700_000_000_999;
  const documents = new ClientDocuments({ fetch, mayFetch, now });
  let settings = { register, redirects: new Redirects(redirects) };
  const clients = new Clients({ seals, settings: () => settings, documents, now });
  return {
    clients,
    sent,
    addresses,
    limit: (seconds: number) => {
      wait = seconds;
    },
    reload: (next: Stage) => {
      settings = {
        register: next.register ?? settings.register,
        redirects: next.redirects ? new Redirects(next.redirects) : settings.redirects,
      };
    },
    register: (metadata: unknown) =>
      clients.register(Buffer.from(typeof metadata === 'string' ? metadata : JSON.stringify(metadata))) as {
        status: number;
        body: Record<string, unknown>;
      },
    find: (id: string) => clients.find(id, { address: 'a', signal: new AbortController().signal }),
  };
}

async function problemOf(promise: Promise<unknown>): Promise<ClientProblem> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ClientProblem)) throw new Error(`no ClientProblem: ${String(error)}`);
  return error;
}

function idOf({ body }: { body: Record<string, unknown> }): string {
  return body['client_id'] as string;
}

describe('dynamic registration', () => {
  it('answers with a public client, whatever was asked', () => {
    const { register } = stage();
    const { status, body } = register({
      client_name: ' Claude\u202e\n',
      redirect_uris: ['https://claude.ai/api/mcp/auth_callback'],
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: ['implicit'],
      response_types: ['token'],
      client_secret: 'chosen',
      client_id: 'chosen',
      scope: 'admin',
    });
    expect(status).toBe(201);
    expect(body).toEqual({
      client_id: expect.stringMatching(/^mcpc_[\w-]+$/) as unknown,
      client_id_issued_at: 1_700_000_000,
      client_name: 'Claude',
      redirect_uris: ['https://claude.ai/api/mcp/auth_callback'],
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
    });
  });

  it('keeps those of a mixed list that are allowed, each once, the first ten', async () => {
    const { register, find } = stage();
    const good = Array.from({ length: 12 }, (_, i) => `https://a.example/${i}`);
    const answer = register({
      redirect_uris: [
        'javascript:alert(1)',
        'data:text/html,x',
        'http://a.example/',
        7,
        null,
        good[0],
        ...good,
        'cursor://x/y',
      ],
    });
    expect(answer.body['redirect_uris']).toEqual(good.slice(0, 10));
    expect((await find(idOf(answer))).redirectUris).toEqual(good.slice(0, 10));
  });

  it('gives real clients an id of moderate length', () => {
    const { register } = stage();
    const code = register({
      client_name: 'Visual Studio Code',
      client_uri: 'https://code.visualstudio.com',
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      redirect_uris: [
        'https://insiders.vscode.dev/redirect',
        'https://vscode.dev/redirect',
        'http://127.0.0.1/',
        'http://127.0.0.1:33418/',
      ],
    });
    expect(code.status).toBe(201);
    expect(idOf(code).length).toBeLessThan(400);
    const cursor = register({
      client_name: 'Cursor',
      redirect_uris: [
        'cursor://anysphere.cursor-mcp/oauth/callback',
        'https://www.cursor.com/agents/mcp/oauth/callback',
        'http://localhost:8787/callback',
      ],
    });
    expect(cursor.body['redirect_uris']).toHaveLength(3);
  });

  it.each([
    ['', 'invalid_client_metadata', 'the body is not a JSON object'],
    ['[]', 'invalid_client_metadata', 'the body is not a JSON object'],
    [`{"a":"${'x'.repeat(17_000)}"}`, 'invalid_client_metadata', 'the body is not a JSON object'],
    [{}, 'invalid_redirect_uri', 'redirect_uris is not a list of at least one URI'],
    [{ redirect_uris: 'https://a.example/' }, 'invalid_redirect_uri', 'redirect_uris is not a list'],
    [{ redirect_uris: [] }, 'invalid_redirect_uri', 'redirect_uris is not a list'],
    [{ redirect_uris: [{}] }, 'invalid_redirect_uri', 'the first is not a text'],
    [{ redirect_uris: ['http://a.example/'] }, 'invalid_redirect_uri', 'the first uses http'],
    [{ redirect_uris: ['https://A.example/é'] }, 'invalid_redirect_uri', 'the first has characters'],
    [{ redirect_uris: ['zed://x/'] }, 'invalid_redirect_uri', "needs 'zed:' in mcp.auth.login.redirects"],
    [
      { redirect_uris: Array.from({ length: 10 }, (_, i) => `https://a.example/${i}${'x'.repeat(300)}`) },
      'invalid_client_metadata',
      'longer than 2048 characters',
    ],
  ])('refuses %j', (metadata, error, description) => {
    const { status, body } = stage().register(metadata);
    expect(status).toBe(400);
    expect(body['error']).toBe(error);
    expect(body['error_description']).toContain(description);
    expect(body['error_description']).toMatch(/^[\x20-\x7e]+$/);
  });

  it('ignores a name that is no text, and shows one that is missing', async () => {
    const { register, find } = stage();
    for (const client_name of [undefined, null, 7, '', '\u200b']) {
      const answer = register({ client_name, redirect_uris: ['https://a.example/'] });
      expect(answer.body).not.toHaveProperty('client_name');
      expect((await find(idOf(answer))).name).toBe('an application without a name');
    }
  });

  it('may be off: 403 with the way to an id', () => {
    const { status, body } = stage({ register: ['cimd'] }).register({
      redirect_uris: ['https://a.example/'],
    });
    expect([status, body['error']]).toEqual([403, 'access_denied']);
    expect(body['error_description']).toContain('mcpstead grants client NAME URI');
  });
});

describe('an id from the operator', () => {
  it('is found with whatever is registered otherwise', async () => {
    const { clients, find } = stage({ register: [] });
    const id = clients.print('Internal tool', ['http://localhost/cb', 'https://a.example/cb']);
    expect(await find(id)).toEqual({
      id,
      kind: 'printed',
      name: 'Internal tool',
      host: undefined,
      redirectUris: ['http://localhost/cb', 'https://a.example/cb'],
    });
  });

  it.each([
    ['', ['https://a.example/'], 'no visible characters'],
    ['x', [], 'needs a redirect URI'],
    ['x', ['https://a.example/', 'javascript:alert(1)'], "'javascript:alert(1)' has the scheme javascript:"],
    ['x', ['zed://x/'], "'zed://x/' needs 'zed:' in mcp.auth.login.redirects"],
    ['x', ['https://a.example/\u202e\n'], "'https://a.example/??' has characters"],
    ['x', Array.from({ length: 11 }, (_, i) => `https://a.example/${i}`), 'at most 10'],
    [
      'x',
      Array.from({ length: 9 }, (_, i) => `https://a.example/${i}${'x'.repeat(300)}`),
      'longer than 2048',
    ],
  ])('is not made of %j and %j', (name, uris, why) => {
    expect(() => stage().clients.print(name, uris)).toThrow(why);
  });
});

describe('a client', () => {
  it('is found by its registration, or by its metadata document', async () => {
    const { register, find, addresses } = stage();
    const id = idOf(register({ client_name: 'A', redirect_uris: ['http://localhost/'] }));
    expect(await find(id)).toEqual({
      id,
      kind: 'dcr',
      name: 'A',
      host: undefined,
      redirectUris: ['http://localhost/'],
    });
    expect(await find(DOCUMENT_ID)).toEqual({
      id: DOCUMENT_ID,
      kind: 'cimd',
      name: 'App',
      host: 'app.example',
      redirectUris: ['https://app.example/cb', 'http://localhost/cb'],
    });
    expect((await find('https://app.example:8443/c')).host).toBe('app.example:8443');
    expect(addresses).toEqual(['a', 'a']);
  });

  it('is unknown by any other id', async () => {
    const { find, sent } = stage();
    for (const id of [
      '',
      'x',
      'console',
      'mcpc_',
      'mcpc_x',
      'http://app.example/c',
      `mcpc_${'A'.repeat(9000)}`,
    ]) {
      const { kind, text } = await problemOf(find(id));
      expect([kind, text.startsWith('This application is not registered here.')]).toEqual(['unknown', true]);
    }
    expect(sent).toEqual([]);
  });

  it('of another issuer, purpose or key is unknown; a key that was added keeps ids', async () => {
    const seals = new Seals([KEY], ISSUER);
    const { register } = stage({ seals });
    const id = idOf(register({ redirect_uris: ['https://a.example/'] }));
    const fresh = Buffer.alloc(32, 8);
    expect((await stage({ seals: new Seals([fresh, KEY], ISSUER) }).find(id)).kind).toBe('dcr');
    expect((await problemOf(stage({ seals: new Seals([fresh], ISSUER) }).find(id))).kind).toBe('unknown');
    const elsewhere = new Seals([KEY], 'https://other.example');
    expect((await problemOf(stage({ seals: elsewhere }).find(id))).kind).toBe('unknown');
    const sealed = (purpose: 'client' | 'form', value: object) => `mcpc_${seals.seal(purpose, value)}`;
    const value = { k: 'dcr', u: ['https://a.example/'], t: 1 };
    expect((await stage({ seals }).find(sealed('client', value))).kind).toBe('dcr');
    for (const other of [
      sealed('form', value),
      sealed('client', { ...value, k: 'console' }),
      sealed('client', { ...value, k: 'cimd' }),
      sealed('client', { k: 'dcr' }),
    ])
      expect((await problemOf(stage({ seals }).find(other))).kind).toBe('unknown');
  });

  it('is unknown when its kind is off, without a fetch', async () => {
    const { register, find, sent, reload } = stage();
    const id = idOf(register({ redirect_uris: ['https://a.example/'] }));
    reload({ register: ['cimd'] });
    expect((await problemOf(find(id))).kind).toBe('unknown');
    reload({ register: ['dcr'] });
    expect((await find(id)).kind).toBe('dcr');
    expect((await problemOf(find(DOCUMENT_ID))).kind).toBe('unknown');
    expect(sent).toEqual([]);
  });

  it('has the redirect URIs that are allowed now', async () => {
    const { register, find, reload } = stage();
    const id = idOf(register({ redirect_uris: ['https://a.example/', 'http://localhost/', 'cursor://x/'] }));
    reload({ redirects: ['a.example', 'app.example'] });
    expect((await find(id)).redirectUris).toEqual(['https://a.example/']);
    expect((await find(DOCUMENT_ID)).redirectUris).toEqual(['https://app.example/cb']);
    reload({ redirects: ['zed:'] });
    expect((await find(id)).redirectUris).toEqual([]);
  });

  it('with a document of a host that is not allowed, or under another URL, is refused without a fetch', async () => {
    const { find, sent } = stage({ redirects: ['a.example', 'loopback'] });
    const { kind, text, message } = await problemOf(find(DOCUMENT_ID));
    expect([kind, text.includes('app.example'), message]).toEqual([
      'refused',
      true,
      'app.example is not in mcp.auth.login.redirects: add it to allow its clients',
    ]);
    for (const id of [
      'https://a.example/',
      'https://a.example/c?x',
      'https://a.example/%2e%2e/c',
      'https://',
    ])
      expect((await problemOf(find(id))).kind).toBe('refused');
    expect(sent).toEqual([]);
  });

  it('may have its document at a private address if `redirects` names the host in full', async () => {
    const { find, sent, reload } = stage({ redirects: ['*', '*.example'] });
    await find(DOCUMENT_ID);
    reload({ redirects: ['*', 'app.example'] });
    await find(DOCUMENT_ID);
    expect(sent.map(({ guard }) => guard.allowHosts)).toEqual([[], ['app.example:443']]);
  });

  it('waits for a new document where the limiter says so', async () => {
    const { find, limit } = stage();
    limit(3);
    const { kind, retryAfter } = await problemOf(find(DOCUMENT_ID));
    expect([kind, retryAfter]).toEqual(['limited', 3]);
  });
});

describe('a client that was found before', () => {
  it('goes on while its kind is in `register`, its id opens and `redirects` allows its URI', () => {
    const { clients, register, reload } = stage();
    const id = idOf(register({ redirect_uris: ['https://a.example/cb', 'http://localhost/cb'] }));
    const printed = clients.print('x', ['https://a.example/cb']);
    const checks = () => [
      clients.check('dcr', id, 'https://a.example/cb'),
      clients.check('dcr', id, 'http://localhost:4711/cb'),
      clients.check('printed', printed, 'https://a.example/cb'),
      clients.check('cimd', DOCUMENT_ID, 'https://app.example/cb'),
      clients.check('cimd', DOCUMENT_ID, 'http://localhost:4711/cb'),
    ];
    expect(checks()).toEqual([true, true, true, true, true]);
    reload({ register: ['cimd'] });
    expect(checks()).toEqual([false, false, true, true, true]);
    reload({ register: [] });
    expect(checks()).toEqual([false, false, true, false, false]);
    reload({ register: ['cimd', 'dcr'], redirects: ['a.example', 'app.example'] });
    expect(checks()).toEqual([true, false, true, true, false]);
    // The redirect URI passes, the host of the document does not.
    reload({ redirects: ['loopback'] });
    expect(checks()).toEqual([false, true, false, false, false]);
  });

  it('does not with another kind, id or redirect URI', () => {
    const { clients, register } = stage();
    const id = idOf(register({ redirect_uris: ['https://a.example/cb'] }));
    expect(clients.check('printed', id, 'https://a.example/cb')).toBe(false);
    expect(clients.check('cimd', id, 'https://a.example/cb')).toBe(false);
    expect(clients.check('dcr', id, 'https://a.example/other')).toBe(false);
    expect(clients.check('dcr', `${id}A`, 'https://a.example/cb')).toBe(false);
    expect(clients.check('dcr', DOCUMENT_ID, 'https://app.example/cb')).toBe(false);
    expect(clients.check('cimd', 'https://app.example/', 'https://app.example/cb')).toBe(false);
  });
});
