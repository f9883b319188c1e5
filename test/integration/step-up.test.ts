/** A call that needs more scopes than the token has, with the clients of both SDKs and a real issuer. */
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Oidc } from '../fixtures/servers/oidc.mjs';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import type { RunningGateway } from '../helpers/gateway.js';
import { application, browse, REDIRECT, register, startBehindIssuer } from '../helpers/login.js';

let upstream: Upstream;
let oidc: Oidc;
let running: RunningGateway;

beforeAll(async () => {
  upstream = await createUpstream({ tools: ['look', 'write', 'move', 'edit'].map((name) => tool(name)) });
  ({ oidc, running } = await startBehindIssuer(upstream, [
    { name: 'all', allow: [{ tools: ['look'] }] },
    { name: 'writers', needs: ['files:write'], allow: [{ tools: ['write'] }] },
    { name: 'movers', needs: ['files:read', 'files:write'], allow: [{ tools: ['move'] }] },
    { name: 'editors', needs: ['write'], allow: [{ tools: ['edit'] }] },
  ]));
});

type Application = ReturnType<typeof application>;

interface Transport {
  readonly sessionId?: string | undefined;
  finishAuth(code: string, iss?: string): Promise<void>;
}

interface Connected {
  readonly transport: Transport;
  /** The challenges of the answers with 403 so far. */
  readonly challenges: (string | null)[];
  list(): Promise<string[]>;
  call(name: string): Promise<unknown>;
}

/** A fetch that keeps the challenges of refusals. */
function noting(challenges: (string | null)[]): typeof fetch {
  return async (url, init) => {
    const answer = await fetch(url, init);
    if (answer.status === 403) challenges.push(answer.headers.get('www-authenticate'));
    return answer;
  };
}

/** The user logs in where the client sent the browser, and the application hands over the code. */
async function login({ kept }: Application, transport: Transport): Promise<void> {
  const at = kept.at as URL;
  delete kept.at;
  const back = await browse(at, REDIRECT);
  const [code, iss] = ['code', 'iss'].map((name) => back.searchParams.get(name) as string);
  await transport.finishAuth(code as string, iss);
}

const scopesAsked = ({ kept }: Application): string[] | undefined =>
  kept.at?.searchParams.get('scope')?.split(' ').sort();
const scopesHeld = ({ kept }: Application): string[] | undefined => kept.tokens?.scope?.split(' ').sort();

const info = { name: 'test', version: '0' };

/** Logs in and connects with the scopes that the gateway names at first. */
async function connectV2(app: Application, mode: 'legacy' | 'auto' = 'auto'): Promise<Connected> {
  const challenges: (string | null)[] = [];
  const open = () => {
    const options = { authProvider: app.provider as never, fetch: noting(challenges) };
    const client = new ClientV2(info, { versionNegotiation: { mode } });
    atEnd(() => client.close());
    return { client, transport: new HttpV2(new URL(running.url), options) };
  };
  const first = open();
  await expect(first.client.connect(first.transport)).rejects.toThrow(/unauthorized/i);
  await login(app, first.transport);
  const { client, transport } = open();
  await client.connect(transport);
  return {
    transport,
    challenges,
    list: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name) => (await client.callTool({ name, arguments: {} })).content,
  };
}

async function connectV1(app: Application): Promise<Connected> {
  const challenges: (string | null)[] = [];
  const open = () => {
    const options = { authProvider: app.provider as never, fetch: noting(challenges) };
    const client = new ClientV1(info);
    atEnd(() => client.close());
    return { client, transport: new HttpV1(new URL(running.url), options) };
  };
  const first = open();
  await expect(first.client.connect(first.transport)).rejects.toThrow(/unauthorized/i);
  await login(app, first.transport);
  const { client, transport } = open();
  await client.connect(transport);
  return {
    transport,
    challenges,
    list: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name) => (await client.callTool({ name, arguments: {} })).content,
  };
}

const challengeFor = (scopes: string): string =>
  `Bearer error="insufficient_scope", scope="${scopes}", ` +
  `resource_metadata="${running.base}/.well-known/oauth-protected-resource/mcp"`;
const passed = [{ type: 'text', text: '{}' }];

