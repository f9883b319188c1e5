/**
 * A gateway as a process, one server behind it that wants a login, and a real authorization server (oidc-provider). The server is another
 * gateway, which verifies the tokens.
 */
import { expect } from 'vitest';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { startOidc, type Oidc } from '../fixtures/servers/oidc.mjs';
import { atEnd } from './cleanup.js';
import { runCli, type CliRun } from './cli.js';
import { startGateway, type RunningGateway } from './gateway.js';
import { emptyHome, type Home } from './home.js';
import { callBody, message, post, send, textOf } from './http.js';
import { browse } from './login.js';
import { until } from './wait.js';

export const CONFIG = '.config/mcpstead/config.yaml';

export interface Stage {
  readonly oidc: Oidc;
  /** The server that asks for logins. */
  readonly guarded: RunningGateway;
  readonly home: Home;
  /** The path of the config. */
  readonly config: string;
  /** Starts a gateway with the config, or another one. */
  readonly start: (env?: NodeJS.ProcessEnv, config?: string) => Promise<{ base: string; run: CliRun }>;
}

export interface StageOptions {
  /** Of tokens, in seconds. */
  readonly ttl?: number;
  /** `auth` of the server, as YAML; ISSUER stands for the issuer. */
  readonly auth?: string;
  /** Further lines of the config; URL stands for that of the server. */
  readonly more?: string;
}

export async function stage({ ttl = 300, auth = '', more = '' }: StageOptions = {}): Promise<Stage> {
  const oidc = await startOidc({ ttl });
  atEnd(() => {
    oidc.close();
  });
  const upstream = await createUpstream({ tools: [tool('echo')] });
  const open = await createUpstream({ tools: [tool('free')] });
  const guarded = await startGateway(
    {
      servers: [upstream.entry('one')],
      mcp: { auth: { issuers: [{ name: 'corp', issuer: oidc.issuer }], scopes: ['read'] } },
      metrics: { auth: 'none' },
    },
    { wait: [] },
  );
  const home = await emptyHome();
  const servers = `servers:
  - name: x
    url: ${guarded.url}
${auth}  - name: open
    url: ${open.url}
${more}`;
  const filled = servers.replaceAll('ISSUER', oidc.issuer).replaceAll('URL', guarded.url);
  const config = await home.write(CONFIG, `port: 0\n${filled}`);
  return {
    oidc,
    guarded,
    home,
    config,
    async start(env = {}, path = config) {
      const run = runCli(['--config', path], { env: { ...home.env, X_SECRET: 'machine-secret', ...env } });
      return { base: await run.listening(), run };
    },
  };
}

interface Shown {
  servers: {
    name: string;
    state: string;
    connected: boolean;
    last_error: string | null;
    login?: { reason?: string };
  }[];
}

export const healthOf = async (base: string, server = 'x') =>
  (await send(`${base}/health`)).json<Shown>().servers.find(({ name }) => name === server);
export const isUp = async (base: string, server = 'x'): Promise<boolean> =>
  (await healthOf(base, server))?.connected === true;
export const needsLogin = async (base: string, server = 'x'): Promise<boolean> =>
  (await healthOf(base, server))?.state === 'login_required';

/** Answers the login that a command has printed, as a person does. Returns the address that the browser ends at. */
export async function answered(run: CliRun): Promise<URL> {
  await until(() => /\n {2}(http\S+)\n/.test(run.stderr), 'the address of the login');
  const url = new URL(/\n {2}(http\S+)\n/.exec(run.stderr)?.[1] ?? '');
  return browse(url, url.searchParams.get('redirect_uri') ?? '');
}

/** Logs in by the command, at a running gateway. Returns the address that the browser ended at. */
export async function logIn(
  home: Home,
  base: string,
  server = 'x',
  env: NodeJS.ProcessEnv = {},
): Promise<URL> {
  const run = runCli(['login', server, '--no-browser', '--url', base], { env: { ...home.env, ...env } });
  const back = await answered(run);
  const page = await fetch(back);
  expect([page.status, page.url, await page.text()]).toEqual([
    200,
    `${base}/-/login/done`,
    expect.stringContaining('You are logged in'),
  ]);
  expect([await run.exit(), run.stdout]).toEqual([0, `logged in to ${server}\n`]);
  await until(() => isUp(base, server), 'the server');
  return back;
}

/** What a call of the server is answered. */
export const callOnce = async (base: string, server = 'x'): Promise<string> => {
  const answer = message(await post(`${base}/mcp`, callBody(`${server}__one__echo`, { a: 1 }, '2')));
  return answer.error ? answer.error.message : textOf(answer);
};
export const CALLED = '{"a":1}';
