import { createServer, type Server } from 'node:http';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { createConsoleFiles } from '../../../src/downstream/http/console.js';
import { atEnd } from '../../helpers/cleanup.js';
import { send } from '../../helpers/http.js';
import { scratchFolder } from '../../helpers/state.js';

async function serving(folder: string): Promise<string> {
  const files = createConsoleFiles(folder);
  const server: Server = createServer((req, res) => void files.serve(req, res, req.url ?? ''));
  atEnd(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function built(): string {
  const folder = scratchFolder();
  mkdirSync(`${folder}/assets`);
  writeFileSync(`${folder}/index.html`, '<!doctype html>');
  writeFileSync(`${folder}/assets/main-Ab12Cd34.js`, 'plain');
  writeFileSync(`${folder}/assets/main-Ab12Cd34.js.br`, 'brotli');
  writeFileSync(`${folder}/assets/main-Ab12Cd34.js.gz`, 'gzip');
  writeFileSync(`${folder}/secret.txt`, 'not of the console');
  return folder;
}

it('serves the page, whatever part of the console its path names', async () => {
  const base = await serving(built());
  for (const path of ['/-/console/', '/-/console/servers/files']) {
    const page = await send(base + path);
    expect([page.status, page.text, page.headers['content-type']]).toEqual([
      200,
      '<!doctype html>',
      'text/html; charset=utf-8',
    ]);
    expect(page.headers['content-security-policy']).toBe(
      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; require-trusted-types-for 'script'; trusted-types 'none'",
    );
    expect(page.headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cache-control': 'no-cache',
    });
  }
  const bare = await send(`${base}/-/console`);
  expect([bare.status, bare.headers.location]).toEqual([308, 'console/']);
});

it('sends what the browser accepts, once', async () => {
  const url = `${await serving(built())}/-/console/assets/main-Ab12Cd34.js`;
  const get = (headers: Record<string, string>): ReturnType<typeof send> => send(url, undefined, { headers });
  expect((await get({ 'accept-encoding': 'gzip, deflate, br' })).text).toBe('brotli');
  expect((await get({ 'accept-encoding': 'gzip, br;q=0' })).text).toBe('gzip');
  const plain = await get({});
  expect([plain.text, plain.headers['content-encoding'], plain.headers.vary]).toEqual([
    'plain',
    undefined,
    'Accept-Encoding',
  ]);
  expect(plain.headers['cache-control']).toContain('immutable');
  const again = await get({ 'if-none-match': String(plain.headers.etag) });
  expect([again.status, again.text]).toEqual([304, '']);
  expect((await get({ 'if-none-match': String(plain.headers.etag), 'accept-encoding': 'br' })).status).toBe(
    200,
  );
});

it('serves nothing else', async () => {
  const base = await serving(built());
  for (const path of [
    'secret.txt',
    '../secret.txt',
    '%2e%2e/secret.txt',
    'assets/main-Ab12Cd34.js.br',
    'x.js',
  ])
    expect((await send(`${base}/-/console/${path}`)).text, path).not.toContain('not of the console');
  expect((await send(`${base}/-/console/x.js`)).status).toBe(404);
  expect((await send(`${base}/-/console/`, '{}')).status).toBe(405);
  expect((await send(`${await serving(scratchFolder())}/-/console/`)).status).toBe(404);
});
