/** What may happen to a login while gateways use it: processes that stop, clocks that are off, disks that are full, records that are damaged. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync, chmodSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createConsoleKey } from '../../src/lib/console-key.js';
import { createUpstream, tool, type Received } from '../fixtures/servers/http-upstream.js';
import { startOidc, type Oidc } from '../fixtures/servers/oidc.mjs';
import { atEnd } from '../helpers/cleanup.js';
import { runCli, tempDir, tempFile } from '../helpers/cli.js';
import { callBody, message, post, send, textOf } from '../helpers/http.js';
import {
  answered,
  CALLED,
  callOnce,
  healthOf,
  isUp,
  logIn,
  needsLogin,
  stage,
} from '../helpers/server-login.js';
import { until } from '../helpers/wait.js';

const tokenRequests = ({ asked }: Oidc): number => asked.filter((path) => path === '/token').length;
const STATE = '.local/state/mcpstead';
/** A second login at the same server. */
const SECOND = '  - name: y\n    url: URL\n';

it('a gateway that was stopped past the end of its token renews it once for fifty calls', async () => {
  const { oidc, home, start } = await stage({ ttl: 3 });
  const { base, run } = await start();
  await until(() => needsLogin(base), 'the refusal');
  await logIn(home, base);
  run.kill('SIGSTOP');
  const before = tokenRequests(oidc);
  const end = Date.now() + 3500;
  // Further tokens live longer than the test.
  oidc.live(300);
  const calls = Array.from({ length: 50 }, () => callOnce(base));
  await until(() => Date.now() > end, 'the end of the token');
  run.kill('SIGCONT');
  expect(new Set(await Promise.all(calls))).toEqual(new Set([CALLED]));
  expect([before, tokenRequests(oidc)]).toEqual([1, 2]);
});

it('two gateways and commands on one folder renew each token once', async () => {
  const { oidc, home, config, start } = await stage({ ttl: 3 });
  const text = readFileSync(config, 'utf8');
  const [second, third] = [await home.write('second.yaml', text), await home.write('third.yaml', text)];
  const gateways = [await start(), await start({}, second)];
  for (const { base } of gateways) await until(() => needsLogin(base), 'the refusal');
  // No gateway runs with this config: the command logs in itself.
  const login = runCli(['login', 'x', '--no-browser', '--config', third], { env: home.env });
  expect((await fetch(await answered(login))).status).toBe(200);
  expect([await login.exit(), login.stdout]).toEqual([0, 'logged in to x\n']);
  for (const { base } of gateways) await until(() => isUp(base), 'the server');
  const answers: string[] = [];
  const first = tokenRequests(oidc);
  await Promise.all(
    gateways.flatMap(({ base }) =>
      [1, 2].map(async () => {
        while (tokenRequests(oidc) < first + 5) answers.push(await callOnce(base));
      }),
    ),
  );
  expect(new Set(answers)).toEqual(new Set([CALLED]));
  const metrics = await Promise.all(gateways.map(async ({ base }) => (await send(`${base}/metrics`)).text));
  for (const each of metrics)
    expect(each).not.toMatch(/mcpstead_oauth_refresh_total\{server="x",result="(denied|error)"\} [1-9]/);
  const out = await home.run(['logout', 'x', '--config', third]);
  expect([out.status, out.stdout]).toEqual([0, 'logged out of x\n']);
  for (const { base } of gateways)
    await until(async () => (await callOnce(base)).includes('needs a login'), 'the end of the login');
});

it('an issuer that refuses a refresh early is asked once more at the end of the token', async () => {
  const { oidc, home, start } = await stage({ ttl: 6 });
  const { base } = await start();
  await until(() => needsLogin(base), 'the refusal');
  let requests = 0;
  oidc.intercept((req, res) => {
    // The first one is that of the login.
    if (req.url !== '/token' || ++requests !== 2) return false;
    res.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}');
    return true;
  });
  await logIn(home, base);
  const answers = new Set<string>();
  const isRenewed = async (): Promise<boolean> =>
    /mcpstead_oauth_refresh_total\{server="x",result="success"\} [1-9]/.test(
      (await send(`${base}/metrics`)).text,
    );
  await until(async () => {
    answers.add(await callOnce(base));
    return isRenewed();
  }, 'the renewal at the end');
  expect(requests).toBeGreaterThan(2);
  expect([answers, await callOnce(base)]).toEqual([new Set([CALLED]), CALLED]);
});

