/** Which documents are asked for, in which order, and what is said about those that do not fit. */
import { expect, it, vi } from 'vitest';
import { covers, discover, isSame, type DiscoverySource } from '../../../src/credentials/discovery.js';
import { isWebAddress } from '../../../src/config/credentials.js';
import { CredentialProblem } from '../../../src/credentials/problem.js';
import { GuardError } from '../../../src/protocol/small-request.js';
import { AUTH, failure, OPEN, scripted, SERVER, type Reply } from '../../helpers/credentials.js';

const URL_ = 'https://mcp.example/a/mcp';
const PRM = 'https://mcp.example/.well-known/oauth-protected-resource/a/mcp';
const PRM_ROOT = 'https://mcp.example/.well-known/oauth-protected-resource';
const AS = 'https://as.example/.well-known/oauth-authorization-server';
const OIDC = 'https://as.example/.well-known/openid-configuration';
const RESOURCE = {
  resource: URL_,
  authorization_servers: ['https://as.example'],
  scopes_supported: ['read'],
};
const { signal } = new AbortController();

function source(auth: Partial<DiscoverySource['auth']> = {}, resourceMetadata?: string): DiscoverySource {
  const challenge = { resourceMetadata, scopes: undefined, error: undefined };
  return { url: URL_, auth: { ...AUTH, ...auth }, challenge };
}

function run(replies: Record<string, Reply>, from = source()) {
  const { fetch, asked } = scripted(replies);
  return { asked, found: discover(from, { fetch, guard: OPEN }, signal) };
}

it('asks for the metadata of the resource by path, then for that of the authorization server', async () => {
  const { asked, found } = run({ [PRM]: RESOURCE, [AS]: SERVER });
  expect(await found).toEqual({
    server: SERVER,
    resource: URL_,
    scopes: ['read'],
    issuers: ['https://as.example'],
  });
  expect(asked).toEqual([PRM, AS]);
});

it.each<[string, Record<string, Reply>, DiscoverySource, string[]]>([
  ['the root after the path', { [PRM_ROOT]: RESOURCE, [AS]: SERVER }, source(), [PRM, PRM_ROOT, AS]],
  [
    'a page in place of a document is none',
    { [PRM]: '<html>', [PRM_ROOT]: RESOURCE, [AS]: SERVER },
    source(),
    [PRM, PRM_ROOT, AS],
  ],
  ['openid-configuration', { [PRM]: RESOURCE, [AS]: 403, [OIDC]: SERVER }, source(), [PRM, AS, OIDC]],
  [
    'what the challenge names',
    { 'https://mcp.example/m': RESOURCE, [AS]: SERVER },
    source({}, 'https://mcp.example/m'),
    ['https://mcp.example/m', AS],
  ],
  [
    'the three places of an issuer with a path',
    {
      [PRM]: { ...RESOURCE, authorization_servers: ['https://as.example/t'] },
      'https://as.example/t/.well-known/openid-configuration': { ...SERVER, issuer: 'https://as.example/t' },
    },
    source(),
    [PRM, `${AS}/t`, `${OIDC}/t`, 'https://as.example/t/.well-known/openid-configuration'],
  ],
  [
    'without a document, the origin of the server',
    {
      'https://mcp.example/.well-known/oauth-authorization-server': {
        ...SERVER,
        issuer: 'https://mcp.example',
      },
    },
    source(),
    [PRM, PRM_ROOT, 'https://mcp.example/.well-known/oauth-authorization-server'],
  ],
  [
    'the second server, where the first has no PKCE',
    {
      [PRM]: { ...RESOURCE, authorization_servers: ['https://b.example', 'https://as.example'] },
      'https://b.example/.well-known/oauth-authorization-server': {
        ...SERVER,
        issuer: 'https://b.example',
        code_challenge_methods_supported: ['plain'],
      },
      [AS]: SERVER,
    },
    source(),
    [PRM, 'https://b.example/.well-known/oauth-authorization-server', AS],
  ],
  [
    'auth.issuer alone, of several',
    {
      [PRM]: { ...RESOURCE, authorization_servers: ['https://b.example', 'https://as.example/'] },
      [AS]: SERVER,
    },
    source({ issuer: 'https://as.example' }),
    [PRM, AS],
  ],
  [
    'auth.metadata as a URL, whatever the resource names',
    { [PRM]: { ...RESOURCE, authorization_servers: [] }, 'https://as.example/own': SERVER },
    source({ issuer: 'https://as.example', metadata: 'https://as.example/own' }),
    [PRM, 'https://as.example/own'],
  ],
  [
    'auth.metadata as members',
    { [PRM]: RESOURCE, [AS]: { ...SERVER, code_challenge_methods_supported: undefined } },
    source({ metadata: { code_challenge_methods_supported: ['S256'], issuer: 'https://evil.example' } }),
    [PRM, AS],
  ],
])('finds %s', async (_what, replies, from, places) => {
  const { asked, found } = run(replies, from);
  await found;
  expect(asked).toEqual(places);
});

