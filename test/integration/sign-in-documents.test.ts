/** Clients that are known by the document at their id: it is fetched over https, and never from where it should not be. */
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { beforeAll, expect, it } from 'vitest';
import { createAuthority } from '../helpers/certificates.js';
import { atEnd } from '../helpers/cleanup.js';
import { tempFile } from '../helpers/cli.js';
import {
  accessRequest,
  prepareSignIn,
  refreshed,
  signedIn,
  startProcess,
  type SignInParts,
} from '../helpers/sign-in.js';

const REDIRECT = 'http://127.0.0.1/callback';

let parts: SignInParts;
let port: number;
const asked: string[] = [];

beforeAll(async () => {
  const authority = createAuthority();
  const server = createServer(authority.issue({ dns: ['localhost'], ip: ['127.0.0.1'] }), (req, res) => {
    const path = req.url ?? '';
    asked.push(`${req.headers.host ?? ''}${path}`);
    const id = `https://${req.headers.host ?? ''}${path}`;
    const json = (body: object, more: Record<string, string> = {}): void => {
      res.writeHead(200, { 'content-type': 'application/json', ...more }).end(JSON.stringify(body));
    };
    const document = { client_id: id, client_name: 'Desk <b>app</b>', redirect_uris: [REDIRECT] };
    switch (path) {
      case '/good.json':
        return json({ ...document, token_endpoint_auth_method: 'none' });
      case '/moved.json':
        return void res.writeHead(302, { location: '/good.json' }).end();
      case '/huge.json':
        return json({ ...document, pad: 'x'.repeat(6000) });
      case '/other.json':
        return json({ ...document, client_id: id.replace('other', 'good') });
      case '/page.json':
        return void res.writeHead(200, { 'content-type': 'text/html' }).end(JSON.stringify(document));
      case '/secret.json':
        return json({ ...document, token_endpoint_auth_method: 'client_secret_basic' });
      case '/down.json':
        return void res.writeHead(500).end();
      default:
        return void res.writeHead(404).end();
    }
  }).listen(0, '127.0.0.1');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise((resolve) => server.once('listening', resolve));
  ({ port } = server.address() as AddressInfo);
  // `localhost` is named in full, and so may be a private address.
  parts = await prepareSignIn({ login: { redirects: ['*', 'localhost'] } });
  await startProcess(parts, { env: { NODE_EXTRA_CA_CERTS: await tempFile('ca.pem', authority.cert) } });
});

const clientAt = (path: string, host = 'localhost') => ({
  id: `https://${host}:${port}${path}`,
  redirectUri: REDIRECT.replace('/callback', ':4444/callback'),
});

it('signs in with one, which is fetched once, and shows where it is from', async () => {
  const client = clientAt('/good.json');
  const page = await (await fetch(accessRequest(parts.base, client).url)).text();
  expect(page).toContain(`(of <bdi>localhost:${port}</bdi>)`);
  expect(page).toContain('Desk &#60;b&#62;app');
  expect(page).not.toContain('not verified');
  const { tokens } = await signedIn(parts.base, { client });
  expect((await refreshed(parts.base, client, tokens.refresh_token)).status).toBe(200);
  expect(asked.filter((each) => each.endsWith('/good.json'))).toHaveLength(1);
});

it.each([
  ['/moved.json', 400, 'redirect'],
  ['/huge.json', 400, '5120'],
  ['/other.json', 400, 'client_id'],
  ['/page.json', 400, 'application/json'],
  ['/secret.json', 400, 'none'],
  ['/missing.json', 400, '404'],
  ['/down.json', 503, 'does not answer'],
])('takes none like %s', async (path, status, words) => {
  const answer = await fetch(accessRequest(parts.base, clientAt(path)).url, { redirect: 'manual' });
  const text = await answer.text();
  expect([answer.status, answer.headers.get('location')]).toEqual([status, null]);
  expect(text).toContain(words);
  expect(text).not.toContain('name="request"');
});

it('connects to no private address that nobody has named, and says nothing about it', async () => {
  const before = asked.length;
  for (const host of ['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '10.0.0.1', '169.254.169.254', '0.0.0.0']) {
    const answer = await fetch(accessRequest(parts.base, clientAt('/good.json', host)).url);
    const text = await answer.text();
    expect([host, answer.status >= 400, text.includes('private')]).toEqual([host, true, false]);
  }
  expect(asked).toHaveLength(before);
});

it.each([
  'http://localhost:PORT/good.json',
  'https://localhost:PORT',
  'https://localhost:PORT/',
  'https://u@localhost:PORT/good.json',
  'https://localhost:PORT/a/../good.json',
  'https://localhost:PORT/good.json?x',
  'https://localhost:PORT/good.json#x',
])('fetches nothing for %s', async (id) => {
  const before = asked.length;
  const client = { ...clientAt(''), id: id.replace('PORT', String(port)) };
  expect((await fetch(accessRequest(parts.base, client).url)).status).toBe(400);
  expect(asked).toHaveLength(before);
});