it.each([-3_600_000, 3_600_000])('a clock that is off by %i ms does no harm', async (ms) => {
  const clock = await tempFile('clock.mjs', `const now = Date.now; Date.now = () => now() + ${ms};\n`);
  const { oidc, home, start } = await stage({ ttl: 3 });
  const { base } = await start({ NODE_OPTIONS: `--import=${clock}`, WIRE_RECORD: '' });
  await until(() => needsLogin(base), 'the refusal');
  await logIn(home, base);
  const before = tokenRequests(oidc);
  const answers = new Set<string>();
  while (tokenRequests(oidc) < before + 3) answers.add(await callOnce(base));
  expect(answers).toEqual(new Set([CALLED]));
});

/** A folder in a file system of one megabyte, which only root can mount; undefined: this is not root. */
async function smallDisk(): Promise<string | undefined> {
  const dir = await tempDir();
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir]).status !== 0) return undefined;
  atEnd(() => execFileSync('umount', ['-l', dir]));
  return dir;
}

it('on a full disk calls go on, and the last token is written once there is room', async () => {
  const dir = (await smallDisk()) ?? (await tempDir());
  const isSmall = statSync(dir).dev !== statSync(join(dir, '..')).dev;
  const { oidc, home, config, start } = await stage({ ttl: 3 });
  const at = await home.write('full.yaml', `state: {dir: ${dir}}\n${readFileSync(config, 'utf8')}`);
  // The recorder of the tests writes files too.
  const key = createConsoleKey();
  const env = { NODE_OPTIONS: '', WIRE_RECORD: '', MCPSTEAD_CONSOLE_KEY: key };
  const { base, run } = await start(env, at);
  await until(() => needsLogin(base), 'the refusal');
  await logIn(home, base, 'x', env);
  const lastsLong = async (): Promise<boolean> => {
    const headers = { authorization: `Bearer ${key}` };
    const shown = await send(`${base}/-/api/v1/connections`, undefined, { headers });
    const { connections } = shown.json<{ connections: { server: string; expires: string | null }[] }>();
    const expires = connections.find(({ server }) => server === 'x')?.expires ?? '';
    return Date.parse(expires) > Date.now() + 60_000;
  };
  const limit = (bytes: string): void => {
    execFileSync('prlimit', ['--pid', String(run.pid), `--fsize=${bytes}:unlimited`]);
  };
  const ballast = join(dir, 'ballast');
  if (isSmall)
    expect(() => {
      writeFileSync(ballast, Buffer.alloc(2 * 1024 * 1024));
    }).toThrow('ENOSPC');
  else limit('64');
  const before = tokenRequests(oidc);
  const answers = new Set<string>();
  while (tokenRequests(oidc) < before + 2) answers.add(await callOnce(base));
  expect(answers).toEqual(new Set([CALLED]));
  oidc.live(300);
  while (!(await lastsLong())) answers.add(await callOnce(base));
  const asked = tokenRequests(oidc);
  const times = (): string =>
    readdirSync(join(dir, 'credentials'))
      .filter((name) => name.endsWith('.cred'))
      .map((name) => statSync(join(dir, 'credentials', name)).mtimeMs)
      .join();
  const old = times();
  if (isSmall) rmSync(ballast);
  else limit('unlimited');
  await until(() => times() !== old, 'the record');
  run.kill('SIGKILL');
  await run.exit();
  const next = await start(env, at);
  await until(() => isUp(next.base), 'the server');
  expect([await callOnce(next.base), tokenRequests(oidc)]).toEqual([CALLED, asked]);
});

it.each([401, 403, 404])(
  'a session that its server binds to a token, and ends with HTTP %i, is opened anew',
  async (status) => {
    const oidc = await startOidc({ ttl: 3 });
    atEnd(() => {
      oidc.close();
    });
    const tokens = new Map<string, string>();
    let opened = 0;
    const upstream = await createUpstream({ tools: [tool('t')], sessions: true, getStream: false });
    upstream.options.onHttp = ({ path, headers, message: { method } }: Received, res: ServerResponse) => {
      if (path === '/metadata') {
        res.writeHead(200, { 'content-type': 'application/json' });
        const issuers = [oidc.issuer];
        res.end(
          JSON.stringify({
            resource: upstream.url,
            authorization_servers: issuers,
            scopes_supported: ['read'],
          }),
        );
        return true;
      }
      const token = headers.authorization;
      const session = String(headers['mcp-session-id'] ?? '');
      const refuse = (code: number): boolean => {
        const challenge = `Bearer resource_metadata="${upstream.origin}/metadata"`;
        res.writeHead(code, code === 401 ? { 'www-authenticate': challenge } : {}).end('no');
        return true;
      };
      if (token === undefined) return refuse(401);
      if (method === 'initialize') opened++;
      if (session === '') return false;
      if (!tokens.has(session)) tokens.set(session, token);
      return tokens.get(session) === token ? false : refuse(status);
    };
    const { home, start } = await stage();
    const entry = `port: 0\nservers:\n  - name: x\n    url: ${upstream.url}\n`;
    const { base } = await start({}, await home.write('bound.yaml', entry));
    await until(() => needsLogin(base), 'the refusal');
    await logIn(home, base);
    const before = tokenRequests(oidc);
    const answers = new Set<string>();
    const states = new Set<string | undefined>();
    while (tokenRequests(oidc) < before + 3 || opened < 3) {
      const answer = message(await post(`${base}/mcp`, callBody('x__t', {}, 1)));
      answers.add(answer.error ? answer.error.message : textOf(answer));
      states.add((await healthOf(base))?.state);
    }
    expect([answers, states]).toEqual([new Set(['{}']), new Set(['up'])]);
  },
);

