/** Profiles, other names for tools, and what the policy decides about them. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ConfigInput } from '../../src/index.js';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { tool } from '../fixtures/servers/http-upstream.js';
import { createLists, type ListsUpstream } from '../fixtures/servers/lists.js';
import { atEnd } from '../helpers/cleanup.js';
import { tempFile } from '../helpers/cli.js';
import { command } from '../helpers/commands.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { post, type Headers, type JsonRpc } from '../helpers/http.js';
import { connect } from '../helpers/legacy.js';
import { until } from '../helpers/wait.js';

const OPERATOR = 'the-token-of-the-operator';
const env = { MCPSTEAD_BEARER_TOKEN: OPERATOR };
const [CI, DESK] = [createApiKey(), createApiKey()];
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });

let s: ListsUpstream;
let other: ListsUpstream;
let gateway: RunningGateway;

const config = (): ConfigInput => ({
  servers: [
    {
      name: 's',
      url: s.upstream.url,
      overrides: {
        create: { name: 'make', title: 'Make it', description: 'Makes "it".' },
        plain: { title: 'Plain', description: 'New.' },
        search: { description: 'Another.' },
      },
    },
    { name: 'other', url: other.upstream.url },
  ],
  profiles: [
    {
      name: 'desk',
      allow: [{ servers: ['s'], tools: ['create', 'search'] }],
      overrides: { s__create: { name: 'open_ticket' }, s__search: { title: 'Find' } },
    },
  ],
  mcp: {
    auth: {
      mode: 'bearer',
      keys: [
        { name: 'ci', sha256: [hashApiKey(CI)], groups: ['dev'] },
        { name: 'desk', sha256: [hashApiKey(DESK)], groups: ['dev'], profile: 'desk' },
      ],
    },
  },
  policy: {
    rules: [
      {
        name: 'dev',
        who: { groups: ['dev'] },
        // The server's own names, whatever a client calls a tool.
        allow: [
          { servers: ['s'], tools: ['create', 'plain'] },
          { tools: ['search'], when: 'args.q != "secret"' },
        ],
      },
      { name: 'all', who: { ids: ['bearer'] }, allow: [{}] },
      { name: 'scoped', needs: ['write'], allow: [{ servers: ['other'] }] },
    ],
  },
});

beforeAll(async () => {
  s = await createLists('s', {
    lists: {
      tools: [
        tool('create', { title: 'Create', annotations: { readOnlyHint: false } }),
        { name: 'plain', inputSchema: { type: 'object' } },
        tool('search'),
        tool('drop'),
      ],
      prompts: [{ name: 'ask' }],
      resources: [{ uri: 'memo://one', name: 'one' }],
      templates: [{ uriTemplate: 'memo://{x}', name: 'x' }],
    },
  });
  other = await createLists('other');
  gateway = await startGateway(config(), { env, wait: [] });
  await until(() => gateway.gateway.health().servers.every(({ connected }) => connected), 'the servers');
});

const toolsOn = async (path: string, key: string): Promise<Record<string, unknown>[]> =>
  (await connect(gateway.base + path, { headers: bearer(key) })).list('tools/list', 'tools');

const namesOn = async (path: string, key: string): Promise<unknown[]> =>
  (await toolsOn(path, key)).map(({ name }) => name);

async function callOn(path: string, name: string, args: object = {}, key = CI): Promise<JsonRpc> {
  const client = await connect(gateway.base + path, { headers: bearer(key) });
  return client.request('tools/call', { name, arguments: args });
}

describe('an override', () => {
  it('replaces name, title and description on merged routes, and nothing on the route of the server', async () => {
    const tools = await toolsOn('/mcp', CI);
    expect(tools).toEqual([
      {
        name: 's__make',
        title: 'Make it',
        description: '[s] Makes "it".',
        inputSchema: { type: 'object' },
        annotations: { readOnlyHint: false },
      },
      { name: 's__plain', title: 'Plain', description: '[s] New.', inputSchema: { type: 'object' } },
      { name: 's__search', description: '[s] Another.', inputSchema: { type: 'object' } },
    ]);
    const own = await toolsOn('/servers/s/mcp', CI);
    expect(own.map(({ name, title }) => [name, title])).toEqual([
      ['create', 'Create'],
      ['plain', undefined],
      ['search', undefined],
    ]);
  });

  it('leads to the tool by its new name; the replaced one is unknown', async () => {
    const before = s.upstream.calls('create').length;
    expect((await callOn('/mcp', 's__make')).error).toBeUndefined();
    expect(s.upstream.calls('create')).toHaveLength(before + 1);
    for (const name of ['s__create', 's__nothing'])
      expect((await callOn('/mcp', name)).error?.message).toMatch(new RegExp(`^unknown tool '${name}'`));
    expect((await callOn('/servers/s/mcp', 'create')).error).toBeUndefined();
    expect((await callOn('/servers/s/mcp', 'make')).error?.message).toMatch(/^unknown tool 'make'/);
    expect(s.upstream.calls('create')).toHaveLength(before + 2);
    expect(s.upstream.calls('make')).toHaveLength(0);
  });

  it('of a profile is over that of the server, in that profile alone', async () => {
    const tools = await toolsOn('/profiles/desk/mcp', CI);
    expect(tools.map(({ name, title, description }) => [name, title, description])).toEqual([
      ['s__open_ticket', 'Make it', '[s] Makes "it".'],
      ['s__search', 'Find', '[s] Another.'],
    ]);
    expect((await callOn('/profiles/desk/mcp', 's__open_ticket')).error).toBeUndefined();
    for (const name of ['s__make', 's__create', 's__plain'])
      expect((await callOn('/profiles/desk/mcp', name)).error?.message).toMatch(/^unknown tool/);
    expect((await callOn('/mcp', 's__open_ticket')).error?.message).toMatch(/^unknown tool/);
  });

  it('changes nothing about who may call: rules have the own names of the server', async () => {
    expect(await namesOn('/mcp', OPERATOR)).toEqual([
      'other__echo',
      's__make',
      's__plain',
      's__search',
      's__drop',
    ]);
    expect((await callOn('/mcp', 's__search', { q: 'secret' })).error?.message).toBe(
      "refused by policy: rule 'dev'",
    );
    expect((await callOn('/mcp', 's__search', { q: 'other' })).error).toBeUndefined();
  });
});

describe('a key with a profile', () => {
  it('is confined to it: /mcp is that profile, and other routes do not exist', async () => {
    for (const path of ['/profiles/desk/mcp', '/mcp'])
      expect(await namesOn(path, DESK)).toEqual(['s__open_ticket', 's__search']);
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    const answers = await Promise.all(
      ['/servers/s/mcp', '/servers/nobody/mcp', '/profiles/nothing/mcp'].map((path) =>
        post(gateway.base + path, ping, bearer(DESK)),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
  });
});

describe('mcpstead policy explain', () => {
  const explain = (...args: string[]) =>
    command(['policy', 'explain', '--url', gateway.base, '--as', ...args], env);

  it('names verdict and rule of every item of a route', async () => {
    const { status, out, err } = await explain('key:ci', '--route', '/servers/s/mcp');
    expect([status, err]).toEqual([0, '']);
    expect(out.trim().split('\n')).toEqual([
      'shown\ttool\ts\tcreate\trule: dev',
      'shown\ttool\ts\tplain\trule: dev',
      'guarded\ttool\ts\tsearch\trule: dev',
      'hidden\ttool\ts\tdrop\trule: default',
      'hidden\tprompt\ts\task\trule: default',
      'hidden\tresource\ts\tmemo://one\trule: default',
      'hidden\ttemplate\ts\tmemo://{x}\trule: default',
    ]);
  });

  it.each<[string, string[], string]>([
    [
      'a call that a condition allows',
      ['key:ci', '--tool', 's__search', '--args', '{"q":"x"}'],
      'guarded, allow\ttool\ts\tsearch\trule: dev\n',
    ],
    [
      'a call that it denies',
      ['key:ci', '--tool', 's__search', '--args', '{"q":"secret"}'],
      "guarded, deny\ttool\ts\tsearch\trule: dev\trefused by policy: rule 'dev'\n",
    ],
    [
      'a tool by the name of the profile',
      ['key:ci', '--tool', 's__open_ticket', '--route', '/profiles/desk/mcp'],
      'shown\ttool\ts\tcreate\trule: dev\n',
    ],
    ['a replaced name', ['key:ci', '--tool', 's__create'], 's__create\tunknown: no server has it\n'],
    ['a hidden tool', ['key:ci', '--tool', 's__drop'], 'hidden\ttool\ts\tdrop\trule: default\n'],
    [
      'somebody in a group',
      ['corp:ann', '--groups', 'dev', '--tool', 's__plain'],
      'shown\ttool\ts\tplain\trule: dev\n',
    ],
    ['somebody without', ['corp:ann', '--tool', 's__plain'], 'hidden\ttool\ts\tplain\trule: default\n'],
    [
      'a token that lacks a scope',
      ['corp:ann', '--tool', 'other__echo', '--args', '{}'],
      'guarded, step_up\ttool\tother\techo\trule: scoped\tthis needs the scope write\n',
    ],
    [
      'a token that has it',
      ['corp:ann', '--scopes', 'write', '--tool', 'other__echo', '--args', '{}'],
      'shown, allow\ttool\tother\techo\trule: scoped\n',
    ],
    [
      'a key that lacks it',
      ['key:ci', '--tool', 'other__echo'],
      'hidden\ttool\tother\techo\trule: default\n',
    ],
    [
      'a key with other groups',
      ['key:ci', '--groups', 'none', '--tool', 's__plain'],
      'hidden\ttool\ts\tplain\trule: default\n',
    ],
  ])('explains %s', async (_what, args, expected) => {
    expect(await explain(...args)).toEqual({ status: 0, out: expected, err: '' });
  });

  it('gives JSON, as the gateway answered it', async () => {
    const { out } = await explain('key:ci', '--tool', 's__plain', '--json');
    expect(JSON.parse(out)).toEqual({
      principal: 'key:ci',
      groups: ['dev'],
      scopes: [],
      route: '/mcp',
      items: [{ kind: 'tool', server: 's', name: 'plain', verdict: 'shown', rule: 'dev' }],
    });
  });

  it.each<[string, string[], number, RegExp]>([
    ['nobody', [], 2, /needs --as/],
    ['no such key', ['--as', 'key:nobody'], 1, /there is no key 'nobody'/],
    ['an empty name', ['--as', ''], 1, /as must name a principal/],
    ['a strange route', ['--as', 'x', '--route', '/sse'], 1, /route must be/],
    ['arguments that are not JSON', ['--as', 'x', '--args', '{'], 2, /--args must be JSON/],
    ['claims that are not JSON', ['--as', 'x', '--claims', 'a=b'], 2, /--claims must be JSON/],
    ['claims that are no object', ['--as', 'x', '--claims', '[1]'], 1, /claims must be an object/],
  ])('refuses %s', async (_what, args, status, why) => {
    const ran = await command(['policy', 'explain', '--url', gateway.base, ...args], env);
    expect([ran.status, ran.out]).toEqual([status, '']);
    expect(ran.err).toMatch(why);
  });

  it('is for operators', async () => {
    for (const token of [CI, 'wrong', undefined]) {
      const ran = await command(
        ['policy', 'explain', '--url', gateway.base, '--as', 'key:ci'],
        token === undefined ? {} : { MCPSTEAD_BEARER_TOKEN: token },
      );
      expect([ran.status, ran.out]).toEqual([5, '']);
      expect(ran.err).toMatch(token === CI ? /refused: HTTP 403/ : /refused: HTTP 401/);
    }
    for (const body of ['[]', '7', '{', '{"as":"x","groups":"a"}', '{"as":"x","tool":7}']) {
      const { status } = await post(`${gateway.base}/-/explain`, body, bearer(OPERATOR));
      expect(status).toBe(400);
    }
  });
});

describe('commands that ask a gateway', () => {
  const list = (args: string[], more: NodeJS.ProcessEnv = {}) =>
    command(['pins', 'list', ...args], { ...env, ...more });

  it('exit with 4 where none answers, and with 2 for an address that is none', async () => {
    const port = await closedPort();
    const none = await list(['--url', `http://127.0.0.1:${port}`]);
    expect([none.status, none.err]).toEqual([
      4,
      expect.stringMatching(/no gateway at http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/),
    ]);
    for (const url of ['nonsense', 'ftp://a', ''])
      expect(await list(['--url', url])).toMatchObject({ status: 2, out: '' });
  });

  it('find the gateway by the config, and reach one on all addresses by loopback', async () => {
    const { port } = new URL(gateway.base);
    for (const host of ['127.0.0.1', '0.0.0.0']) {
      const path = await tempFile('config.yaml', `host: ${host}\nport: ${port}\nservers: []\n`);
      expect(await list(['--config', path])).toEqual({ status: 0, out: '', err: '' });
      expect(await list([], { MCPSTEAD_CONFIG: path })).toEqual({ status: 0, out: '', err: '' });
    }
  });

  it('show no control characters of what answers, and read no more of it than they have to', async () => {
    const server = createServer((_req, res) => {
      res.writeHead(500).end(`\u001b[2J<h1>oops</h1>\n${'x'.repeat(5000)}`);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    atEnd(() => server.close());
    const ran = await list(['--url', `http://127.0.0.1:${(server.address() as AddressInfo).port}`]);
    expect(ran.status).toBe(1);
    expect(ran.err).toMatch(/refused: HTTP 500: \[2J<h1>oops<\/h1> x+\n$/);
    expect(ran.err).not.toContain('\u001b');
    expect(ran.err.length).toBeLessThan(700);
  });
});

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
