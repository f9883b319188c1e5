/** A gateway whose public URL has a path, behind proxies that remove it, or not. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { describe, expect, it } from 'vitest';
import { atEnd } from '../helpers/cleanup.js';
import { startFront } from '../helpers/front.js';
import { post } from '../helpers/http.js';
import { application, createBrowser } from '../helpers/login.js';
import { freePort } from '../helpers/port.js';
import { decide, formOf, signInAt, stageSignIn, type SignInStage } from '../helpers/sign-in.js';

const PATH = '/team/gw';
const METADATA = '/.well-known/oauth-authorization-server';

/** `route`: the path that a request for a path has at the gateway; undefined: it does not get there. */
async function behind(
  route: (path: string) => string | undefined,
): Promise<{ stage: SignInStage; paths: readonly string[] }> {
  const port = await freePort();
  const stage = await stageSignIn({ publicUrl: () => `http://127.0.0.1:${port}${PATH}` });
  const own = Number(new URL(stage.running.base).port);
  const { paths } = await startFront(port, (path) => {
    const to = route(path);
    return to === undefined ? undefined : { port: own, path: to };
  });
  return { stage, paths };
}

const below = (path: string): string | undefined =>
  path.startsWith(`${PATH}/`) ? path.slice(PATH.length) : undefined;

// Clients look for the metadata at the root of the host, before the path (RFC 8414, 3.1): a proxy has to pass that on, too.
const wellKnown = (path: string): string | undefined => (path.startsWith('/.well-known/') ? path : undefined);

describe.each<[string, (path: string) => string | undefined]>([
  ['that removes the path', (path) => below(path) ?? wellKnown(path)],
  ['that removes the path everywhere', (path) => below(path) ?? wellKnown(path)?.replace(PATH, '')],
])('behind a proxy %s', (_, route) => {
  it('a client signs in and lists tools', async () => {
    const { stage, paths } = await behind(route);
    const { base } = stage;
    const app = application(['authorization_code', 'refresh_token']);
    const open = () => {
      const client = new Client({ name: 'test', version: '0' });
      atEnd(() => client.close());
      const options = { authProvider: app.provider as never };
      return { client, transport: new StreamableHTTPClientTransport(new URL(`${base}/mcp`), options) };
    };
    const first = open();
    await expect(first.client.connect(first.transport)).rejects.toThrow(/unauthorized/i);
    const at = app.kept.at as URL;
    expect(at.href.startsWith(`${base}/oauth/authorize?`)).toBe(true);
    const browser = createBrowser();
    const page = await (await browser(at, undefined)).text();
    const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1] ?? '';
    expect(new URL(action, at).href).toBe(`${base}/oauth/consent`);
    const answer = await browser(
      new URL(action, at),
      new URLSearchParams({ request: formOf(page), decision: 'allow' }),
      { origin: new URL(base).origin },
    );
    const away = new URL(answer.headers.get('location') ?? '');
    expect(away.searchParams.get('redirect_uri')).toBe(`${base}/oauth/callback`);
    const back = await signInAt(away, at.searchParams.get('redirect_uri') ?? '', browser);
    expect(back.searchParams.get('iss')).toBe(base);
    await first.transport.finishAuth(back.searchParams.get('code') ?? '');
    const { client, transport } = open();
    await client.connect(transport);
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['one__look', 'one__write']);
    expect(paths.some((path) => path.startsWith(`${PATH}/oauth/token`))).toBe(true);
  });
});

it('a proxy that does not remove the path reaches the metadata, and nothing that needs a person or a token', async () => {
  const { stage } = await behind((path) => path);
  const { base } = stage;
  const { origin } = new URL(base);
  for (const url of [`${origin}${METADATA}${PATH}`, `${base}${METADATA}`, `${stage.running.base}${METADATA}`])
    expect(await (await fetch(url)).json()).toMatchObject({ issuer: base });
  const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' } as const;
  expect((await post(`${base}/mcp`, list)).status).toBe(404);
  expect((await fetch(`${base}/oauth/authorize`)).status).toBe(404);
  // The page is not served on it either.
  const answer = await decide(base, createBrowser(), 'x');
  expect(answer.status).toBe(404);
});
