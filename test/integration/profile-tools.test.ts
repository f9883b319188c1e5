/** Profiles: fixed arguments, names without prefixes, the profile of a key, who may share a list. */
import { beforeAll, describe, expect, it } from 'vitest';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { ConfigInput } from '../../src/index.js';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { createLists, type ListsUpstream } from '../fixtures/servers/lists.js';
import { atEnd } from '../helpers/cleanup.js';
import { command } from '../helpers/commands.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { post, type Headers, type JsonRpc } from '../helpers/http.js';
import { connect } from '../helpers/legacy.js';
import { answerTo, call, createModernUpstream } from '../helpers/modern.js';
import { until } from '../helpers/wait.js';

const OPERATOR = 'the-token-of-the-operator';
const env = { MCPSTEAD_BEARER_TOKEN: OPERATOR };
const CI = createApiKey();
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });

const create = tool('create', {
  inputSchema: {
    type: 'object',
    properties: {
      tenant: { type: 'string', 'x-mcp-header': 'Tenant' },
      region: { type: 'string', 'x-mcp-header': 'Region' },
      body: { type: 'string' },
    },
    required: ['tenant'],
  },
});

let old: ListsUpstream;
let modern: Upstream;
let gateway: RunningGateway;
const warnings: string[] = [];

const config = (policy?: ConfigInput['policy']): ConfigInput => ({
  servers: [
    { name: 'old', url: old.upstream.url },
    { name: 'new', url: modern.url },
  ],
  profiles: [
    {
      name: 'auto',
      prefix: 'auto',
      instructions: 'Use "tickets".',
      overrides: Object.fromEntries(
        ['old', 'new'].map((server) => [
          `${server}__create`,
          {
            name: `open_${server}`,
            arguments: { tenant: { value: 'acme' }, body: { description: 'What happened.' } },
          },
        ]),
      ),
    },
    {
      name: 'never',
      prefix: 'never',
      overrides: { old__loose: { arguments: { tenant: { value: 1 } } } },
    },
  ],
  mcp: {
    auth: { mode: 'bearer', keys: [{ name: 'ci', sha256: [hashApiKey(CI)], profile: 'auto' }] },
  },
  ...(policy && { policy }),
});

beforeAll(async () => {
  const tools = [create, tool('search'), tool('loose'), tool('only_old')];
  old = await createLists('old', { lists: { tools } });
  modern = await createModernUpstream({
    tools: [create, tool('search'), tool('only_new')],
    onRequest(asked) {
      if (asked.message.method !== 'tools/call') return undefined;
      asked.result({ resultType: 'complete', content: [{ type: 'text', text: 'ok' }] });
      return true;
    },
  });
  const note = (message: string): void => void warnings.push(message);
  const nothing = (): void => undefined;
  const logger = { debug: nothing, info: nothing, warn: note, error: nothing };
  gateway = await startGateway(config(), { env, wait: [], logger } as never);
  await until(() => gateway.gateway.health().servers.every(({ connected }) => connected), 'the servers');
});

const path = (profile: string): string => `${gateway.base}/profiles/${profile}/mcp`;
const toolsOn = async (url: string, key = OPERATOR): Promise<Record<string, unknown>[]> =>
  (await connect(url, { headers: bearer(key) })).list('tools/list', 'tools');
const namesOn = async (url: string, key = OPERATOR): Promise<unknown[]> =>
  (await toolsOn(url, key)).map(({ name }) => name);

