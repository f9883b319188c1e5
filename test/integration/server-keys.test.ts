/** Servers that are shown a key that a person sets: in a header, and in the environment of a child process. */
import { describe, expect, it } from 'vitest';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { runCli } from '../helpers/cli.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { emptyHome } from '../helpers/home.js';
import { callBody, message, post, send, textOf, type Headers, type JsonRpc } from '../helpers/http.js';
import { call } from '../helpers/modern.js';
import { CONFIG, isUp, needsLogin } from '../helpers/server-login.js';
import { scratchFolder } from '../helpers/state.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

const NAMES = ['alice', 'bob'] as const;
type Name = (typeof NAMES)[number];
const KEYS = { alice: 'alices-key-0001', bob: 'bobs-key-00000002' };

interface Stage {
  readonly running: RunningGateway;
  readonly as: Readonly<Record<Name, Headers>>;
  readonly dir: string;
}

async function stage(server: object, dir = scratchFolder()): Promise<Stage> {
  const keys = NAMES.map((name) => ({ name, key: createApiKey() }));
  const running = await startGateway(
    {
      state: { dir },
      servers: [server],
      mcp: {
        auth: {
          keys: keys.map(({ name, key }) => ({ name, sha256: [hashApiKey(key)] })),
          admins: [{ ids: ['key:alice'] }],
        },
      },
      metrics: { auth: 'none' },
    },
    { wait: [] },
  );
  const as = Object.fromEntries(keys.map(({ name, key }) => [name, { authorization: `Bearer ${key}` }]));
  return { running, as: as as unknown as Stage['as'], dir };
}

/** A server that lets in whoever shows one of its keys. */
async function keyed(valid: Set<string>, header = 'authorization'): Promise<Upstream> {
  const upstream = await createUpstream({
    tools: [tool('t')],
    onCall: (asked) => {
      asked.text(String(asked.received.headers[header]));
    },
  });
  upstream.options.onHttp = (received, res) => {
    const shown = received.headers[header];
    if (typeof shown === 'string' && valid.has(shown.replace('Bearer ', ''))) return undefined;
    res.writeHead(401).end(`no: ${String(shown)}`);
    return true;
  };
  return upstream;
}

async function session({ running }: Stage, as: Headers): Promise<Headers> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
  const opened = await post(running.url, { jsonrpc: '2.0', id: 0, method: 'initialize', params }, as);
  const id = String(opened.headers['mcp-session-id']);
  return { ...as, 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' };
}

const called = async ({ running }: Stage, as: Headers, name = 'x__t', id = '1'): Promise<JsonRpc> =>
  message(await post(running.url, callBody(name, {}, id), as));

const setKey = ({ running }: Stage, as: Headers, key?: string): Promise<Awaited<ReturnType<typeof send>>> =>
  send(`${running.base}/-/api/v1/servers/x/login`, JSON.stringify({ ...(key !== undefined && { key }) }), {
    method: 'POST',
    headers: { ...as, 'content-type': 'application/json' },
  });

const erase = async ({ running }: Stage, as: Headers): Promise<unknown> =>
  (await send(`${running.base}/-/api/v1/connections/x`, undefined, { method: 'DELETE', headers: as })).json();

const connectionOf = async ({ running }: Stage, as: Headers): Promise<unknown> =>
  (await send(`${running.base}/-/api/v1/connections`, undefined, { headers: as })).json<{
    connections: unknown[];
  }>().connections[0];

const stateOf = async ({ running }: Stage) => (await running.health()).servers[0];

