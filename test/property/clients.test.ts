/** Clients: no id is found that was not made here, and whatever a registration or a document contains is refused or made safe. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ClientDocuments, documentIn, documentUrl } from '../../src/authorization-server/client-documents.js';
import { ClientProblem } from '../../src/authorization-server/client-problem.js';
import { Clients } from '../../src/authorization-server/clients.js';
import { isWellFormed, Redirects } from '../../src/authorization-server/redirects.js';
import { Seals } from '../../src/authorization-server/seals.js';
import { answering, DOCUMENT_ID, documentAnswer, documentOf } from '../helpers/client-document.js';

const KEY = Buffer.alloc(32, 7);
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const PLAIN = /^[^\p{C}\p{DI}\p{Zl}\p{Zp}]{1,160}$/u;

function clientsOf(issuer: string) {
  const { fetch, sent } = answering(() => documentAnswer('', { status: 404 }));
  const documents = new ClientDocuments({ fetch, mayFetch: () => 0, now: () => 0 });
  const settings = { register: ['dcr', 'cimd'] as const, redirects: new Redirects(['*']) };
  const clients = new Clients({
    seals: new Seals([KEY], issuer),
    settings: () => settings,
    documents,
    now: () => 0,
  });
  const { signal } = new AbortController();
  return { clients, sent, find: (id: string) => clients.find(id, { address: 'a', signal }) };
}

const here = clientsOf('https://gw.example');
const elsewhere = clientsOf('https://gw.example/');

async function kindOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'found',
    (error: unknown) => (error instanceof ClientProblem ? error.kind : String(error)),
  );
}

it('an altered id is unknown, and so is one of another issuer', async () => {
  const id = here.clients.print('App', ['https://a.example/cb']);
  expect(await kindOf(here.find(id))).toBe('found');
  expect(await kindOf(elsewhere.find(id))).toBe('unknown');
  const altered = fc.oneof(
    fc
      .tuple(fc.nat({ max: id.length - 1 }), fc.constantFrom(...ALPHABET))
      .map(([at, character]) => id.slice(0, at) + character + id.slice(at + 1)),
    fc.nat({ max: id.length - 1 }).map((length) => id.slice(0, length)),
    fc.string({ minLength: 1, maxLength: 5 }).map((more) => id + more),
    fc.constantFrom(...ALPHABET).map((more) => id + more),
    fc
      .tuple(fc.nat({ max: id.length }), fc.string({ minLength: 1, maxLength: 2 }))
      .map(([at, more]) => id.slice(0, at) + more + id.slice(at)),
    fc.string({ maxLength: 60 }).map((text) => `mcpc_${text}`),
    fc.string({ unit: 'binary', maxLength: 60 }),
  );
  await fc.assert(
    fc.asyncProperty(
      altered.filter((other) => other !== id && !other.startsWith('https://')),
      async (other) => {
        expect(await kindOf(here.find(other))).toBe('unknown');
        expect(here.clients.check('printed', other, 'https://a.example/cb')).toBe(false);
      },
    ),
    { numRuns: 1000 },
  );
  expect(here.sent).toEqual([]);
});

const value = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom('none', ['none'], DOCUMENT_ID, 'App', ['https://a.example/cb', 'javascript:x'], null),
  fc.array(fc.oneof(fc.webUrl(), fc.string(), fc.constantFrom('http://localhost/', 'cursor://x/y')), {
    maxLength: 14,
  }),
);
const uris = fc.array(
  fc.oneof(
    fc.webUrl(),
    fc.string(),
    fc.constantFrom('http://localhost/', 'cursor://x/y', 'https://a.example/cb'),
  ),
  { maxLength: 14 },
);
const name = fc.string({ unit: 'binary' });
/** Some members of a document, good ones more often than not. */
const members = fc.record(
  {
    client_id: fc.oneof({ arbitrary: fc.constant(DOCUMENT_ID), weight: 9 }, value),
    client_name: fc.oneof({ arbitrary: name, weight: 5 }, value),
    redirect_uris: fc.oneof({ arbitrary: uris, weight: 5 }, value),
    token_endpoint_auth_method: fc.oneof({ arbitrary: fc.constant('none'), weight: 3 }, value),
    token_endpoint_auth_methods_supported: value,
    ['__proto__']: value,
  },
  { requiredKeys: [] },
);
const bytes = fc.oneof(
  members.map((each) => JSON.stringify({ ...documentOf(), ...each })),
  members.map((each) => JSON.stringify(each)),
  fc.json(),
  fc.string(),
);

it('a document is read completely, or refused', () => {
  fc.assert(
    fc.property(bytes, (text) => {
      let document;
      try {
        document = documentIn(documentAnswer(text), new URL(DOCUMENT_ID));
      } catch (error) {
        expect(error).toBeInstanceOf(ClientProblem);
        expect((error as ClientProblem).kind).toBe('refused');
        return;
      }
      expect(document.name).toMatch(PLAIN);
      expect(document.redirectUris.every(isWellFormed)).toBe(true);
      const said = JSON.parse(text) as Record<string, unknown>;
      expect(said['client_id']).toBe(DOCUMENT_ID);
      expect(said['redirect_uris']).toEqual(expect.arrayContaining([...document.redirectUris]));
    }),
    { numRuns: 1500 },
  );
});

it('a registration is answered by an id that is found again, or by an error', async () => {
  await fc.assert(
    fc.asyncProperty(bytes, async (text) => {
      const answer = here.clients.register(Buffer.from(text)) as {
        status: number;
        body: Record<string, unknown>;
      };
      if (answer.status !== 201) {
        expect(answer.status).toBe(400);
        expect(answer.body['error']).toMatch(/^invalid_(client_metadata|redirect_uri)$/);
        expect(answer.body['error_description']).toMatch(/^[\x20-\x7e]+$/);
        return;
      }
      const id = answer.body['client_id'] as string;
      expect(id.length).toBeLessThanOrEqual(2048);
      const client = await here.find(id);
      expect(client.name).toMatch(PLAIN);
      expect(client.redirectUris).toEqual(answer.body['redirect_uris']);
      expect(client.redirectUris.length).toBeGreaterThan(0);
      expect(client.redirectUris.length).toBeLessThanOrEqual(10);
    }),
    { numRuns: 1000 },
  );
});

it('an id that is a URL is written as it is fetched', () => {
  const piece = fc.constantFrom(
    ...[
      'https://',
      'http://',
      'a.example',
      'A.example',
      '/',
      '//',
      '..',
      '.',
      '%2e',
      '%2E',
      '%2f',
      '%5C',
      '\\',
    ],
    ...['?', '#', '@', ':443', ':8443', 'c', ' ', '\t', 'é'],
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const id = `https://a.example${pieces.join('')}`;
      const url = documentUrl(id);
      if (!url) return;
      expect([url.href, url.protocol, url.username, url.search, url.hash]).toEqual([
        id,
        'https:',
        '',
        '',
        '',
      ]);
      expect(decodeURIComponent(url.pathname).split(/[/\\]/)).not.toContain('..');
      expect(decodeURIComponent(url.pathname).split(/[/\\]/)).not.toContain('.');
    }),
    { numRuns: 3000 },
  );
});