/** A call as bytes, with arguments that no encoder would write. */
async function callWith(args: string, name = 'open_old'): Promise<JsonRpc> {
  const { headers } = await connect(path('auto'), { headers: bearer(OPERATOR) });
  const body = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"arguments":${args},"name":"${name}"}}`;
  return (await post(path('auto'), body, headers)).json();
}

describe('a fixed argument', () => {
  it('is not listed, and other arguments are described', async () => {
    for (const name of ['open_old', 'open_new']) {
      const tools = await toolsOn(path('auto'));
      expect(tools.find((each) => each['name'] === name)?.['inputSchema']).toEqual({
        type: 'object',
        properties: {
          region: { type: 'string', 'x-mcp-header': 'Region' },
          body: { description: 'What happened.', type: 'string' },
        },
      });
    }
  });

  it.each([
    ['{}', { tenant: 'acme' }],
    ['{"tenant":"evil","body":"b"}', { body: 'b', tenant: 'acme' }],
    ['{"tenant":"evil","body":"b","\\u0074enant":"worse","Tenant":1}', { body: 'b', tenant: 'acme' }],
  ])('is sent in place of what the client sent: %s', async (args, expected) => {
    for (const [name, upstream] of [
      ['open_old', old.upstream],
      ['open_new', modern],
      ['old__open_old', old.upstream],
    ] as const) {
      const answer = await callWith(args, name);
      expect(answer.error).toBeUndefined();
      const sent = upstream.calls('create').at(-1);
      expect(sent?.message.params?.arguments).toEqual(expected);
      expect(sent?.text).not.toMatch(/evil|worse/);
    }
  });

  it('needs no header of a modern client, and the server gets it', async () => {
    const options = { headers: { ...bearer(OPERATOR), 'mcp-param-region': 'eu' } };
    const answer = await call(path('auto'), 'open_new', { region: 'eu', tenant: 'evil' }, options);
    expect(answer.error).toBeUndefined();
    expect(modern.calls('create').at(-1)?.headers).toMatchObject({
      'mcp-param-tenant': 'acme',
      'mcp-param-region': 'eu',
    });
    const other = { headers: { ...options.headers, 'mcp-param-tenant': 'evil' } };
    expect((await call(path('auto'), 'open_new', { region: 'eu' }, other)).error).toBeUndefined();
    expect(modern.calls('create').at(-1)?.headers['mcp-param-tenant']).toBe('acme');
    const legacyServer = await call(path('auto'), 'open_old', { region: 'eu' }, options);
    expect(legacyServer.error).toBeUndefined();
    expect(old.upstream.calls('create').at(-1)?.message.params?.arguments).toEqual({
      region: 'eu',
      tenant: 'acme',
    });
  });

  it('is not sent without the others being an object', async () => {
    const before = old.upstream.calls('create').length;
    expect((await callWith('["evil"]')).error?.message).toBe('params.arguments must be an object');
    expect(old.upstream.calls('create')).toHaveLength(before);
  });

  it('is what the policy judges', async () => {
    const judged = await startGateway(
      config({
        rules: [{ name: 'acme', allow: [{ tools: ['create'], when: 'args.tenant == "acme"' }] }],
      }),
      { env, wait: [] },
    );
    await until(() => judged.gateway.health().servers.every(({ connected }) => connected), 'the servers');
    const own = await connect(`${judged.base}/mcp`, { headers: bearer(OPERATOR) });
    const refused = await own.request('tools/call', { name: 'old__create', arguments: { tenant: 'evil' } });
    expect(refused.error?.message).toBe("refused by policy: rule 'acme'");
    const client = await connect(`${judged.base}/profiles/auto/mcp`, { headers: bearer(OPERATOR) });
    const allowed = await client.request('tools/call', { name: 'open_old', arguments: { tenant: 'evil' } });
    expect(allowed.error).toBeUndefined();
    const explained = await command(
      ['policy', 'explain', '--url', judged.base, '--as', 'bearer', '--route', '/profiles/auto/mcp'].concat([
        '--tool',
        'open_old',
        '--args',
        '{"tenant":"evil"}',
      ]),
      env,
    );
    expect(explained.out).toBe('guarded, allow\ttool\told\tcreate\trule: acme\n');
  });

  it('that a tool does not have hides the tool, with a warning and a line in /health', async () => {
    expect(await namesOn(path('never'))).not.toContain('loose');
    const client = await connect(path('never'), { headers: bearer(OPERATOR) });
    for (const name of ['loose', 'old__loose'])
      expect((await client.request('tools/call', { name })).error?.message).toBe(
        `unknown tool '${name}' (see tools/list)`,
      );
    const problems = gateway.gateway.health().problems?.['/profiles/never/mcp'];
    expect(problems).toContain(
      "the tool 'loose' of 'old' is hidden: an override changes its argument 'tenant', which is not in the properties of its inputSchema",
    );
    for (const problem of problems ?? []) expect(warnings.filter((line) => line === problem)).toHaveLength(1);
  });
});

describe('prefix', () => {
  it('auto: bare names, both with a prefix in a tie; full names never fail', async () => {
    expect(await namesOn(path('auto'))).toEqual([
      'open_new',
      'new__search',
      'only_new',
      'open_old',
      'old__search',
      'loose',
      'only_old',
    ]);
    const client = await connect(path('auto'), { headers: bearer(OPERATOR) });
    for (const name of ['only_old', 'old__only_old', 'old__search', 'new__search', 'only_new'])
      expect((await client.request('tools/call', { name, arguments: {} })).error).toBeUndefined();
    expect((await client.request('tools/call', { name: 'search' })).error?.message).toMatch(
      /call 'new__search' or 'old__search'$/,
    );
  });

  it('never: a tie lists neither, and is in /health', async () => {
    expect(await namesOn(path('never'))).toEqual(['only_new', 'only_old']);
    const { problems } = gateway.gateway.health();
    expect(problems?.['/profiles/never/mcp']?.join('\n')).toMatch(/the name 'search' of 'new', 'old'/);
    const client = await connect(path('never'), { headers: bearer(OPERATOR) });
    expect((await client.request('tools/call', { name: 'old__search' })).error).toBeUndefined();
  });

  it('SDK clients list and call them', async () => {
    const client = new Client({ name: 'test', version: '0' });
    const requestInit = { headers: { authorization: `Bearer ${OPERATOR}` } };
    await client.connect(new StreamableHTTPClientTransport(new URL(path('auto')), { requestInit }));
    atEnd(() => client.close());
    expect(client.getInstructions()).toBe('Use "tickets".');
    const { tools } = await client.listTools();
    expect(tools.find(({ name }) => name === 'only_old')?.description).toMatch(/^\[old\] |^Tool from old/);
    expect((await client.callTool({ name: 'open_old', arguments: { body: 'x' } })).isError).not.toBe(true);
  });
});

describe('the profile of a key', () => {
  it('is /mcp for it, and every other endpoint but that of the profile is 404', async () => {
    expect(await namesOn(gateway.url, CI)).toEqual(await namesOn(path('auto')));
    expect(await namesOn(path('auto'), CI)).toEqual(await namesOn(path('auto')));
    const modernNames = await answerTo(gateway.url, 'tools/list', {}, { headers: bearer(CI) });
    expect((modernNames.result?.['tools'] as { name: string }[]).map(({ name }) => name)).toEqual(
      await namesOn(path('auto')),
    );
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    for (const other of ['/servers/old/mcp', '/profiles/never/mcp', '/profiles/none/mcp'])
      expect((await post(gateway.base + other, ping, bearer(CI))).status).toBe(404);
  });

  it('binds a session to the endpoint where it was opened', async () => {
    const { headers } = await connect(gateway.url, { headers: bearer(CI) });
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    expect((await post(gateway.url, ping, headers)).status).toBe(200);
    expect((await post(path('auto'), ping, headers)).status).toBe(404);
  });
});

describe('a key whose profile changes at a reload', () => {
  it.each([['never'], [undefined]])('to %s has a new session', async (profile) => {
    const withProfile = (name: string | undefined): ConfigInput => ({
      servers: [{ name: 'old', url: old.upstream.url }],
      profiles: [{ name: 'auto' }, { name: 'never' }],
      mcp: {
        auth: {
          mode: 'bearer',
          keys: [{ name: 'ci', sha256: [hashApiKey(CI)], ...(name !== undefined && { profile: name }) }],
        },
      },
    });
    const own = await startGateway(withProfile('auto'), { env });
    const { headers } = await connect(own.url, { headers: bearer(CI) });
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    expect((await post(own.url, ping, headers)).status).toBe(200);
    await own.gateway.reload(withProfile(profile));
    expect((await post(own.url, { ...ping, id: 2 }, headers)).status).toBe(404);
    await connect(own.url, { headers: bearer(CI) });
  });
});

describe('who may share a list', () => {
  const scopeOn = async (url: string, key = OPERATOR): Promise<unknown> =>
    (await answerTo(url, 'tools/list', {}, { headers: bearer(key) })).result?.['cacheScope'];

  it('nobody where keys have profiles, everybody on the endpoint of a profile', async () => {
    expect(await scopeOn(gateway.url)).toBe('private');
    expect(await scopeOn(gateway.url, CI)).toBe('private');
    expect(await scopeOn(path('auto'))).toBe('public');
    expect(await scopeOn(path('auto'), CI)).toBe('public');
    expect(await scopeOn(`${gateway.base}/servers/new/mcp`)).toBe('public');
  });
});

describe('tokens', () => {
  it('are shown by tool and by profile', async () => {
    const run = (...args: string[]) => command([...args, '--url', gateway.base], env);
    const { out, status } = await run('tools', '--profile', 'auto', '--json');
    expect(status).toBe(0);
    const tools = JSON.parse(out) as { name: string; tokens: number }[];
    expect(tools.map(({ name }) => name)).toEqual(await namesOn(path('auto')));
    expect(tools.every(({ tokens }) => tokens > 0)).toBe(true);
    expect((await run('tools', '--profile', 'none')).err).toContain("there is no profile 'none'");
    const answer = await fetch(`${gateway.base}/-/api/v1/profiles`, {
      headers: { ...bearer(OPERATOR) } as never,
    });
    const { profiles } = (await answer.json()) as { profiles: Record<string, unknown>[] };
    expect(profiles[0]).toEqual({
      name: 'auto',
      description: null,
      path: '/profiles/auto/mcp',
      prefix: 'auto',
      tools: 7,
      tokens: tools.reduce((sum, { tokens }) => sum + tokens, 0),
    });
    const counted = `mcpstead_profile_tokens{profile="auto"}`;
    await until(async () => (await gateway.metric(counted)) > 0, 'the tokens of the profile');
    expect(await gateway.metric(counted)).toBe(tools.reduce((sum, { tokens }) => sum + tokens, 0));
    expect(await gateway.metrics()).toMatch(/mcpstead_tools_tokens\{server="\w+"\} [1-9]/);
  });
});
