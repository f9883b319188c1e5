/** Registrations and pages that nobody finishes: they are bounded for an address, and leave nothing behind. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { callTool, textOf } from '../helpers/http.js';
import { accessRequest, prepareSignIn, registerClient, signedIn, startProcess } from '../helpers/sign-in.js';

const ROUNDS = 1000;
const AT_ONCE = 20;
/** What a process may take more of after two thousand requests that it has forgotten, in MB: garbage that waits for its collection. */
const MOST_MORE = 64;

function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

const megabytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

/** The statuses of many requests, of which some run at once. */
async function flood(send: () => Promise<Response>): Promise<Map<number, number>> {
  const seen = new Map<number, number>();
  let left = ROUNDS;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (left-- > 0) {
        const answer = await send();
        await answer.arrayBuffer();
        seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
        if (answer.status === 429) expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
      }
    }),
  );
  return seen;
}

it('a thousand registrations and pages of one address are refused, and calls are answered meanwhile', async () => {
  const parts = await prepareSignIn();
  const { base } = parts;
  const folder = (parts.config.state as { dir: string }).dir;
  const run = await startProcess(parts);
  const { client, tokens } = await signedIn(base);
  const headers = { authorization: `Bearer ${tokens.access_token}` };
  const call = async (): Promise<string> => textOf(await callTool(`${base}/mcp`, 'one__look', {}, headers));
  expect(await call()).toBe('{}');

  const register = (): Promise<Response> =>
    fetch(`${base}/oauth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        client_name: 'x'.repeat(80),
        redirect_uris: [`https://${'x'.repeat(60)}.example/`],
      }),
    });
  const { url } = accessRequest(base, client);
  const page = (): Promise<Response> => fetch(url, { redirect: 'manual' });
  // Once for what is loaded and compiled by it.
  await Promise.all([flood(register), flood(page)]);
  const [files, before] = [filesBelow(folder), megabytes(run.pid)];
  let isOver = false;
  const calls: string[] = [];
  const calling = (async () => {
    while (!isOver) calls.push(await call());
  })();
  const [registrations, pages] = await Promise.all([flood(register), flood(page)]);
  isOver = true;
  await calling;
  for (const [seen, good] of [
    [registrations, 201],
    [pages, 200],
  ] as const) {
    expect([...seen.keys()].filter((status) => status !== good)).toEqual([429]);
    expect(seen.get(429) ?? 0).toBeGreaterThan(ROUNDS / 2);
  }
  expect(calls.length).toBeGreaterThan(0);
  expect(new Set(calls)).toEqual(new Set(['{}']));
  expect(filesBelow(folder)).toEqual(files);
  expect(megabytes(run.pid) - before).toBeLessThan(MOST_MORE);
  // Who has a genuine token is not limited.
  const { status } = await fetch(`${base}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token,
      client_id: client.id,
    }),
  });
  expect(status).toBe(200);
});

it('guesses of tokens are limited; genuine tokens of the same address are not', async () => {
  const parts = await prepareSignIn();
  const { base } = parts;
  await startProcess(parts);
  const { client, tokens } = await signedIn(base);
  const ask = (form: Record<string, string>): Promise<Response> =>
    fetch(`${base}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({ ...form, client_id: client.id }),
    });
  const forged = { grant_type: 'refresh_token', refresh_token: `${tokens.refresh_token.slice(0, -3)}AAA` };
  const code = { grant_type: 'authorization_code', code: 'mcpa_x', code_verifier: 'v'.repeat(43) };
  const seen = await flood(() => ask(Math.random() < 0.5 ? forged : code));
  expect([...seen.keys()].sort()).toEqual([400, 429]);
  expect(seen.get(429) ?? 0).toBeGreaterThan(ROUNDS / 2);
  const unknown = await fetch(`${base}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({ ...forged, client_id: 'mcpc_x' }),
  });
  expect(unknown.status).toBe(429);
  const genuine = await ask({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token });
  expect(genuine.status).toBe(200);
  expect((await registerClient(base)).id).toMatch(/^mcpc_/);
});
