/** Which client the gateway is, and what it sends to become one. */
import { clientMetadata } from '../../../src/config/client-metadata.js';
import { expect, it } from 'vitest';
import { clientFor, type ClientDeps, type RegisteredClient } from '../../../src/credentials/clients.js';
import { changeClient, readClient, writeClient } from '../../../src/credentials/grants.js';
import { memoryState } from '../../../src/state/memory.js';
import { AUTH, failure, OPEN, scripted, SERVER, type Reply } from '../../helpers/credentials.js';

const REDIRECT = 'http://127.0.0.1:8080/-/oauth/callback';
const REGISTER = 'POST https://as.example/register';
const { signal } = new AbortController();

function setup(reply: Reply | ((request: { body?: string }) => Reply), more: Partial<ClientDeps> = {}) {
  const { fetch, asked, sent } = scripted({ [REGISTER]: reply });
  const kept: [string, RegisteredClient][] = [];
  const deps: ClientDeps = {
    fetch,
    guard: OPEN,
    document: undefined,
    redirectUri: REDIRECT,
    known: () => Promise.resolve(undefined),
    alone: (_issuer, _redirectUri, _signal, work) => work(),
    keep: (asked_, registered) => {
      kept.push([asked_, registered]);
      return Promise.resolve();
    },
    now: () => 1000,
    secret: () => Promise.resolve(undefined),
    ...more,
  };
  const bodies = () => sent.map(({ body }) => JSON.parse(body ?? '') as Record<string, unknown>);
  return { deps, asked, kept, bodies };
}

it('registers a public native client, and keeps it', async () => {
  const { deps, kept, bodies } = setup({ status: 201, body: { client_id: 'id' } });
  const server = { ...SERVER, token_endpoint_auth_methods_supported: ['client_secret_basic', 'none'] };
  const client = { issuer: SERVER.issuer, id: 'id', kind: 'registered', authentication: { method: 'none' } };
  expect(await clientFor(server, AUTH, deps, signal)).toEqual({ client, redirectUri: REDIRECT });
  expect(bodies()).toEqual([clientMetadata(REDIRECT)]);
  expect(bodies()[0]).toMatchObject({ application_type: 'native', token_endpoint_auth_method: 'none' });
  expect(kept).toEqual([
    [REDIRECT, { client, redirectUri: REDIRECT, registeredAt: 1000, secretExpires: undefined }],
  ]);
});

it.each([
  ['https://gw.example/cb', 'web'],
  ['https://127.evil.example/cb', 'web'],
  ['http://localhost:1/cb', 'native'],
  ['http://[::1]:1/cb', 'native'],
])('%s is a redirect URI of type %s', (uri, type) => {
  expect(clientMetadata(uri)['application_type']).toBe(type);
});

it.each<[object, readonly string[] | undefined, string, object]>([
  [{ client_secret: 's' }, undefined, 'client_secret_basic', { method: 'client_secret_basic', secret: 's' }],
  [
    { client_secret: 's', token_endpoint_auth_method: 'client_secret_post' },
    undefined,
    'client_secret_basic',
    { method: 'client_secret_post', secret: 's' },
  ],
  [
    { client_secret: 's' },
    ['client_secret_post'],
    'client_secret_post',
    { method: 'client_secret_post', secret: 's' },
  ],
  [{ client_secret: 's', token_endpoint_auth_method: 'none' }, ['none'], 'none', { method: 'none' }],
  // It asked for none, and got one without a word.
  [{ client_secret: 's' }, ['none'], 'none', { method: 'client_secret_basic', secret: 's' }],
  [
    { client_secret: 's' },
    ['none', 'client_secret_post'],
    'none',
    { method: 'client_secret_post', secret: 's' },
  ],
  [{}, ['client_secret_basic'], 'client_secret_basic', { method: 'none' }],
])('an answer of %j from a server with %j', async (answer, methods, asked, authentication) => {
  const { deps, bodies } = setup({ status: 200, body: { client_id: 'id', ...answer } });
  const server = methods ? { ...SERVER, token_endpoint_auth_methods_supported: methods } : SERVER;
  expect((await clientFor(server, AUTH, deps, signal)).client.authentication).toEqual(authentication);
  expect(bodies()[0]?.['token_endpoint_auth_method']).toBe(asked);
});

it('asks again with localhost where 127.0.0.1 is refused, once', async () => {
  const { deps, kept, bodies } = setup(({ body }) =>
    body?.includes('127.0.0.1')
      ? { status: 400, body: { error: 'invalid_redirect_uri' } }
      : { status: 201, body: { client_id: 'id' } },
  );
  const local = REDIRECT.replace('127.0.0.1', 'localhost');
  expect((await clientFor(SERVER, AUTH, deps, signal)).redirectUri).toBe(local);
  expect(bodies().map(({ redirect_uris }) => redirect_uris)).toEqual([[REDIRECT], [local]]);
  expect(kept[0]?.[0]).toBe(REDIRECT);
  const refusing = setup({ status: 400, body: { error: 'invalid_redirect_uri' } });
  expect((await failure(clientFor(SERVER, AUTH, refusing.deps, signal))).message).toContain(
    'invalid_redirect_uri',
  );
  expect(refusing.bodies()).toHaveLength(2);
});