describe('a server with one key for everybody', () => {
  it('is not asked without it, serves with it, and is not asked again with one that it refuses', async () => {
    const valid = new Set(['gateway-key-1']);
    const upstream = await keyed(valid, 'x-api-key');
    const server = upstream.entry('x', { auth: { type: 'key', header: 'X-Api-Key' } });
    const at = await stage(server);
    await until(async () => (await stateOf(at))?.state === 'login_required', 'the missing key');
    expect(upstream.requests).toHaveLength(0);
    expect(await stateOf(at)).toMatchObject({ login: { per: 'gateway', reason: 'never' } });
    const alice = await session(at, at.as.alice);
    expect((await called(at, alice)).error?.data).toMatchObject({ reason: 'never', server: 'x' });

    expect((await setKey(at, at.as.bob, 'gateway-key-1')).status).toBe(403);
    expect((await setKey(at, at.as.alice)).json()).toEqual({ server: 'x', key: 'wanted' });
    const wrong = await setKey(at, at.as.alice, 'with spaces');
    expect([wrong.status, wrong.text.includes('with spaces')]).toEqual([400, false]);
    expect((await setKey(at, at.as.alice, 'gateway-key-1')).json()).toEqual({ server: 'x', key: 'kept' });
    await until(async () => (await stateOf(at))?.connected === true, 'the server');
    expect(textOf(await called(at, alice))).toBe('gateway-key-1');
    expect(textOf(await called(at, await session(at, at.as.bob)))).toBe('gateway-key-1');
    expect(await connectionOf(at, at.as.alice)).toMatchObject({
      takes: 'key',
      per: 'gateway',
      state: 'valid',
    });

    valid.delete('gateway-key-1');
    const refused = await called(at, alice);
    expect(refused.error?.data).toMatchObject({ reason: 'revoked' });
    expect(JSON.stringify(refused)).not.toContain('gateway-key-1');
    await until(async () => (await stateOf(at))?.state === 'login_required', 'the refusal');
    await at.running.gateway.close();

    const asked = upstream.requests.length;
    const again = await stage(server, at.dir);
    await until(async () => (await stateOf(again))?.state === 'login_required', 'the refusal of before');
    expect(await stateOf(again)).toMatchObject({ login: { reason: 'revoked' } });
    expect(upstream.requests).toHaveLength(asked);
    valid.add('gateway-key-2');
    await setKey(again, again.as.alice, 'gateway-key-2');
    await until(async () => (await stateOf(again))?.connected === true, 'the server');
    expect(await erase(again, again.as.alice)).toEqual({ done: true });
    await until(async () => (await stateOf(again))?.state === 'login_required', 'the end of the key');
    expect(await erase(again, again.as.alice)).toEqual({ done: false });
  });
});

describe('a server with a key for each user', () => {
  it('gets the key of each, and never that of another', async () => {
    const upstream = await keyed(new Set(Object.values(KEYS)));
    const at = await stage(upstream.entry('x', { auth: { type: 'key', per: 'user' } }));
    const of = { alice: await session(at, at.as.alice), bob: await session(at, at.as.bob) };
    const missing = await called(at, of.alice);
    expect(missing.error?.data).toMatchObject({ reason: 'never' });
    const page = await send((missing.error?.data as { url: string }).url);
    expect(page.text).toContain('type="password"');
    const link = (missing.error?.data as { url: string }).url.split('/').pop() as string;
    const go = (as: Headers, body: object) =>
      send(`${at.running.base}/-/api/v1/logins/${link}`, JSON.stringify(body), {
        method: 'POST',
        headers: { ...as, 'content-type': 'application/json' },
      });
    expect((await go(at.as.bob, { key: KEYS.bob })).status).toBe(404);
    expect((await go(at.as.bob, {})).status).toBe(404);
    expect((await go(at.as.alice, {})).status).toBe(409);
    expect((await go(at.as.alice, { key: KEYS.alice })).json()).toEqual({ server: 'x', key: 'kept' });
    expect((await called(at, of.bob)).error?.data).toMatchObject({ reason: 'never' });
    expect((await setKey(at, at.as.bob, KEYS.bob)).status).toBe(200);
    const who = Array.from({ length: 60 }, (_, i) => NAMES[i % 2] as Name);
    const got = await Promise.all(
      who.map(async (name, i) =>
        textOf(
          i % 3 === 0
            ? await call(at.running.url, 'x__t', {}, { headers: at.as[name] })
            : await called(at, of[name], 'x__t', String(i)),
        ),
      ),
    );
    expect(got).toEqual(who.map((name) => `Bearer ${KEYS[name]}`));
    expect(await erase(at, at.as.bob)).toEqual({ done: true });
    expect((await called(at, of.bob)).error?.data).toMatchObject({ reason: 'revoked' });
    expect(textOf(await called(at, of.alice))).toBe(`Bearer ${KEYS.alice}`);
  });
});

