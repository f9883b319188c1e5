import { describe, expect, it } from 'vitest';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { createGateway, type ConfigInput, type LogFields } from '../../src/index.js';
import { silent } from '../../src/observe/log.js';
import { createAuthority } from '../helpers/certificates.js';
import { atEnd } from '../helpers/cleanup.js';
import { runCli, runConfig, tempDir } from '../helpers/cli.js';
import { secureSend } from '../helpers/secure.js';
import { post, send } from '../helpers/http.js';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

const PING = { jsonrpc: '2.0', id: 1, method: 'ping' };
const TOKEN = { authorization: 'Bearer secret-of-operators' };
const env = { MCPSTEAD_BEARER_TOKEN: 'secret-of-operators' };

async function start(config: ConfigInput, variables: NodeJS.ProcessEnv = {}) {
  const lines: [string, LogFields | undefined][] = [];
  const logger = { ...silent, info: (text: string, fields?: LogFields) => void lines.push([text, fields]) };
  const gateway = createGateway(
    { servers: [scriptedStdio('hidden')], host: '127.0.0.1', port: 0, ...config },
    { env: { PATH: process.env['PATH'], ...variables }, logger },
  );
  atEnd(() => gateway.destroy());
  const { url, admin = '' } = await gateway.listen();
  return { gateway, base: url.replace(/\/mcp$/, ''), admin, lines };
}

const status = async (url: string, headers: Record<string, string> = {}): Promise<number> =>
  (await send(url, undefined, { headers })).status;
const reload = async (base: string, headers: Record<string, string> = {}): Promise<number> =>
  (await send(`${base}/-/reload`, '', { headers })).status;
/** Whether `/health` names the servers. */
const names = async (base: string, headers: Record<string, string> = {}): Promise<boolean> => {
  const answer = await send(`${base}/health`, undefined, { headers });
  expect(answer.status).toBe(200);
  return 'servers' in answer.json<object>();
};