describe.each(['legacy', 'auto'] as const)('SDK v2, mode %s', (mode) => {
  it('logs in for the union of the scopes, and its call passes', async () => {
    const app = application();
    const client = await connectV2(app, mode);
    expect(scopesHeld(app)).toEqual(['read']);
    expect(await client.list()).toEqual(['one__look', 'one__write', 'one__move', 'one__edit']);
    const [session, token, sent] = [
      client.transport.sessionId,
      app.kept.tokens?.access_token,
      upstream.calls('move').length,
    ];

    await expect(client.call('one__move')).rejects.toThrow(/unauthorized/i);
    expect(client.challenges).toEqual([challengeFor('files:read files:write')]);
    expect(scopesAsked(app)).toEqual(['files:read', 'files:write', 'read']);
    expect(upstream.calls('move')).toHaveLength(sent);

    await login(app, client.transport);
    expect(scopesHeld(app)).toEqual(['files:read', 'files:write', 'read']);
    expect(app.kept.tokens?.access_token).not.toBe(token);
    expect(await client.call('one__move')).toEqual(passed);
    expect(upstream.calls('move')).toHaveLength(sent + 1);
    // The new token does for all of them, and in the same session.
    for (const name of ['one__write', 'one__look']) expect(await client.call(name)).toEqual(passed);
    expect(client.challenges).toHaveLength(1);
    expect(app.kept.at).toBeUndefined();
    expect(client.transport.sessionId).toBe(session);
    expect(session === undefined).toBe(mode === 'auto');
  });

  it('is told all scopes that a call needs, also those that it has, and refreshes nothing', async () => {
    const app = application(['authorization_code', 'refresh_token']);
    const client = await connectV2(app, mode);
    expect(app.kept.tokens?.refresh_token).toBeDefined();
    await expect(client.call('one__write')).rejects.toThrow(/unauthorized/i);
    await login(app, client.transport);
    expect(scopesHeld(app)).toEqual(['files:write', 'read']);
    expect(await client.call('one__write')).toEqual(passed);

    await expect(client.call('one__move')).rejects.toThrow(/unauthorized/i);
    expect(client.challenges).toEqual([challengeFor('files:write'), challengeFor('files:read files:write')]);
    // The client itself adds offline_access, since it can keep a refresh token.
    expect(scopesAsked(app)).toEqual(['files:read', 'files:write', 'offline_access', 'read']);
    await login(app, client.transport);
    expect(await client.call('one__move')).toEqual(passed);
  });
});

describe('SDK v1', () => {
  it('logs in for the scopes of the challenge alone, and its call passes', async () => {
    const app = application();
    const client = await connectV1(app);
    await expect(client.call('one__move')).rejects.toThrow(/unauthorized/i);
    expect(client.challenges).toEqual([challengeFor('files:read files:write')]);
    expect(scopesAsked(app)).toEqual(['files:read', 'files:write']);
    await login(app, client.transport);
    expect(await client.call('one__move')).toEqual(passed);
  });

  it('with a refresh token refreshes it, and stops at the same challenge', async () => {
    const app = application(['authorization_code', 'refresh_token']);
    const client = await connectV1(app);
    const token = app.kept.tokens?.access_token;
    await expect(client.call('one__move')).rejects.toThrow('Server returned 403 after trying upscoping');
    expect(client.challenges).toEqual(Array(2).fill(challengeFor('files:read files:write')));
    expect(app.kept.tokens?.access_token).not.toBe(token);
    expect(scopesHeld(app)).toEqual(['read']);
    expect(app.kept.at).toBeUndefined();
    expect(await client.call('one__look')).toEqual(passed);
  });
});

describe('an issuer that gives a client no scopes but those that it registered with', () => {
  it('refuses the login', async () => {
    const app = application();
    const client = await connectV2(app);
    await expect(client.call('one__edit')).rejects.toThrow(/unauthorized/i);
    expect(scopesAsked(app)).toEqual(['read', 'write']);
    const back = await browse(app.kept.at as URL, REDIRECT);
    expect(back.searchParams.get('error')).toBe('invalid_scope');
  });

  it('does not where the client was given an id', async () => {
    const app = application();
    app.kept.client = { client_id: await register(oidc.issuer, REDIRECT), issuer: oidc.issuer };
    const client = await connectV2(app);
    await expect(client.call('one__edit')).rejects.toThrow(/unauthorized/i);
    expect(scopesAsked(app)).toEqual(['read', 'write']);
    await login(app, client.transport);
    expect(await client.call('one__edit')).toEqual(passed);
  });
});