it.each<[string, Record<string, Reply>, DiscoverySource, string[]]>([
  ['names no authorization server', { [PRM]: { resource: URL_ } }, source(), [PRM]],
  [
    'names no authorization server',
    {},
    source(),
    [
      PRM,
      PRM_ROOT,
      'https://mcp.example/.well-known/oauth-authorization-server',
      'https://mcp.example/.well-known/openid-configuration',
    ],
  ],
  [
    'its metadata is for https://evil.example/a, not for https://mcp.example/a/mcp',
    { [PRM]: { ...RESOURCE, resource: 'https://evil.example/a' } },
    source(),
    [PRM],
  ],
  ['its metadata is for nothing, not for https://mcp.example/a/mcp', { [PRM]: {} }, source(), [PRM]],
  [
    'its metadata is for what is not a text, not for https://mcp.example/a/mcp',
    { [PRM]: { resource: { toString: 1, valueOf: 1 } } },
    source(),
    [PRM],
  ],
  [
    'https://as.example gives metadata of the issuer https://J.example: if right, set auth.issuer and auth.metadata',
    { [PRM]: RESOURCE, [AS]: { ...SERVER, issuer: 'https://J.example' }, [OIDC]: SERVER },
    source(),
    [PRM, AS],
  ],
  [
    'https://as.example names no PKCE with S256: if it has it, set auth.metadata',
    { [PRM]: RESOURCE, [AS]: { ...SERVER, code_challenge_methods_supported: ['plain'] } },
    source(),
    [PRM, AS],
  ],
  [
    'names https://as.example, auth.issuer is https://i.example: nothing was sent',
    { [PRM]: RESOURCE },
    source({ issuer: 'https://i.example' }),
    [PRM],
  ],
  [
    'its metadata at https://mcp.example/m answers HTTP 404',
    { [PRM]: RESOURCE },
    source({}, 'https://mcp.example/m'),
    ['https://mcp.example/m'],
  ],
  [
    'names 10.0.0.1, a private address: auth.allow_hosts lets it',
    { [PRM]: new GuardError('private', '10.0.0.1', 'x') },
    source(),
    [PRM],
  ],
  ['names /m, which is not a URL', {}, source({}, '/m'), []],
  [
    'names javascript:alert(1), which is not https',
    { [PRM]: { ...RESOURCE, authorization_servers: ['javascript:alert(1)'] } },
    source(),
    [PRM],
  ],
  [
    'names https://u@as.example, which has a query, a fragment or a user',
    { [PRM]: { ...RESOURCE, authorization_servers: ['https://u@as.example'] } },
    source(),
    [PRM],
  ],
  ...['javascript:alert(1)', 'http://as.example/a', 'https://a@b.example/', 'https://b.example/#f'].map(
    (at): [string, Record<string, Reply>, DiscoverySource, string[]] => [
      'https://as.example names a authorization_endpoint that is not https',
      { [PRM]: RESOURCE, [AS]: { ...SERVER, authorization_endpoint: at } },
      source(),
      [PRM, AS],
    ],
  ),
  [
    'https://as.example names no token_endpoint',
    { [PRM]: RESOURCE, [AS]: { ...SERVER, token_endpoint: null } },
    source(),
    [PRM, AS],
  ],
])('says: %s', async (text, replies, from, places) => {
  const { asked, found } = run(replies, from);
  const error = await failure(found);
  expect([error.message, error.kind, asked]).toEqual([text, 'config', places]);
});

it('members that are null or empty count as absent', async () => {
  const server = {
    ...SERVER,
    registration_endpoint: null,
    revocation_endpoint: '',
    scopes_supported: ['a b', 'a', 1],
  };
  const { found } = run({ [PRM]: RESOURCE, [AS]: server });
  const { registration_endpoint, revocation_endpoint, scopes_supported } = (await found).server;
  expect([registration_endpoint, revocation_endpoint, scopes_supported]).toEqual([
    undefined,
    undefined,
    ['a', 'b'],
  ]);
});

it.each([500, 503, 429])('HTTP %i is temporary, and no further place is asked', async (status) => {
  const { asked, found } = run({ [PRM]: status, [PRM_ROOT]: RESOURCE });
  const error = await failure(found);
  expect([error.kind, asked]).toEqual(['temporary', [PRM]]);
});

it.each([
  'https://as.example/\u001b[2J',
  'https://as.example/\u202etset',
  ' https://as.example',
  'https://as.\nexample',
])('an issuer with characters that are no part of a URL is asked for nothing: %j', async (issuer) => {
  const { asked, found } = run({
    [PRM]: { ...RESOURCE, authorization_servers: [issuer] },
    [AS]: { ...SERVER, issuer },
  });
  const { message } = await failure(found);
  expect(message).toMatch(/^names https:[\x21-\x7e ]+, which is too long or no ASCII$/);
  expect(asked).toEqual([PRM]);
});