describe('a child process with a key for each user', () => {
  const server = () => ({
    ...scriptedStdio('x', { tools: [], stderr: [] }),
    session: 'per-client',
    auth: { type: 'key', per: 'user', env: 'SERVICE_TOKEN' },
  });
  const keyIn = (answer: JsonRpc): unknown =>
    (JSON.parse(textOf(answer)) as Record<string, unknown>)['SERVICE_TOKEN'];

  it('gets it in its environment, and is started again with another one', async () => {
    const at = await stage(server());
    const of = { alice: await session(at, at.as.alice), bob: await session(at, at.as.bob) };
    expect((await called(at, of.alice, 'x__env')).error?.data).toMatchObject({ reason: 'never' });
    await until(async () => (await stateOf(at))?.state === 'login_required', 'the shared link');
    await setKey(at, at.as.alice, KEYS.alice);
    await until(async () => !(await called(at, of.alice, 'x__env')).error, 'the child');
    expect(keyIn(await called(at, of.alice, 'x__env'))).toBe(KEYS.alice);
    expect((await called(at, of.bob, 'x__env')).error?.data).toMatchObject({ reason: 'never' });
    await setKey(at, at.as.bob, KEYS.bob);
    await until(async () => !(await called(at, of.bob, 'x__env')).error, 'the child');
    expect(keyIn(await called(at, of.bob, 'x__env'))).toBe(KEYS.bob);
    // A modern client of the same user has his key too.
    const modern = (name: Name) => call(at.running.url, 'x__env', {}, { headers: at.as[name] });
    await until(async () => !(await modern('bob')).error, 'the child of the modern client');
    expect(keyIn(await modern('bob'))).toBe(KEYS.bob);

    const pid = textOf(await called(at, of.alice, 'x__pid'));
    const others = textOf(await called(at, of.bob, 'x__pid'));
    await setKey(at, at.as.alice, 'alices-second-key');
    await until(async () => {
      const answer = await called(at, of.alice, 'x__env');
      return !answer.error && keyIn(answer) === 'alices-second-key';
    }, 'the child with the new key');
    expect(textOf(await called(at, of.alice, 'x__pid'))).not.toBe(pid);
    expect(textOf(await called(at, of.bob, 'x__pid'))).toBe(others);
    expect(await erase(at, at.as.alice)).toEqual({ done: true });
    await until(
      async () => (await called(at, of.alice, 'x__env')).error !== undefined,
      'the end of the child',
    );
    expect((await called(at, of.alice, 'x__env')).error?.data).toMatchObject({ reason: 'revoked' });
    expect(textOf(await called(at, of.bob, 'x__pid'))).toBe(others);
  });
});

describe('a key that a person sets', () => {
  it('is a line of stdin for the command, and is neither printed nor in its arguments', async () => {
    const upstream = await keyed(new Set([KEYS.alice]));
    const home = await emptyHome();
    const config = await home.write(
      CONFIG,
      `port: 0\nservers:\n  - name: x\n    url: ${upstream.url}\n    auth: key\n`,
    );
    const gateway = runCli(['--config', config], { env: home.env });
    const base = await gateway.listening();
    await until(() => needsLogin(base), 'the missing key');
    const command = (...words: string[]) =>
      runCli([...words, '--url', base], { env: home.env, input: `${KEYS.alice}\n` });
    const login = command('login', 'x');
    expect([await login.exit(), login.stdout, login.stderr]).toEqual([0, 'the key for x is kept\n', '']);
    await until(() => isUp(base), 'the server');
    const shown = command('connections');
    expect([await shown.exit(), shown.stdout]).toEqual([0, expect.stringMatching(/^x +has a key/)]);
    const out = command('logout', 'x');
    expect([await out.exit(), out.stdout]).toEqual([0, 'logged out of x\n']);
    await until(() => needsLogin(base), 'the end of the key');
    expect(gateway.stdout + gateway.stderr + shown.stdout).not.toContain(KEYS.alice);
  });
});
