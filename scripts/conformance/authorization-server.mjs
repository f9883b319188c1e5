// The suite's scenarios for authorization servers, against a gateway that signs people in (`mcp.auth.login`) at an identity provider of this
// host. The suite prints the URL that a person opens; this follows it as a browser does.
import { join } from 'node:path';
import { createGateway } from '../../dist/index.js';
import { startOidc } from '../../test/fixtures/servers/oidc.mjs';
import { freePort } from './processes.mjs';
import { listOf, NEW, readChecks, runSuite } from './suites.mjs';

/** More than a sign-in has. */
const MOST_STEPS = 20;
const quiet = { debug() {}, info() {}, warn() {}, error: console.error };

/** Opens a URL, consents, signs in as `ada` at the identity provider, and goes on to the client at `end`. */
async function signIn(start, end) {
  const cookies = new Map();
  let url = new URL(start);
  let body;
  for (let step = 0; step < MOST_STEPS; step++) {
    const answer = await fetch(url, {
      method: body ? 'POST' : 'GET',
      redirect: 'manual',
      headers: {
        cookie: [...cookies].map((pair) => pair.join('=')).join('; '),
        ...(body && { origin: url.origin }),
      },
      body,
    });
    if (url.href.startsWith(end)) return;
    for (const line of answer.headers.getSetCookie()) {
      const [name, value] = line.split(';')[0].split('=');
      cookies.set(name, value);
    }
    body = undefined;
    const page = await answer.text();
    const action = answer.headers.get('location') ?? /action="([^"]+)"/.exec(page)?.[1];
    if (action === undefined) throw new Error(`nothing leads on from ${url.pathname}: HTTP ${answer.status}`);
    url = new URL(action, url);
    if (answer.headers.has('location')) continue;
    const hidden = [...page.matchAll(/type="hidden" name="(\w+)" value="([^"]+)"/g)];
    body = new URLSearchParams(hidden.map(([, name, value]) => [name, value]));
    for (const [name, value] of [
      ['decision', 'allow'],
      ['login', 'ada'],
      ['password', 'any'],
    ])
      body.set(name, value);
  }
  throw new Error('the sign-in does not end');
}

async function register(base, redirect) {
  const answer = await fetch(`${base}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: 'conformance', redirect_uris: [redirect] }),
  });
  return (await answer.json()).client_id;
}

/** scenario -> what is wrong */
export async function runAuthorizationServer(folder) {
  const [port, callbackPort] = [await freePort(), await freePort()];
  const base = `http://127.0.0.1:${port}`;
  const callback = `http://127.0.0.1:${callbackPort}/callback`;
  const oidc = await startOidc({
    signIn: { redirect_uris: [`${base}/oauth/callback`], accounts: { ada: { groups: ['dev'] } } },
  });
  const gateway = createGateway(
    {
      ...{ host: '127.0.0.1', port, servers: [] },
      http: { public_url: base },
      state: { dir: join(folder, 'authorization-server-state') },
      mcp: {
        auth: {
          login: {
            ...{ issuer: oidc.issuer, client_id: 'gw' },
            scopes: ['openid', 'offline_access'],
            params: { prompt: 'consent' },
          },
        },
      },
    },
    { logger: quiet },
  );
  try {
    await gateway.listen();
    const id = await register(base, callback);
    const output = join(folder, 'authorization-server');
    const args = ['--url', base, '--client-id', id, '--resource', `${base}/mcp`, '-p', String(callbackPort)];
    let failure;
    let said = '';
    const status = await runSuite(NEW, ['authorization', ...args], output, (text) => {
      said += text;
      for (;;) {
        const end = said.indexOf('\n');
        if (end < 0) return;
        const line = said.slice(0, end).trim();
        said = said.slice(end + 1);
        // The suite says itself that no answer has come.
        if (line.startsWith(`${base}/oauth/authorize?`))
          signIn(line, callback).catch((error) => (failure = error));
      }
    });
    const found = readChecks(output, listOf(NEW, ['--authorization']));
    const ended = [
      ...(failure ? [`the sign-in failed: ${failure.message}`] : []),
      ...(status === 0 ? [] : [`the suite ended with ${status}`]),
    ];
    if (ended.length === 0) return found;
    const problems = ended.map((check) => ({ check, message: '' }));
    return new Map(
      [...found].map(([scenario, wrong]) => [
        scenario,
        Array.isArray(wrong) ? [...wrong, ...problems] : problems,
      ]),
    );
  } finally {
    await gateway.close();
    oidc.close();
  }
}