it('tries three of many servers, within twelve fetches', async () => {
  const servers = Array.from({ length: 20 }, (_, i) => `https://s${i}.example/t`);
  const { asked, found } = run({ [PRM_ROOT]: { ...RESOURCE, authorization_servers: servers } });
  const error = await failure(found);
  expect(error.message).toContain('https://s0.example/t gives no metadata of an authorization server');
  expect(asked).toHaveLength(2 + 3 * 3);
});

it('an abort ends it with the reason, and asks no further server', async () => {
  const stop = new AbortController();
  const servers = ['https://a.example', 'https://b.example'];
  const { fetch, asked } = scripted({
    [PRM]: { ...RESOURCE, authorization_servers: servers },
    'https://a.example/.well-known/oauth-authorization-server': () => {
      stop.abort(new Error('enough'));
      return new Error('aborted');
    },
  });
  const error = await failure(discover(source(), { fetch, guard: OPEN }, stop.signal));
  expect([error.message, asked.length]).toEqual(['enough', 2]);
});

it('a client of its own needs neither PKCE nor an authorization endpoint', async () => {
  const { issuer, token_endpoint } = SERVER;
  const { found } = run(
    { [PRM]: RESOURCE, [AS]: { issuer, token_endpoint } },
    source({ grant: 'client_credentials' }),
  );
  expect((await found).server).toEqual({ issuer, token_endpoint });
});

it.each([
  [{}, 'https://mcp.example/a/', 'https://mcp.example/a/'],
  [{ resource: 'none' }, 'https://mcp.example/a', undefined],
  [{ resource: 'https://own.example' }, 'https://mcp.example/a', 'https://own.example'],
])('with %j the resource %s is sent as %s', async (auth, resource, sent) => {
  const { found } = run({ [PRM]: { ...RESOURCE, resource }, [AS]: SERVER }, source(auth));
  expect((await found).resource).toBe(sent);
});

it.each([
  ['https://x', 'https://x/', true],
  ['https://x/', 'https://x', true],
  ['https://x/t/', 'https://x/t', true],
  ['https://x//', 'https://x', false],
  ['https://X', 'https://x', false],
  [1, '1', false],
])('isSame(%j, %s) is %j', (a, b, same) => {
  expect(isSame(a, b)).toBe(same);
});

it.each([
  ['https://x.example', 'https://x.example/a', true],
  ['https://x.example/', 'https://x.example/a', true],
  ['https://x.example/a', 'https://x.example/a', true],
  ['https://x.example/a/', 'https://x.example/a', true],
  ['https://x.example/a', 'https://x.example/a/', true],
  ['https://x.example/a', 'https://x.example/a/b', true],
  ['https://x.example/a', 'https://x.example/ab', false],
  ['https://x.example/a/b', 'https://x.example/a', false],
  ['https://x.example/a/%2e%2e/b', 'https://x.example/a', false],
  ['https://x.example:444/a', 'https://x.example/a', false],
  ['http://x.example/a', 'https://x.example/a', false],
  ['https://u@x.example/a', 'https://x.example/a', false],
  ['https://x.example/a#f', 'https://x.example/a', false],
  ['https://x.example/a?q', 'https://x.example/a', false],
  ['https://x.example/a?q', 'https://x.example/a?q', true],
  ['urn:a', 'https://x.example/a', false],
  ['', 'https://x.example/a', false],
])('covers(%s, %s) is %j', (resource, url, is) => {
  expect(covers(resource, url)).toBe(is);
});

it('http is a web address on this machine alone, and only where that is allowed', () => {
  expect(isWebAddress('http://127.0.0.1:1/', true)).toBe(true);
  expect(isWebAddress('http://127.0.0.1:1/', false)).toBe(false);
  expect(isWebAddress('http://127.evil.example/', true)).toBe(false);
  expect(new CredentialProblem('config', 'x').kind).toBe('config');
});

it('ends after 30 s, and says so', async () => {
  const clock = new AbortController();
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(clock.signal);
  const found = discover(
    source(),
    {
      guard: OPEN,
      fetch: (_request, _guard, aborts) =>
        new Promise((_resolve, reject) => {
          aborts.addEventListener('abort', () => {
            reject(new Error('aborted'));
          });
          clock.abort(new Error('timed out'));
        }),
    },
    signal,
  );
  const error = await failure(found);
  expect(timeout).toHaveBeenCalledWith(30_000);
  timeout.mockRestore();
  expect([error.kind, error.message]).toEqual([
    'temporary',
    'finding its authorization server took longer than 30 s',
  ]);
});
