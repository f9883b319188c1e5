/** Without `mcp.auth.login`, the gateway is as if there were no sign-in: it answers nothing of it, and loads nothing of it. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { modulesIn } from '../helpers/built-modules.js';
import { atEnd } from '../helpers/cleanup.js';
import { runConfig } from '../helpers/cli.js';
import { post, send, tcp } from '../helpers/http.js';
import { prepareSignIn, signedIn, startProcess } from '../helpers/sign-in.js';
import { until } from '../helpers/wait.js';

/** The modules of this project that a process has loaded: V8 writes down the scripts at its end. */
async function loadedIn(folder: string): Promise<string[]> {
  const files = await readdir(folder);
  const urls = await Promise.all(
    files.map(async (file) => {
      const { result } = JSON.parse(await readFile(join(folder, file), 'utf8')) as {
        result: { url: string }[];
      };
      return result.map(({ url }) => url);
    }),
  );
  return urls
    .flat()
    .flatMap((url) => /\/dist\/(.*\.js)$/.exec(url)?.[1] ?? [])
    .flatMap(modulesIn);
}

async function coverageFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mcpstead-loaded-'));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const PATHS = [
  '/oauth/authorize',
  '/oauth/callback',
  '/oauth/consent',
  '/oauth/jwks',
  '/oauth/register',
  '/oauth/revoke',
  '/oauth/token',
  '/.well-known/oauth-authorization-server',
  '/.well-known/oauth-authorization-server/mcp',
  '/mcp/.well-known/oauth-authorization-server',
];

it('is off without the key: its paths are those that nothing is served at, and nothing of it is loaded', async () => {
  const upstream = await createUpstream({ tools: [tool('look')] });
  const loaded = await coverageFolder();
  const run = await runConfig(
    { host: '127.0.0.1', port: 0, servers: [upstream.entry('one')], metrics: { auth: 'none' } },
    { env: { NODE_V8_COVERAGE: loaded } },
  );
  const base = await run.listening();
  await until(async () => (await fetch(`${base}/ready`)).ok, 'the gateway');
  /** The bytes of an answer, without its date and what names the path. */
  const bytes = async (method: string, path: string): Promise<string> => {
    const connection = await tcp(base);
    connection.write(
      `${method} ${path} HTTP/1.1\r\nHost: ${new URL(base).host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    );
    await connection.done();
    return connection.text
      .replace(/Date: [^\r]*/, '')
      .replace(/Content-Length: \d+/i, '')
      .replaceAll(path, 'PATH');
  };
  for (const method of ['GET', 'POST', 'OPTIONS', 'DELETE'])
    for (const path of PATHS)
      expect([path, await bytes(method, path)]).toEqual([path, await bytes(method, '/nowhere')]);
  const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' } as const;
  expect((await post(`${base}/mcp`, list, { authorization: 'Bearer mcpr_x' })).status).toBe(200);
  expect((await send(`${base}/metrics`)).text).not.toMatch(/^mcpstead_login_/m);
  run.kill();
  await run.exit();
  const modules = await loadedIn(loaded);
  expect(modules).toContain('gateway.ts');
  expect(modules.filter((name) => name.startsWith('authorization-server/'))).toEqual([]);
});

it('loads it with the key', async () => {
  const parts = await prepareSignIn();
  const loaded = await coverageFolder();
  const run = await startProcess(parts, { env: { NODE_V8_COVERAGE: loaded } });
  await signedIn(parts.base);
  run.kill();
  await run.exit();
  expect(await loadedIn(loaded)).toContain('authorization-server/server.ts');
  expect(existsSync(join((parts.config.state as { dir: string }).dir, 'key'))).toBe(true);
});