describe('admin.port', () => {
  it('serves metrics, reload and the servers of /health instead of the main port', async () => {
    const { base, admin, lines } = await start({ admin: { port: 0 } });
    expect(admin).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(admin).not.toBe(base);
    expect(lines.find(([text]) => text === 'listening')?.[1]).toMatchObject({ url: `${base}/mcp`, admin });
    const text = (await send(`${admin}/metrics`)).text;
    expect(text).toContain('mcpstead_build_info');
    expect(await reload(admin)).toBe(200);
    expect(await status(`${admin}/ready`)).toBe(200);
    expect(await names(admin)).toBe(true);

    expect(await status(`${base}/metrics`)).toBe(404);
    expect(await reload(base)).toBe(404);
    expect(await status(`${base}/ready`)).toBe(200);
    expect(await names(base)).toBe(false);
    expect((await send(`${base}/health`)).json<object>()).toMatchObject({
      status: expect.stringMatching(/ok|degraded/) as string,
    });
    expect((await post(`${base}/mcp`, PING)).status).toBe(200);
    for (const path of ['/mcp', '/sse', '/messages', '/servers/hidden/mcp'])
      expect(await status(`${admin}${path}`)).toBe(404);
    expect((await send(`${admin}/mcp`)).text).toContain('this port is for operators');
  });

  it('checks credentials, Host and Origin like the main port', async () => {
    const { admin } = await start({ admin: { port: 0 }, mcp: { auth: { mode: 'bearer' } } }, env);
    expect(await reload(admin)).toBe(401);
    expect(await reload(admin, TOKEN)).toBe(200);
    expect(await status(`${admin}/metrics`)).toBe(200);
    expect(await status(`${admin}/metrics`, { host: 'evil.example' })).toBe(403);
    expect(await reload(admin, { ...TOKEN, origin: 'https://evil.example' })).toBe(403);
  });

  it('closes with the main port, after it', async () => {
    const { gateway, base, admin } = await start({ admin: { port: 0 } });
    await gateway.close();
    await expect(send(`${base}/health`)).rejects.toThrow('ECONNREFUSED');
    await expect(send(`${admin}/health`)).rejects.toThrow('ECONNREFUSED');
  });

  it('that is in use is an error of the start, and opens nothing', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await until(() => taken.listening);
    atEnd(() => taken.close());
    const { port } = taken.address() as { port: number };
    await expect(start({ admin: { port } })).rejects.toMatchObject({ code: 'EADDRINUSE', port });
    const cli = await runConfig({ port: 0, servers: [], admin: { port } });
    expect(await cli.exit()).toBe(1);
    expect(cli.stderr).toContain(
      `port ${port} on 127.0.0.1 is already in use: stop the other program, or set another with admin.port`,
    );
  });

  it('is closed again if the main port cannot be opened', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await until(() => taken.listening);
    atEnd(() => taken.close());
    const { port } = taken.address() as { port: number };
    const open = (): number =>
      process.getActiveResourcesInfo().filter((each) => each === 'TCPServerWrap').length;
    const before = open();
    await expect(start({ port, admin: { port: 0 } })).rejects.toMatchObject({ code: 'EADDRINUSE', port });
    await until(() => open() === before, 'the end of the port for operators');
  });

  it('has TLS where it is open to others', async () => {
    const authority = createAuthority();
    const { cert, key } = authority.issue({ ip: ['127.0.0.1'] });
    const folder = await tempDir();
    const tls = { cert_file: join(folder, 'cert.pem'), key_file: join(folder, 'key.pem') };
    await writeFile(tls.cert_file, cert);
    await writeFile(tls.key_file, key);
    const loopback = await start({ admin: { port: 0 }, http: { tls } });
    expect(loopback.base).toMatch(/^https:/);
    expect(await status(`${loopback.admin}/ready`)).toBe(200);
    const open = await start({ admin: { port: 0, host: '0.0.0.0' }, http: { tls } });
    expect(open.admin).toMatch(/^https:\/\/0\.0\.0\.0:/);
    const url = `https://127.0.0.1:${new URL(open.admin).port}/metrics`;
    expect((await secureSend(url, { ca: authority.cert })).status).toBe(200);
  });

  it('is what commands for operators ask, and by https where it has TLS', async () => {
    const { cert, key } = createAuthority().issue({ ip: ['127.0.0.1'] });
    const folder = await tempDir();
    const tls = { cert_file: join(folder, 'cert.pem'), key_file: join(folder, 'key.pem') };
    await writeFile(tls.cert_file, cert);
    await writeFile(tls.key_file, key);
    const auth = { mode: 'bearer' };
    const common = { servers: [], policy: { default: 'allow' }, http: { tls }, mcp: { auth } };
    for (const admin of [undefined, { host: '0.0.0.0' }, { host: '127.0.0.1' }]) {
      const cli = await runConfig({ ...common, port: 0, admin: admin && { ...admin, port: 0 } }, { env });
      await cli.listening();
      const [own, operators] = [...cli.stdout.matchAll(/https?:\/\/[\d.]+:(\d+)/g)].map(([, port]) =>
        Number(port),
      );
      const ports = { port: own, ...(admin && { admin: { ...admin, port: operators } }) };
      await writeFile(cli.path, JSON.stringify({ ...common, ...ports }));
      const asked = await Promise.all(
        [
          ['pins', 'list'],
          ['policy', 'explain', '--as', 'bearer'],
        ].map(async (words) => {
          const run = runCli([...words, '--config', cli.path], { env });
          return [await run.exit(), run.stderr];
        }),
      );
      expect(asked).toEqual([
        [0, ''],
        [0, ''],
      ]);
      cli.kill();
    }
  });

  it('must be found in the config before a token is sent', async () => {
    const path = join(await tempDir(), 'config.yaml');
    await writeFile(path, 'port: [');
    const run = runCli(['pins', 'list', '--config', path], { env });
    expect(await run.exit()).toBe(4);
    expect(run.stderr).toContain('or name the gateway with --url');
  });

  it('is what mcpstead health asks', async () => {
    const cli = await runConfig({ port: 0, servers: [], admin: { port: 0 } });
    await cli.listening();
    const admin = await until(() => /admin[^0-9]*(http:\/\/127\.0\.0\.1:(\d+))/.exec(cli.stdout));
    await writeFile(cli.path, JSON.stringify({ port: 1, servers: [], admin: { port: Number(admin[2]) } }));
    const asked = runCli(['health', '-c', cli.path]);
    expect([await asked.exit(), asked.stdout]).toEqual([0, 'ready\n']);
  });
});