it('two names of one url have a login each; a flipped byte ends that one alone', async () => {
  const { home, start } = await stage({ more: SECOND });
  const first = await start();
  const names = ['x', 'y'];
  for (const name of names) {
    await until(() => needsLogin(first.base, name), 'the refusal');
    await logIn(home, first.base, name);
  }
  first.run.kill('SIGKILL');
  await first.run.exit();
  const folder = home.at(`${STATE}/credentials`);
  // The record of a client is smaller than that of a login.
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.cred'))
    .map((name) => join(folder, name))
    .sort((a, b) => statSync(b).size - statSync(a).size);
  const [damaged = ''] = files;
  const bytes = readFileSync(damaged);
  const at = bytes.length - 20;
  bytes[at] = bytes[at] === 0x41 ? 0x42 : 0x41;
  writeFileSync(damaged, bytes);
  const second = await start();
  const isUpOrAsks = async (name: string): Promise<boolean> =>
    (await isUp(second.base, name)) || needsLogin(second.base, name);
  for (const name of names) await until(() => isUpOrAsks(name), 'the server');
  const up = await Promise.all(names.map((name) => isUp(second.base, name)));
  expect(up.filter(Boolean)).toHaveLength(1);
  const reasons = await Promise.all(
    names.map(async (name) => (await healthOf(second.base, name))?.login?.reason ?? 'none'),
  );
  expect(reasons.sort()).toEqual(['none', 'unreadable']);
  expect(readdirSync(folder).filter((name) => name.endsWith('.bad'))).toHaveLength(1);
});

const stateKey = (byte: number): string => Buffer.alloc(32, byte).toString('base64url');

it('another state key finds no login and changes nothing; the right one finds it again', async () => {
  const { home, start } = await stage();
  const right = { MCPSTEAD_STATE_KEY: stateKey(1), MCPSTEAD_CONSOLE_KEY: createConsoleKey() };
  const first = await start(right);
  await until(() => needsLogin(first.base), 'the refusal');
  await logIn(home, first.base, 'x', right);
  first.run.kill();
  await first.run.exit();
  const folder = home.at(`${STATE}/credentials`);
  const files = (): string[] =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.cred'))
      .map((name) => `${name} ${readFileSync(join(folder, name), 'utf8')}`)
      .sort();
  const before = files();
  const wrong = await start({ MCPSTEAD_STATE_KEY: stateKey(2) });
  await until(() => needsLogin(wrong.base), 'the refusal');
  expect(files()).toEqual(before);
  wrong.run.kill();
  await wrong.run.exit();
  const again = await start(right);
  await until(() => isUp(again.base), 'the server');
  expect(await callOnce(again.base)).toBe(CALLED);
});

it('a folder of logins that others may read is refused with the command that helps; a readable state folder is not', async () => {
  const { home, start } = await stage();
  const first = await start();
  await until(() => needsLogin(first.base), 'the refusal');
  await logIn(home, first.base);
  first.run.kill();
  await first.run.exit();
  chmodSync(home.at(STATE), 0o755);
  const second = await start();
  await until(() => isUp(second.base), 'the server');
  second.run.kill();
  await second.run.exit();
  const folder = home.at(`${STATE}/credentials`);
  chmodSync(folder, 0o755);
  const third = await start();
  const shown = await until(async () => {
    const health = await healthOf(third.base);
    return health?.last_error?.includes('chmod') === true && health;
  }, 'the refusal');
  expect([shown.connected, shown.last_error]).toEqual([
    false,
    expect.stringContaining(`chmod 700 ${folder}`),
  ]);
});
