/**
 * Logins to servers at a real authorization server (oidc-provider). The server that asks for them is another gateway, which verifies the
 * tokens; clients of both SDKs call through the first.
 */
import { describe, expect, it } from 'vitest';
import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernHttp,
} from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { runCli } from '../helpers/cli.js';
import { emptyHome } from '../helpers/home.js';
import { callBody, message, post, send, textOf } from '../helpers/http.js';
import { confirmDevice } from '../helpers/login.js';
import { answered, healthOf, isUp, logIn, needsLogin, stage } from '../helpers/server-login.js';
import { until } from '../helpers/wait.js';

const REVISION = '2026-07-28';
const CALL = callBody('x__one__echo', { a: 1 }, '2');

describe('a server that asks for a login', () => {
  it('says so, and serves after one login, also after the process was killed', async () => {
    const { home, start } = await stage();
    const first = await start();
    await until(() => needsLogin(first.base), 'the refusal');
    expect(await healthOf(first.base)).toMatchObject({
      connected: false,
      last_error: 'needs a login: mcpstead login x',
    });
    expect(textOf(message(await post(`${first.base}/mcp`, callBody('open__free', {}, '1'))))).toBe('{}');
    await logIn(home, first.base);
    const client = new Client({ name: 'test', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(`${first.base}/mcp`)));
    const called = await client.callTool({ name: 'x__one__echo', arguments: { a: 1 } });
    expect(called.content).toEqual([{ type: 'text', text: '{"a":1}' }]);
    await client.close();
    const modern = new ModernClient(
      { name: 'test', version: '1' },
      { versionNegotiation: { mode: { pin: REVISION } } },
    );
    await modern.connect(new ModernHttp(new URL(`${first.base}/mcp`)));
    const again = await modern.callTool({ name: 'x__one__echo', arguments: { a: 1 } });
    expect(again.content).toEqual([{ type: 'text', text: '{"a":1}' }]);
    await modern.close();
    first.run.kill('SIGKILL');
    await first.run.exit();
    const second = await start();
    await until(() => isUp(second.base), 'the server');
    expect(textOf(message(await post(`${second.base}/mcp`, CALL)))).toBe('{"a":1}');
  });

  it('loses no call while its tokens end, and each is renewed once', async () => {
    const { oidc, home, start } = await stage({ ttl: 3 });
    const { base } = await start();
    await until(() => needsLogin(base), 'the refusal');
    await logIn(home, base);
    const before = oidc.asked.filter((path) => path === '/token').length;
    const answers: string[] = [];
    const renewals = (): number => oidc.asked.filter((path) => path === '/token').length - before;
    const caller = async (): Promise<void> => {
      while (renewals() < 4) answers.push(textOf(message(await post(`${base}/mcp`, CALL))));
    };
    await Promise.all([1, 2, 3, 4].map(caller));
    expect(new Set(answers)).toEqual(new Set(['{"a":1}']));
    expect(renewals()).toBe(4);
    const metrics = async (): Promise<string> => (await send(`${base}/metrics`)).text;
    await until(async () =>
      /mcpstead_oauth_refresh_total\{server="x",result="success"\} [4-9]/.test(await metrics()),
    );
    expect(await metrics()).toMatch(/mcpstead_credentials\{server="x",state="(valid|refreshing)"\} 1/);
  });

  it('is logged out of by a command, which withdraws the token', async () => {
    const { oidc, home, start } = await stage();
    const { base } = await start();
    await until(() => needsLogin(base), 'the refusal');
    await logIn(home, base);
    const listed = await home.run(['connections', '--url', base]);
    expect([listed.status, listed.stdout]).toEqual([
      0,
      expect.stringMatching(/\nx +logged in +renewed before 20.* read\n$/),
    ]);
    const out = await home.run(['logout', 'x', '--url', base]);
    expect([out.status, out.stdout]).toEqual([0, 'logged out of x\n']);
    expect(oidc.asked).toContain('/token/revocation');
    await until(() => needsLogin(base), 'the end of the login');
    const refused = message(await post(`${base}/mcp`, CALL));
    expect(refused.error?.message).toContain("upstream 'x' needs a login");
  });

  it('takes a login of a command that runs without a gateway', async () => {
    const { home, start } = await stage();
    const run = runCli(['login', 'x', '--no-browser'], { env: home.env });
    // The command ends once its browser has an answer.
    const page = await fetch(await answered(run), { redirect: 'manual' });
    expect([page.status, page.headers.get('location')]).toEqual([303, '../login/done']);
    expect([await run.exit(), run.stdout]).toEqual([0, 'logged in to x\n']);
    const { base } = await start();
    await until(() => isUp(base), 'the server');
  });

  it('takes a login on another device', async () => {
    const auth = '    auth: {type: oauth, issuer: "ISSUER", client_id: device}\n';
    const { home, start } = await stage({ auth });
    const { base } = await start();
    await until(() => needsLogin(base), 'the refusal');
    const run = runCli(['login', 'x', '--device', '--url', base], { env: home.env });
    await until(() => run.stderr.includes('and type this code there: '), 'the code');
    const url = new URL(/\n {2}(http\S+)\n/.exec(run.stderr)?.[1] ?? '');
    expect(await confirmDevice(url)).toContain('Sign-in Success');
    expect([await run.exit(), run.stdout]).toEqual([0, 'logged in to x\n']);
    await until(() => isUp(base), 'the server');
    expect(textOf(message(await post(`${base}/mcp`, CALL)))).toBe('{"a":1}');
  });

  it('says that a login was refused, and takes the next', async () => {
    const { home, start } = await stage();
    const { base } = await start();
    await until(() => needsLogin(base), 'the refusal');
    const run = runCli(['login', 'x', '--no-browser', '--url', base], { env: home.env });
    const back = await answered(run);
    const { searchParams } = back;
    const denied = new URL(back);
    denied.search = new URLSearchParams({
      error: 'access_denied',
      state: searchParams.get('state') ?? '',
      iss: searchParams.get('iss') ?? '',
    }).toString();
    const page = await fetch(denied);
    expect([page.status, await page.text()]).toEqual([400, expect.stringContaining('access_denied')]);
    expect([await run.exit(), run.stderr]).toEqual([
      1,
      expect.stringContaining('refused the login: access_denied'),
    ]);
    // The code of the first is of no use any more.
    const again = await fetch(back);
    expect([again.status, await again.text()]).toEqual([400, expect.stringContaining('begin it again')]);
    await logIn(home, base);
  });

  it('gets its tokens without a person from a client of the configuration', async () => {
    const auth =
      '    auth: {type: oauth, grant: client_credentials, issuer: "ISSUER", client_id: machine, client_secret_env: X_SECRET, scopes: [read]}\n';
    const { start } = await stage({ auth });
    const { base } = await start();
    await until(() => isUp(base), 'the server');
    expect(textOf(message(await post(`${base}/mcp`, CALL)))).toBe('{"a":1}');
  });

  it('keeps tokens, codes and secrets out of logs, metrics and the API', async () => {
    const { home, start } = await stage();
    const { base, run } = await start();
    await until(() => needsLogin(base), 'the refusal');
    const asking = runCli(['login', 'x', '--no-browser', '--url', base], { env: home.env });
    const back = await answered(asking);
    await fetch(back);
    await asking.exit();
    await until(() => isUp(base), 'the server');
    const key = home.read('.local/state/mcpstead/console.key').trim();
    const texts = [run.stdout, run.stderr, asking.stdout, (await send(`${base}/metrics`)).text];
    for (const path of ['connections', 'servers', 'config', 'logs'])
      texts.push(
        (await send(`${base}/-/api/v1/${path}`, { headers: { authorization: `Bearer ${key}` } })).text,
      );
    const all = texts.join('\n');
    expect(all).toContain('logged in to a server');
    expect(all).not.toContain(back.searchParams.get('code'));
    // A JWT.
    expect(all).not.toMatch(/eyJ[\w-]+\.[\w-]+\./);
  });

  it('prints the document of a client, for whoever hosts it', async () => {
    const home = await emptyHome();
    const url = 'https://static.example/mcpstead.json';
    const printed = await home.run(['connections', '--client-metadata', url]);
    expect([printed.status, JSON.parse(printed.stdout)]).toEqual([
      0,
      {
        client_id: url,
        client_name: 'mcpstead',
        redirect_uris: ['http://127.0.0.1/-/oauth/callback'],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
        application_type: 'native',
      },
    ]);
    for (const wrong of ['http://static.example/a', 'https://static.example', 'x'])
      expect((await home.run(['connections', '--client-metadata', wrong])).status).toBe(2);
  });
});