describe('a policy without an admin.port', () => {
  const policy = { default: 'deny' as const };
  const auth = { mode: 'bearer' as const };

  it('shows servers and metrics to operators and viewers alone', async () => {
    const { base } = await start({ policy, mcp: { auth } }, env);
    expect(await names(base)).toBe(false);
    expect(await names(base, TOKEN)).toBe(true);
    expect(await status(`${base}/health`, { authorization: 'Bearer wrong' })).toBe(401);
    expect(await status(`${base}/metrics`)).toBe(401);
    expect(await status(`${base}/metrics`, TOKEN)).toBe(200);
    expect(await status(`${base}/ready`)).toBe(200);
  });

  it('names required servers that are missing to operators and viewers alone', async () => {
    const missing = { name: 'missing', url: 'http://127.0.0.1:1/mcp', required: true };
    const { base } = await start({ servers: [missing], policy, mcp: { auth } }, env);
    const ready = (headers = {}) => send(`${base}/ready`, undefined, { headers });
    const [stranger, operator] = [await ready(), await ready(TOKEN)];
    expect([stranger.status, stranger.json()]).toEqual([
      503,
      { ready: false, waiting_for: ['required servers'] },
    ]);
    expect([operator.status, operator.json()]).toEqual([503, { ready: false, waiting_for: ['missing'] }]);
    expect((await ready({ authorization: 'Bearer wrong' })).status).toBe(401);
  });

  it('keeps the servers from those who are neither', async () => {
    const admins = [{ ids: ['key:ops'] }];
    const { base } = await start({ policy, mcp: { auth: { ...auth, admins } } }, env);
    expect(await names(base, TOKEN)).toBe(false);
    const refused = await send(`${base}/metrics`, undefined, { headers: TOKEN });
    expect([refused.status, refused.json().error?.code]).toEqual([403, -32000]);
    expect(refused.text).toContain(
      'this is for operators and viewers: mcp.auth.admins and mcp.auth.viewers name them',
    );
    const reloaded = await send(`${base}/-/reload`, '', { headers: TOKEN });
    expect(reloaded.status).toBe(403);
    expect(reloaded.text).toContain('this is for operators: mcp.auth.admins names them');
  });

  it('lets viewers look, and change nothing', async () => {
    const roles = { admins: [{ ids: ['key:ops'] }], viewers: [{ ids: ['bearer'] }] };
    const { base } = await start({ policy, mcp: { auth: { ...auth, ...roles } } }, env);
    expect(await names(base, TOKEN)).toBe(true);
    expect(await status(`${base}/metrics`, TOKEN)).toBe(200);
    expect(await reload(base, TOKEN)).toBe(403);
  });

  it('knows operators and viewers by their keys', async () => {
    const [ops, viewer, dev] = [createApiKey(), createApiKey(), createApiKey()];
    const entry = (name: string, key: string, groups: string[]) => ({
      name,
      sha256: [hashApiKey(key)],
      groups,
    });
    const { base } = await start({
      policy,
      mcp: {
        auth: {
          keys: [entry('ops', ops, ['sre']), entry('eye', viewer, ['support']), entry('dev', dev, ['dev'])],
          admins: [{ groups: ['sre'] }],
          viewers: [{ ids: ['key:eye'] }],
        },
      },
    });
    const results: unknown[] = [];
    for (const key of [ops, viewer, dev]) {
      const shown = { authorization: `Bearer ${key}` };
      results.push([
        await names(base, shown),
        await status(`${base}/metrics`, shown),
        await reload(base, shown),
      ]);
    }
    expect(results).toEqual([
      [true, 200, 200],
      [true, 200, 403],
      [false, 403, 403],
    ]);
  });

  it('is open to everybody under mode none, as the gateway is', async () => {
    const { base } = await start({ policy });
    expect(await names(base)).toBe(true);
    expect(await status(`${base}/metrics`)).toBe(200);
    expect(await reload(base)).toBe(200);
  });

  it('beside an admin.port shows the servers there', async () => {
    const { base, admin } = await start({ policy, mcp: { auth }, admin: { port: 0 } }, env);
    expect(await names(base, TOKEN)).toBe(false);
    expect(await names(admin)).toBe(true);
    expect(await status(`${admin}/metrics`)).toBe(200);
  });
});

describe('metrics.auth', () => {
  it.each([
    [{ policy: {}, metrics: { auth: 'none' } }, 200],
    [{ metrics: { auth: 'bearer' } }, 401],
    [{ metrics: { auth: 'bearer' }, admin: { port: 0 } }, 401],
    [{ metrics: {} }, 200],
  ] as const)('%j: %i without a token', async (config, expected) => {
    const running = await start({ ...config, mcp: { auth: { mode: 'bearer' } } }, env);
    const door = running.admin || running.base;
    expect(await status(`${door}/metrics`)).toBe(expected);
    expect(await status(`${door}/metrics`, TOKEN)).toBe(200);
  });

  it('takes effect on reload', async () => {
    const config = { servers: [], host: '127.0.0.1', port: 0, mcp: { auth: { mode: 'bearer' as const } } };
    const { gateway, base } = await start(config, env);
    expect(await status(`${base}/metrics`)).toBe(200);
    await gateway.reload({ ...config, policy: { default: 'deny' } });
    expect(await status(`${base}/metrics`)).toBe(401);
    expect(await names(base)).toBe(false);
  });
});
