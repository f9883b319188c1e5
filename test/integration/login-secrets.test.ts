/** Nothing that a gateway writes, answers or shows holds a secret of a login: tokens, codes, verifiers, client secrets, the state key. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createConsoleKey } from '../../src/lib/console-key.js';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { runCli } from '../helpers/cli.js';
import { callBody, post, send } from '../helpers/http.js';
import { browse } from '../helpers/login.js';
import { answered, callOnce, isUp, needsLogin, stage } from '../helpers/server-login.js';
import { until } from '../helpers/wait.js';

const SECRET = 'machine-secret';
const STATE_KEY = Buffer.alloc(32, 7).toString('base64url');

/** The content of all files below a folder. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [`${path}\n${readFileSync(path, 'latin1')}`];
  });
}

/** The command lines of a process and its children, and the environments of the children. */
function processesOf(pid: number): string[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  const read = (id: string | number, file: string): string => readFileSync(`/proc/${id}/${file}`, 'latin1');
  return [
    read(pid, 'cmdline'),
    ...children.filter(Boolean).flatMap((id) => [read(id, 'cmdline'), read(id, 'environ')]),
  ];
}

it('keeps the secrets of logins out of logs, audit, metrics, answers, pages, command lines and files', async () => {
  // A server that answers with the credential that it was shown.
  const leaky = await createUpstream({ tools: [tool('t')] });
  leaky.options.onHttp = ({ headers, message: { method } }, res) => {
    if (method !== 'tools/call') return false;
    res.writeHead(500, { 'content-type': 'text/plain' }).end(`bad: ${headers.authorization}`);
    return true;
  };
  const machine = `auth: {type: oauth, grant: client_credentials, issuer: "ISSUER", client_id: machine, client_secret_env: X_SECRET}`;
  const { oidc, home, config, start } = await stage({
    ttl: 3,
    more: `  - name: leaky
    url: ${leaky.url}
    ${machine}
  - name: child
    command: ${process.execPath}
    args: [-e, "setInterval(() => {}, 1000)"]
audit: {file: AUDIT}
log: {level: trace}
`,
  });
  const audit = home.at('audit.log');
  await home.write('.config/mcpstead/config.yaml', readFileSync(config, 'utf8').replace('AUDIT', audit));
  const env = { MCPSTEAD_CONSOLE_KEY: createConsoleKey(), MCPSTEAD_STATE_KEY: STATE_KEY };
  const { base, run } = await start(env);
  const texts: string[] = [];
  const collect = async (): Promise<void> => {
    for (const path of ['/metrics', '/health', '/ready']) texts.push((await send(`${base}${path}`)).text);
    const headers = { authorization: `Bearer ${env.MCPSTEAD_CONSOLE_KEY}` };
    for (const path of ['connections', 'servers', 'config', 'logs', 'calls', 'servers/x', 'servers/leaky'])
      texts.push((await send(`${base}/-/api/v1/${path}`, { headers })).text);
    texts.push(...processesOf(run.pid));
  };
  await until(() => needsLogin(base), 'the refusal');
  const command = (...words: string[]): ReturnType<typeof runCli> =>
    runCli([...words, '--url', base], { env: { ...home.env, ...env } });

  // A login that the person refuses, then one that works, and its code once more.
  const refused = command('login', 'x', '--no-browser');
  await until(() => /\n {2}(http\S+)\n/.test(refused.stderr), 'the address of the login');
  const url = new URL(/\n {2}(http\S+)\n/.exec(refused.stderr)?.[1] ?? '');
  const back = await browse(url, url.searchParams.get('redirect_uri') ?? '');
  const [code, state] = [back.searchParams.get('code') ?? '', back.searchParams.get('state') ?? ''];
  const denied = new URLSearchParams({ error: 'access_denied', state });
  denied.set('iss', oidc.issuer);
  await send(`${base}/-/oauth/callback?${denied.toString()}`);
  await refused.exit();
  const login = command('login', 'x', '--no-browser');
  const good = await answered(login);
  for (let times = 0; times < 2; times++) texts.push(await (await fetch(good)).text());
  expect(await login.exit()).toBe(0);
  await until(() => isUp(base), 'the server');

  // Calls, renewals that work, and one that fails with a description that repeats what was sent.
  const before = oidc.secrets.size;
  await until(async () => {
    await callOnce(base);
    return oidc.secrets.size > before + 2;
  }, 'renewals');
  await until(() => isUp(base, 'leaky'), 'the other server');
  texts.push((await post(`${base}/mcp`, callBody('leaky__t', {}, 1))).text);
  await collect();
  oidc.intercept((req, res) => {
    if (req.url !== '/token') return false;
    let body = '';
    req.on('data', (chunk: Buffer) => (body += chunk.toString()));
    req.on('end', () => {
      const token = new URLSearchParams(body).get('refresh_token') ?? '';
      res.writeHead(400, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ error: 'invalid_grant', error_description: `no ${token}` }));
    });
    return true;
  });
  await until(() => needsLogin(base), 'the end of the login');
  texts.push(await callOnce(base));
  await collect();
  oidc.intercept(() => false);
  const again = command('login', 'x', '--no-browser');
  await fetch(await answered(again));
  await again.exit();
  const out = command('logout', 'x');
  await out.exit();
  await collect();
  run.kill();
  await run.exit();

  texts.push(run.stdout, run.stderr, readFileSync(audit, 'utf8'), ...filesBelow(home.path));
  for (const each of [refused, login, again, out]) texts.push(each.stdout);
  const all = texts.join('\n');
  for (const seen of ['logged in to a server', '"server.login"', 'leaky', 'mcpstead_oauth_refresh_total'])
    expect(all).toContain(seen);
  expect(oidc.secrets.size).toBeGreaterThan(8);
  const key = Buffer.from(STATE_KEY, 'base64url');
  const secrets = [...oidc.secrets, code, SECRET, STATE_KEY, key.toString('hex'), key.toString('base64')];
  // A part of a secret is one too; the beginning of a JWT is not.
  const parts = secrets.flatMap((secret) => [secret, secret.slice(-32)]);
  const leaks = parts.filter((part) => all.includes(part));
  expect(
    leaks.map((part) => all.slice(Math.max(0, all.indexOf(part) - 300), all.indexOf(part) + 60)),
  ).toEqual([]);
});
