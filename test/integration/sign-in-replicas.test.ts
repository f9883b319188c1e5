/** Gateways as processes: one that is killed and comes back, two that take turns, and keys that are replaced. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../helpers/cli.js';
import { startFront } from '../helpers/front.js';
import { post } from '../helpers/http.js';
import { createBrowser } from '../helpers/login.js';
import { freePort } from '../helpers/port.js';
import {
  accessRequest,
  decide,
  formOf,
  prepareSignIn,
  refreshed,
  registerClient,
  signedIn,
  signInAt,
  startProcess,
  tokenRequest,
  type SignInParts,
} from '../helpers/sign-in.js';
import { until } from '../helpers/wait.js';

const LIST = { jsonrpc: '2.0', id: 1, method: 'tools/list' } as const;
const status = async (base: string, token: string): Promise<number> =>
  (await post(`${base}/mcp`, LIST, { authorization: `Bearer ${token}` })).status;

describe('a gateway that is killed', () => {
  it('takes up every step of a sign-in where it was', async () => {
    const parts = await prepareSignIn();
    const { base } = parts;
    let run = await startProcess(parts);
    const again = async (): Promise<void> => {
      run.kill('SIGKILL');
      await run.exit();
      run = await startProcess(parts);
    };
    const client = await registerClient(base);
    await again();
    const browser = createBrowser();
    const { url, verifier } = accessRequest(base, client);
    const form = formOf(await (await browser(url, undefined)).text());
    await again();
    const away = new URL((await decide(base, browser, form)).headers.get('location') ?? '');
    await again();
    const back = await signInAt(away, client.redirectUri, browser);
    await again();
    const { body: tokens } = await tokenRequest(base, {
      grant_type: 'authorization_code',
      code: back.searchParams.get('code') ?? '',
      code_verifier: verifier,
      client_id: client.id,
    });
    await again();
    expect(await status(base, tokens.access_token)).toBe(200);
    const next = await refreshed(base, client, tokens.refresh_token);
    await again();
    // The one before gives the same one again.
    const same = await refreshed(base, client, tokens.refresh_token);
    expect([same.status, same.body.refresh_token]).toEqual([200, next.body.refresh_token]);
    await fetch(`${base}/oauth/revoke`, {
      method: 'POST',
      body: new URLSearchParams({ token: next.body.refresh_token, client_id: client.id }),
    });
    await again();
    // What has ended stays ended.
    for (const token of [tokens, next.body, same.body].map((each) => each.access_token))
      expect(await status(base, token)).toBe(401);
  });
});

describe('two gateways with one state folder', () => {
  let parts: SignInParts;
  let ports: number[];
  let turns: number[];

  beforeAll(async () => {
    const front = await freePort();
    parts = await prepareSignIn({ publicUrl: () => `http://127.0.0.1:${front}` });
    ports = [parts.port, await freePort()];
    turns = [];
    let turn = 0;
    await startFront(front, (path) => {
      const port = ports[turn++ % 2] ?? 0;
      turns.push(port);
      return { port, path };
    });
    for (const port of ports) await startProcess({ ...parts, port });
  });

  it('serve a sign-in and its tokens in turn', async () => {
    const { base } = parts;
    const before = turns.length;
    const { client, tokens } = await signedIn(base);
    // Registration, page, consent, callback and token.
    expect(turns.slice(before)).toHaveLength(5);
    for (let n = 0; n < 4; n++) expect(await status(base, tokens.access_token)).toBe(200);
    let token = tokens.refresh_token;
    for (let n = 0; n < 5; n++) {
      const { status: answered, body } = await refreshed(base, client, token);
      expect(answered).toBe(200);
      token = body.refresh_token;
    }
    // Ten at once, five here and five there.
    const all = await Promise.all(Array.from({ length: 10 }, () => refreshed(base, client, token)));
    expect(all.map((each) => each.status)).toEqual(Array.from({ length: 10 }, () => 200));
    expect(new Set(all.map(({ body }) => body.refresh_token)).size).toBe(1);
  });

  it('agree about their keys', async () => {
    const sets = await Promise.all(
      ports.map(async (port) => (await fetch(`http://127.0.0.1:${port}/oauth/jwks`)).json()),
    );
    expect(sets[0]).toEqual(sets[1]);
  });

  it('both refuse the tokens of a sign-in that has ended at one of them', async () => {
    const { base } = parts;
    const { client, tokens } = await signedIn(base);
    const other = await signedIn(base, { client });
    const [here = '', there = ''] = ports.map((port) => `http://127.0.0.1:${port}`);
    for (const at of [here, there]) expect(await status(at, tokens.access_token)).toBe(200);
    await fetch(`${here}/oauth/revoke`, {
      method: 'POST',
      body: new URLSearchParams({ token: tokens.refresh_token, client_id: client.id }),
    });
    expect(await status(here, tokens.access_token)).toBe(401);
    await until(async () => (await status(there, tokens.access_token)) === 401, 'the end there');
    for (const at of [here, there]) expect(await status(at, other.tokens.access_token)).toBe(200);
    expect((await refreshed(there, client, tokens.refresh_token)).body.error).toBe('invalid_grant');
  });

  it('a code that is used at one is used', async () => {
    const { base } = parts;
    const client = await registerClient(base);
    const browser = createBrowser();
    const { url, verifier } = accessRequest(base, client);
    const form = formOf(await (await browser(url, undefined)).text());
    const away = new URL((await decide(base, browser, form)).headers.get('location') ?? '');
    const back = await signInAt(away, client.redirectUri, browser);
    const redeem = {
      grant_type: 'authorization_code',
      code: back.searchParams.get('code') ?? '',
      code_verifier: verifier,
      client_id: client.id,
    };
    const all = await Promise.all(Array.from({ length: 6 }, () => tokenRequest(base, redeem)));
    expect(all.filter((each) => each.status === 200)).toHaveLength(1);
  });
});

describe('a state key that is replaced', () => {
  it('goes on with both lines; what was made under a dropped line has ended', async () => {
    const parts = await prepareSignIn();
    const { base } = parts;
    const file = join(await tempDir(), 'keys');
    const [first, second] = [0, 1].map(() => randomBytes(32).toString('base64url')) as [string, string];
    const env = { MCPSTEAD_STATE_KEY_FILE: file };
    const start = async (...lines: string[]) => {
      await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 });
      return startProcess(parts, { env });
    };
    const kid = (token: string): unknown =>
      (JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }).kid;
    const kids = async (): Promise<unknown[]> =>
      ((await (await fetch(`${base}/oauth/jwks`)).json()) as { keys: { kid: string }[] }).keys.map(
        (key) => key.kid,
      );
    let run = await start(first);
    const old = await signedIn(base);
    const idle = await signedIn(base);
    run.kill();
    await run.exit();

    run = await start(second, first);
    expect(await status(base, old.tokens.access_token)).toBe(200);
    const renewed = await refreshed(base, old.client, old.tokens.refresh_token);
    expect(renewed.status).toBe(200);
    const [now, before] = [kid(renewed.body.access_token), kid(old.tokens.access_token)];
    expect([await kids(), now === before]).toEqual([[now, before], false]);
    expect(await status(base, renewed.body.access_token)).toBe(200);
    const next = await signedIn(base);
    run.kill();
    await run.exit();

    run = await start(second);
    expect(await kids()).toEqual([now]);
    for (const token of [old.tokens, idle.tokens]) expect(await status(base, token.access_token)).toBe(401);
    // The client has to register again, and knows it.
    expect((await refreshed(base, old.client, renewed.body.refresh_token)).status).toBe(401);
    expect((await fetch(accessRequest(base, old.client).url)).status).toBe(400);
    // What was made under the new one goes on, and so do new sign-ins.
    expect(await status(base, next.tokens.access_token)).toBe(200);
    expect((await refreshed(base, next.client, next.tokens.refresh_token)).status).toBe(200);
    const last = await signedIn(base);
    expect(await status(base, last.tokens.access_token)).toBe(200);
    expect(run.stderr + run.stdout).not.toContain('internal error');
  });
});
