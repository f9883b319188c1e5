/** Nothing that a gateway writes, counts or shows holds what sign-ins are made of: codes, tokens, verifiers, states, secrets, client ids. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createConsoleKey } from '../../src/lib/console-key.js';
import { startOidc } from '../fixtures/servers/oidc.mjs';
import { atEnd } from '../helpers/cleanup.js';
import { tempDir, tempFile } from '../helpers/cli.js';
import { callTool, post, send } from '../helpers/http.js';
import { createBrowser } from '../helpers/login.js';
import {
  accessRequest,
  decide,
  formOf,
  prepareSignIn,
  refreshed,
  registerClient,
  signInAt,
  startProcess,
  tokenRequest,
} from '../helpers/sign-in.js';

const SECRET = 'secret-of-the-gateway-at-its-provider';
const STATE_KEY = Buffer.alloc(32, 9).toString('base64url');

function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [`${path}\n${readFileSync(path, 'latin1')}`];
  });
}

it('keeps them out of logs, audit, metrics, answers, pages, command lines and files', async () => {
  const folder = await tempDir();
  const audit = join(folder, 'audit.log');
  const parts = await prepareSignIn({
    accounts: {
      ada: { groups: ['dev'], preferred_username: 'Ada' },
      eve: { groups: [], preferred_username: 'Eve' },
    },
    login: {
      client_secret_file: await tempFile('secret', SECRET),
      allow: [{ groups: ['dev'] }],
    },
    config: {
      state: { dir: join(folder, 'state') },
      audit: { file: audit },
    },
  });
  const { base } = parts;
  // One that knows the gateway by a secret.
  const oidc = await startOidc({
    signIn: {
      redirect_uris: [`${base}/oauth/callback`],
      secret: SECRET,
      accounts: {
        ada: { groups: ['dev'], preferred_username: 'Ada' },
        eve: { groups: [], preferred_username: 'Eve' },
      },
    },
  });
  atEnd(() => {
    oidc.close();
  });
  Object.assign(parts.config.mcp?.auth?.login ?? {}, { issuer: oidc.issuer });
  const key = createConsoleKey();
  const run = await startProcess(parts, {
    // A key of the command alone.
    more: { log: { level: 'trace' } } as object,
    env: { MCPSTEAD_CONSOLE_KEY: key, MCPSTEAD_STATE_KEY: STATE_KEY },
  });

  const texts: string[] = [];
  const secrets = new Set<string>([SECRET, STATE_KEY, Buffer.from(STATE_KEY, 'base64url').toString('hex')]);
  const keep = (...values: (string | null | undefined)[]): void => {
    for (const value of values) if (value !== null && value !== undefined && value !== '') secrets.add(value);
  };
  const collect = async (): Promise<void> => {
    for (const path of ['/metrics', '/health', '/ready', '/oauth/jwks'])
      texts.push((await send(`${base}${path}`)).text);
    const headers = { authorization: `Bearer ${key}` };
    for (const path of ['connections', 'servers', 'config', 'logs', 'calls', 'grants', 'sessions'])
      texts.push((await send(`${base}/-/api/v1/${path}`, { headers })).text);
    texts.push(readFileSync(`/proc/${run.pid}/cmdline`, 'latin1'));
  };

  const client = await registerClient(base);
  keep(client.id);
  /** A sign-in up to the callback, and everything in it that is nobody's business. */
  const away = async (person: string) => {
    const browser = createBrowser();
    const { url, verifier, state } = accessRequest(base, client);
    const form = formOf(await (await browser(url, undefined)).text());
    const answer = await decide(base, browser, form);
    const [cookie = ''] = answer.headers.getSetCookie();
    const at = new URL(answer.headers.get('location') ?? '');
    const callback = await signInAt(at, `${base}/oauth/callback`, browser, person);
    const { searchParams } = callback;
    keep(verifier, state, form, cookie.split(/[=;]/)[1]);
    for (const name of ['state', 'nonce', 'code_challenge']) keep(at.searchParams.get(name));
    keep(searchParams.get('code'));
    return { browser, verifier, callback };
  };

  const { browser, verifier, callback } = await away('ada');
  const back = new URL((await browser(callback, undefined)).headers.get('location') ?? '');
  texts.push(await (await browser(callback, undefined)).text());
  const code = back.searchParams.get('code') ?? '';
  const redeem = { grant_type: 'authorization_code', code, code_verifier: verifier, client_id: client.id };
  keep(code);
  const given = (await tokenRequest(base, redeem)).body;
  keep(given.access_token, given.refresh_token);
  const next = (await refreshed(base, client, given.refresh_token)).body;
  keep(next.access_token, next.refresh_token);
  const headers = { authorization: `Bearer ${next.access_token}` };
  texts.push(JSON.stringify(await callTool(`${base}/mcp`, 'one__look', {}, headers)));
  await collect();

  // What is wrong repeats nothing either.
  const eve = await away('eve');
  texts.push(await (await eve.browser(eve.callback, undefined)).text());
  texts.push(await (await fetch(eve.callback)).text());
  const failing = await away('ada');
  oidc.intercept((req, res) => {
    if (req.url !== '/token') return false;
    let body = '';
    req.on('data', (chunk: Buffer) => (body += chunk.toString()));
    req.on('end', () => {
      keep(new URLSearchParams(body).get('code_verifier'), req.headers.authorization?.slice(6));
      res.writeHead(400, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ error: 'invalid_request', error_description: `no ${body}` }));
    });
    return true;
  });
  texts.push(await (await failing.browser(failing.callback, undefined)).text());
  const refused = await refreshed(base, client, next.refresh_token);
  texts.push(JSON.stringify(refused.body));
  oidc.intercept(() => false);
  for (const form of [
    redeem,
    { ...redeem, code: `${code}x` },
    { grant_type: 'refresh_token', refresh_token: `${next.refresh_token}x`, client_id: client.id },
    { grant_type: 'refresh_token', refresh_token: next.refresh_token, client_id: `${client.id}x` },
  ])
    texts.push(JSON.stringify((await tokenRequest(base, form)).body));
  for (const token of [next.access_token, `${next.access_token}x`]) {
    const answer = await post(
      `${base}/servers/one/mcp`,
      { jsonrpc: '2.0', id: 1, method: 'ping' },
      { authorization: `Bearer ${token}` },
    );
    texts.push(answer.text, JSON.stringify(answer.headers));
  }
  const wrong = accessRequest(base, { ...client, redirectUri: 'https://other.example/' });
  texts.push(await (await fetch(wrong.url)).text());
  texts.push(await (await fetch(`${base}/oauth/authorize?client_id=${client.id}x`)).text());
  await collect();
  run.kill();
  await run.exit();

  texts.push(run.stdout, run.stderr, readFileSync(audit, 'utf8'), ...filesBelow(folder));
  const all = texts.join('\n');
  for (const seen of ['signed in', 'sign-in refused', 'grant ended', '"login"', 'mcpstead_login_total'])
    expect(all).toContain(seen);
  expect(oidc.secrets.size).toBeGreaterThan(5);
  // A part of a secret is one too; the beginning of a JWT is not.
  const parts32 = [...secrets, ...oidc.secrets].flatMap((secret) => [secret, secret.slice(-32)]);
  const leaks = [...new Set(parts32)].filter((part) => part.length >= 16 && all.includes(part));
  expect(
    leaks.map((part) => all.slice(Math.max(0, all.indexOf(part) - 300), all.indexOf(part) + 60)),
  ).toEqual([]);
});