it.each<[Reply, string, string]>([
  [
    { status: 200, body: { error: 'access_denied', error_description: 'a\r\nb' } },
    'config',
    'https://as.example refuses the registration: access_denied (a b)',
  ],
  [
    { status: 403, body: { error: 'unapproved' } },
    'config',
    'https://as.example refuses the registration: unapproved',
  ],
  [{ status: 403, body: 'no' }, 'config', 'https://as.example answered HTTP 403 to the registration'],
  [{ status: 302, body: '' }, 'config', 'https://as.example answered HTTP 302 to the registration'],
  [
    { status: 201, body: '<html>' },
    'config',
    'https://as.example answered the registration without a client_id',
  ],
  [
    { status: 201, body: { client_id: 'x'.repeat(5000) } },
    'config',
    'https://as.example answered the registration without a client_id',
  ],
  [503, 'temporary', 'https://as.example answered HTTP 503 to the registration'],
  [429, 'temporary', 'https://as.example answered HTTP 429 to the registration'],
  [new Error('closed'), 'temporary', 'as.example does not answer: closed'],
])('%j', async (reply, kind, text) => {
  const { deps, kept } = setup(reply);
  const error = await failure(clientFor(SERVER, AUTH, deps, signal));
  expect([error.kind, error.message, kept]).toEqual([kind, text, []]);
});

it('takes a known client, until its secret ends', async () => {
  const client = {
    issuer: SERVER.issuer,
    id: 'known',
    kind: 'registered',
    authentication: { method: 'none' },
  } as const;
  for (const [secretExpires, id] of [
    [undefined, 'known'],
    [70_000, 'known'],
    [50_000, 'new'],
  ] as const) {
    const known: RegisteredClient = { client, redirectUri: REDIRECT, registeredAt: 0, secretExpires };
    const { deps } = setup(
      { status: 201, body: { client_id: 'new' } },
      { known: () => Promise.resolve(known) },
    );
    expect((await clientFor(SERVER, AUTH, deps, signal)).client.id).toBe(id);
  }
});

it('a document comes before a registration, a given client before both', async () => {
  const document = 'https://gw.example/client.json';
  const { deps, asked } = setup(404, { document, secret: () => Promise.resolve('s') });
  const server = { ...SERVER, client_id_metadata_document_supported: true };
  expect((await clientFor(server, AUTH, deps, signal)).client).toMatchObject({
    id: document,
    kind: 'document',
  });
  const auth = { ...AUTH, client_id: 'own', issuer: 'https://as.example/' };
  expect((await clientFor(server, auth, deps, signal)).client).toMatchObject({
    id: 'own',
    kind: 'given',
    authentication: { method: 'client_secret_basic', secret: 's' },
  });
  expect(asked).toEqual([]);
});

it('a secret goes to no other issuer', async () => {
  let isRead = false;
  const { deps, asked } = setup(404, {
    secret: () => {
      isRead = true;
      return Promise.resolve('s3cret');
    },
  });
  const auth = { ...AUTH, client_id: 'own', issuer: 'https://b.example' };
  const error = await failure(clientFor(SERVER, auth, deps, signal));
  expect(error.message).toBe('names https://as.example, auth.issuer is https://b.example: nothing was sent');
  expect(asked).toEqual([]);
  expect([isRead, error.message.includes('s3cret')]).toEqual([true, false]);
});

it('says what to do where none can be had', async () => {
  const { registration_endpoint: _, ...server } = SERVER;
  const { deps } = setup(404, { document: 'https://gw.example/client.json' });
  expect((await failure(clientFor(server, AUTH, deps, signal))).message).toBe(
    `https://as.example takes no registration: register a client with the redirect URI ${REDIRECT}, set auth.client_id`,
  );
});

it('what is noted about a client changes no other one', async () => {
  const state = memoryState();
  const client = {
    issuer: SERVER.issuer,
    id: 'a',
    kind: 'registered',
    authentication: { method: 'none' },
  } as const;
  await writeClient(state, REDIRECT, {
    client,
    redirectUri: REDIRECT,
    registeredAt: 0,
    secretExpires: undefined,
  });
  await changeClient(state, { ...client, id: 'b' }, REDIRECT, undefined);
  await changeClient(state, { ...client, id: 'b' }, REDIRECT, { unanswered: true });
  expect((await readClient(state, SERVER.issuer, REDIRECT))?.unanswered).toBeUndefined();
  await changeClient(state, client, REDIRECT, { unanswered: true });
  expect((await readClient(state, SERVER.issuer, REDIRECT))?.unanswered).toBe(true);
  await changeClient(state, client, REDIRECT, undefined);
  expect(await readClient(state, SERVER.issuer, REDIRECT)).toBeUndefined();
});
