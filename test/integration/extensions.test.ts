/** Extensions on endpoints of several servers: what is declared, where unknown methods go, pages of apps, and skills. */
import { expect, it, describe } from 'vitest';
import { createLists, EVERYTHING, type ListsOptions, type ListsUpstream } from '../fixtures/servers/lists.js';
import { tool } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { post } from '../helpers/http.js';
import { connect, heard, messagesOf, type LegacyClient } from '../helpers/legacy.js';
import { answerTo, ask, EVERYTHING as ALL } from '../helpers/modern.js';
import { until } from '../helpers/wait.js';

type Meta = Record<string, unknown>;

const UI = 'io.modelcontextprotocol/ui';
const SKILLS = 'io.modelcontextprotocol/skills';
const APPS = { extensions: { [UI]: { mimeTypes: ['text/html;profile=mcp-app'] } } };

const withPage = (name: string, uri: string, more: object = {}): object =>
  tool(name, { _meta: { ui: { resourceUri: uri, ...more }, 'ui/resourceUri': uri } });
const page = (uri: string): object => ({ uri, name: uri, mimeType: 'text/html;profile=mcp-app' });

/** A server with an app: a tool that shows a page, one for the page alone, and one for the model alone. */
const appServer = (name: string, options: ListsOptions = {}): Promise<ListsUpstream> =>
  createLists(name, {
    lists: {
      tools: [
        withPage('show', 'ui://app/main.html'),
        withPage('poll', 'ui://app/main.html', { visibility: ['app'] }),
        withPage('think', 'ui://app/main.html', { visibility: ['model'] }),
      ],
      resources: [page('ui://app/main.html')],
    },
    ...options,
  });

function gatewayOf(
  servers: Readonly<Record<string, ListsUpstream>>,
  config: object = {},
): Promise<RunningGateway> {
  const entries = Object.entries(servers).map(([name, { upstream }]) => upstream.entry(name));
  return startGateway({ servers: entries, ...config });
}

const capabilitiesOf = (client: LegacyClient): Record<string, unknown> =>
  client.greeting['capabilities'] as Record<string, unknown>;
const namesOf = (tools: readonly Record<string, unknown>[]): unknown[] => tools.map(({ name }) => name);
const calledTool = (server: ListsUpstream): unknown =>
  server.upstream.received('tools/call').at(-1)?.message.params?.name;

describe('what is declared', () => {
  it('to a server of all clients: that apps are shown, and what its configuration adds', async () => {
    const [a, b] = [await createLists('a'), await createLists('b')];
    await gatewayOf(
      { a, b },
      {
        servers: [
          a.upstream.entry('a'),
          { ...b.upstream.entry('b'), extensions: { [UI]: false, 'com.example/x': { depth: 2 } } },
        ],
      },
    );
    const told = ({ upstream }: ListsUpstream): unknown =>
      (upstream.received('initialize')[0]?.message.params?.['capabilities'] as Record<string, unknown>)[
        'extensions'
      ];
    expect(told(a)).toEqual({ [UI]: { mimeTypes: ['text/html;profile=mcp-app'] } });
    expect(told(b)).toEqual({ 'com.example/x': { depth: 2 } });
  });

  it('to a client: known extensions merged, apps where they are shown, the rest if it can be routed', async () => {
    const gateway = await gatewayOf({
      a: await appServer('a', {
        capabilities: { ...EVERYTHING, extensions: { 'com.example/x': {}, [SKILLS]: {} }, events: {} },
      }),
      b: await createLists('b', {
        capabilities: {
          ...EVERYTHING,
          extensions: { 'com.example/x': {}, 'com.example/y': { z: 1 }, [SKILLS]: { directoryRead: true } },
        },
      }),
    });
    const { extensions, events } = capabilitiesOf(await connect(gateway.url));
    expect(extensions).toEqual({ 'com.example/y': { z: 1 }, [SKILLS]: { directoryRead: true }, [UI]: {} });
    expect(events).toEqual({});
    const { result } = await answerTo(gateway.url, 'server/discover');
    expect((result?.['capabilities'] as Record<string, unknown>)['extensions']).toEqual(extensions);
    const own = await connect(gateway.server('a'));
    expect(capabilitiesOf(own)['extensions']).toEqual({ 'com.example/x': {}, [SKILLS]: {} });
  });
});

describe('unknown methods', () => {
  const offering = (name: string, extensions: object): Promise<ListsUpstream> =>
    createLists(name, {
      capabilities: { ...EVERYTHING, extensions },
      onRequest: (call) => {
        if (!/^(foo|bar)\//.test(call.message.method ?? '')) return undefined;
        call.result({ from: name });
        return true;
      },
    });

  it('go to the one server that declares something unknown, or to the one whose id they begin with', async () => {
    const one = await gatewayOf({
      a: await offering('a', { 'com.example/foo': {} }),
      skilled: await offering('skilled', { [SKILLS]: {}, [UI]: {} }),
    });
    expect((await (await connect(one.url)).request('bar/list')).result).toEqual({ from: 'a' });
    const two = await gatewayOf({
      a: await offering('a', { 'com.example/foo': {} }),
      b: await offering('b', { 'org.example/bar': {} }),
    });
    const client = await connect(two.url);
    expect((await client.request('foo/list')).result).toEqual({ from: 'a' });
    expect((await client.request('bar/list')).result).toEqual({ from: 'b' });
    expect((await client.request('other/list')).error).toEqual({
      code: -32601,
      message: "method 'other/list' is offered by several servers here: use /servers/<name>/mcp",
      data: { servers: ['a', 'b'] },
    });
  });
});

describe('what reads as a method of the protocol', () => {
  it('is not sent past the gateway', async () => {
    const a = await createLists('a', {
      capabilities: { ...EVERYTHING, extensions: { 'com.example/foo': {} } },
    });
    const gateway = await gatewayOf({ a });
    const client = await connect(gateway.url);
    const params = { name: 'echo', arguments: {} };
    for (const method of ['Tools/call', ' tools/call', 'tools/call\u0000', 'TOOLS/CALL\t']) {
      expect((await client.request(method, params)).error?.code).toBe(-32601);
      const told = JSON.stringify({ jsonrpc: '2.0', method, params });
      expect((await post(gateway.url, told, client.headers)).status).toBe(202);
    }
    const { error } = await answerTo(gateway.url, 'Tools/call', params, { headers: { 'mcp-name': '' } });
    expect(error?.code).toBe(-32601);
    // Whatever was sent before it has arrived.
    await client.request('foo/list');
    expect(a.upstream.received('foo/list')).toHaveLength(1);
    const names = a.upstream.requests.map(({ message }) => message.method ?? '');
    expect(names.filter((name) => /call/i.test(name))).toEqual([]);
  });
});

describe('requests of unknown methods', () => {
  it('count for limits about all calls, for as long as they last', async () => {
    const open: (() => void)[] = [];
    const a = await createLists('a', {
      capabilities: { ...EVERYTHING, extensions: { 'com.example/foo': {} } },
      onRequest: (call) => {
        if (call.message.method !== 'foo/stream') return undefined;
        open.push(() => {
          call.result({ over: true });
        });
        return true;
      },
    });
    const one = { name: 'one', per_second: 1000, burst: 1000, concurrent: 1 };
    const gateway = await gatewayOf({ a }, { limits: { rules: [one] } });
    const client = await connect(gateway.url);
    const first = client.request('foo/stream');
    await until(() => open.length === 1, 'the stream');
    expect((await client.request('foo/stream')).error?.message).toMatch(/^too many calls: rule 'one'/);
    open.pop()?.();
    expect((await first).result).toEqual({ over: true });
  });
});

describe('a server that is away', () => {
  it('keeps its pages, the tools that they call, and its methods: another server gets none of them', async () => {
    const serving = (name: string, extension: string): Promise<ListsUpstream> =>
      appServer(name, {
        capabilities: { ...EVERYTHING, extensions: { [`com.example/${extension}`]: {}, [SKILLS]: {} } },
        onRequest: (call) => {
          if (!call.message.method?.startsWith('foo/')) return undefined;
          call.result({ from: name });
          return true;
        },
      });
    const [a, b] = [await serving('a', 'foo'), await serving('b', 'bar')];
    for (const { lists } of [a, b]) lists.skills = [{ uri: 'skill://x/SKILL.md', frontmatter: {} }];
    const gateway = await gatewayOf({ a, b });
    const client = await connect(gateway.url, { capabilities: APPS });
    await client.request('resources/read', { uri: 'ui://a+/app/main.html' });
    await a.upstream.stop();
    await until(
      () => gateway.gateway.health().servers.every(({ name, tools_count }) => name !== 'a' || !tools_count),
      'the end of its lists',
    );
    const error = {
      code: -32000,
      message: expect.stringContaining("upstream 'a' is disconnected") as string,
    };
    for (const [method, params] of [
      ['tools/call', { name: 'poll', arguments: {} }],
      ['resources/read', { uri: 'ui://app/main.html' }],
      ['resources/read', { uri: 'skill://x/SKILL.md' }],
      ['foo/list', {}],
    ] as const)
      expect((await client.request(method, params)).error).toMatchObject(error);
    // Nor does a client get it that has read no page.
    const other = await connect(gateway.url, { capabilities: APPS });
    const tie = await other.request('tools/call', { name: 'poll', arguments: {} });
    expect(tie.error?.data).toEqual({ candidates: ['a__poll', 'b__poll'] });
    // The skills of the others are listed.
    expect((await other.list('skills/list', 'skills')).map(({ uri }) => uri)).toEqual([
      'skill://b+/x/SKILL.md',
    ]);
    expect(b.upstream.received('tools/call')).toEqual([]);
    expect(b.upstream.received('resources/read')).toEqual([]);
    expect(b.upstream.received('foo/list')).toEqual([]);
  });
});

describe('pages of apps', () => {
  it('are named by their server in lists and references, whoever else claims them', async () => {
    const a = await appServer('a');
    const b = await createLists('b', {
      lists: {
        tools: [withPage('fake', 'ui://app/main.html'), withPage('other', 'ui://a+/app/main.html')],
        resources: [page('ui://app/main.html')],
      },
    });
    const gateway = await gatewayOf({ b, a });
    const client = await connect(gateway.url, { capabilities: APPS });
    const tools = await client.list('tools/list', 'tools');
    const pages: unknown = Object.fromEntries(
      tools.map(({ name, _meta }) => [
        name,
        [(_meta as Meta)['ui'], (_meta as Meta)['ui/resourceUri']].map((each) =>
          typeof each === 'string' ? each : (each as { resourceUri: string }).resourceUri,
        ),
      ]),
    );
    const [ofA, ofB] = ['ui://a+/app/main.html', 'ui://b+/app/main.html'];
    expect(pages).toEqual({
      a__show: [ofA, ofA],
      a__poll: [ofA, ofA],
      a__think: [ofA, ofA],
      b__fake: [ofB, ofB],
      b__other: ['ui://b+/a+/app/main.html', 'ui://b+/a+/app/main.html'],
    });
    const resources = await client.list('resources/list', 'resources');
    expect(resources.map(({ uri }) => uri)).toEqual([ofA, ofB]);
    for (const [uri, server] of [
      [ofA, 'a'],
      [ofB, 'b'],
      ['ui://b+/unlisted/x', 'b'],
    ] as const) {
      const { result } = await client.request('resources/read', { uri });
      expect(result?.['contents']).toEqual([{ uri, text: server }]);
    }
    // A bare one leads to the only server whose page was read; here both were.
    const { error } = await client.request('resources/read', { uri: 'ui://app/main.html' });
    expect(error?.data).toEqual({ uri: 'ui://app/main.html', candidates: [ofA, ofB] });
  });

  it('call the tools of their server by its names; who shows no apps does not know them', async () => {
    const a = await appServer('a');
    const b = await appServer('b');
    const gateway = await gatewayOf({ a, b, c: await createLists('c') });
    const client = await connect(gateway.url, { capabilities: APPS });
    const tie = await client.request('tools/call', { name: 'poll', arguments: {} });
    expect(tie.error).toEqual({
      code: -32602,
      message: "tool 'poll' is offered by several servers here: call 'a__poll' or 'b__poll'",
      data: { candidates: ['a__poll', 'b__poll'] },
    });
    await client.request('resources/read', { uri: 'ui://b+/app/main.html' });
    expect((await client.request('tools/call', { name: 'poll', arguments: {} })).error).toBeUndefined();
    expect(calledTool(b)).toBe('poll');
    // Of the only server whose page was read, also what it does not list.
    await client.request('tools/call', { name: 'App___tool', arguments: {} });
    expect(calledTool(b)).toBe('App___tool');
    const unknown = (name: string): object => ({
      error: {
        code: -32602,
        message: `unknown tool '${name}' (tool name must be server__tool, as in tools/list)`,
      },
    });
    // For the model alone: unknown to pages.
    expect(await client.request('tools/call', { name: 'think', arguments: {} })).toMatchObject(
      unknown('think'),
    );
    expect(calledTool(b)).toBe('App___tool');
    // Of a server without apps. The page of one server was read, so that server is asked.
    await client.request('tools/call', { name: 'echo', arguments: {} });
    expect(calledTool(b)).toBe('echo');
    const plain = await connect(gateway.url);
    expect(namesOf(await plain.list('tools/list', 'tools'))).toEqual([
      'a__show',
      'a__think',
      'b__show',
      'b__think',
      'c__echo',
    ]);
    for (const name of ['poll', 'a__poll', 'think', 'echo'])
      expect(await plain.request('tools/call', { name, arguments: {} })).toMatchObject(unknown(name));
    const { error } = await answerTo(gateway.url, 'tools/call', { name: 'a__poll', arguments: {} });
    expect(error).toMatchObject({ code: -32602 });
    const modern = await answerTo(
      gateway.url,
      'tools/call',
      { name: 'a__poll', arguments: {} },
      { capabilities: { ...ALL, ...APPS } },
    );
    expect(modern.error).toBeUndefined();
  });

  it('make a client that reads one a client that shows apps: told once, it sees their tools', async () => {
    const gateway = await gatewayOf({ a: await appServer('a') });
    const client = await connect(gateway.url);
    expect(namesOf(await client.list('tools/list', 'tools'))).toEqual(['a__show', 'a__think']);
    const stream = await client.listen();
    await client.request('resources/read', { uri: 'ui://a+/app/main.html' });
    await heard(stream, 'notifications/tools/list_changed');
    expect(namesOf(await client.list('tools/list', 'tools'))).toEqual(['a__show', 'a__poll', 'a__think']);
    const told = (): number =>
      messagesOf(stream).filter(({ method }) => method === 'notifications/tools/list_changed').length;
    const before = told();
    await client.request('resources/read', { uri: 'ui://a+/app/main.html' });
    expect((await client.request('tools/call', { name: 'poll', arguments: {} })).error).toBeUndefined();
    expect(told()).toBe(before);
  });

  it('are named by their server in results and errors, and in updates', async () => {
    const result = {
      content: [
        { type: 'resource_link', uri: 'ui://app/other', name: 'x' },
        { type: 'text', text: '{"uri":"ui://app/main.html"}' },
      ],
      _meta: { ui: { resourceUri: 'ui://app/main.html' } },
    };
    const a = await appServer('a', {
      onCall: (call) => {
        if (call.params.name === 'think') call.error(-32000, 'no', { uri: 'ui://app/main.html' });
        else call.result(result);
      },
    });
    const gateway = await gatewayOf({ a, b: await createLists('b') });
    const client = await connect(gateway.url);
    const answer = await client.request('tools/call', { name: 'a__show', arguments: {} });
    expect(answer.result).toEqual({
      content: [{ type: 'resource_link', uri: 'ui://a+/app/other', name: 'x' }, result.content[1]],
      _meta: { ui: { resourceUri: 'ui://a+/app/main.html' } },
    });
    const failed = await client.request('tools/call', { name: 'a__think', arguments: {} });
    expect(failed.error?.data).toEqual({ uri: 'ui://a+/app/main.html' });
    const own = await connect(gateway.server('a'));
    expect((await own.request('tools/call', { name: 'show', arguments: {} })).result).toEqual(result);
    const stream = await client.listen();
    await client.request('resources/subscribe', { uri: 'ui://a+/app/main.html' });
    a.announce('resources/updated', { uri: 'ui://app/main.html' });
    const [update] = await heard(stream, 'notifications/resources/updated');
    expect(update?.params).toEqual({ uri: 'ui://a+/app/main.html' });
  });

  it('that a rule hides are referred to by no tool, and a denied tool is no candidate', async () => {
    const gateway = await gatewayOf(
      { a: await appServer('a'), b: await appServer('b') },
      {
        policy: {
          default: 'allow',
          rules: [
            { name: 'no pages', deny: [{ servers: ['a'], resources: ['ui://*'] }] },
            { name: 'no polls', deny: [{ servers: ['a'], tools: ['poll'] }] },
          ],
        },
      },
    );
    const client = await connect(gateway.url, { capabilities: APPS });
    const tools = await client.list('tools/list', 'tools');
    expect(tools.filter(({ name }) => name === 'a__show')).toEqual([
      expect.objectContaining({ _meta: { ui: {} } }) as object,
    ]);
    expect(tools.find(({ name }) => name === 'b__show')).toMatchObject({
      _meta: { ui: { resourceUri: 'ui://b+/app/main.html' } },
    });
    expect((await client.request('tools/call', { name: 'poll', arguments: {} })).error).toBeUndefined();
  });
});

describe('skills', () => {
  const DIGEST = `sha256:${'0'.repeat(64)}`;
  const skill = (name: string, ...files: string[]): object => ({
    uri: `skill://shop/${name}/SKILL.md`,
    frontmatter: { name, description: `How to make ${name}`, uri: 'skill://kept' },
    resources: ['SKILL.md', ...files].map((file) => ({
      uri: `skill://shop/${name}/${file}`,
      digest: DIGEST,
      size: 3,
    })),
  });
  const skilled = (name: string, skills: object[], settings: object = {}): Promise<ListsUpstream> =>
    createLists(name, {
      capabilities: { ...EVERYTHING, extensions: { [SKILLS]: settings } },
      lists: { skills },
      onRequest: (call) => {
        const uri = String(call.params['uri']);
        if (call.message.method === 'skills/get') {
          call.result({ skill: { uri, from: name, resources: [{ uri, digest: DIGEST }] } });
          return true;
        }
        if (call.message.method !== 'resources/directory/read') return undefined;
        call.result({ resources: [{ uri: `${uri}/x`, name: `of ${name}` }] });
        return true;
      },
    });

  it('of several servers are one list, each under its server, in both eras', async () => {
    const gateway = await gatewayOf({
      a: await skilled('a', [skill('refunds', 'rules/eu.md', 'rules/us.md', 'a b.txt')]),
      b: await skilled('b', [skill('refunds')], { directoryRead: true }),
      c: await createLists('c', { capabilities: { ...EVERYTHING, extensions: { 'com.example/x': {} } } }),
    });
    const client = await connect(gateway.url);
    expect(capabilitiesOf(client)['extensions']).toMatchObject({ [SKILLS]: { directoryRead: true } });
    const skills = await client.list('skills/list', 'skills');
    expect(skills.map(({ uri }) => uri)).toEqual([
      'skill://a+/shop/refunds/SKILL.md',
      'skill://b+/shop/refunds/SKILL.md',
    ]);
    expect(skills[0]?.['frontmatter']).toEqual({
      name: 'refunds',
      description: 'How to make refunds',
      uri: 'skill://kept',
    });
    expect((skills[0]?.['resources'] as { uri: string }[]).map(({ uri }) => uri)).toEqual([
      'skill://a+/shop/refunds/SKILL.md',
      'skill://a+/shop/refunds/rules/eu.md',
      'skill://a+/shop/refunds/rules/us.md',
      'skill://a+/shop/refunds/a b.txt',
    ]);
    const modern = (await answerTo(gateway.url, 'skills/list')).result as Record<string, unknown>;
    expect(modern['skills']).toEqual(skills);
    expect(modern).toMatchObject({ resultType: 'complete', cacheScope: 'public' });

    const got = await client.request('skills/get', { uri: 'skill://b+/unlisted/SKILL.md' });
    expect(got.result?.['skill']).toEqual({
      uri: 'skill://b+/unlisted/SKILL.md',
      from: 'b',
      resources: [{ uri: 'skill://b+/unlisted/SKILL.md', digest: DIGEST }],
    });
    const read = await client.request('resources/read', { uri: 'skill://a+/shop/refunds/rules/eu.md' });
    expect(read.result?.['contents']).toEqual([{ uri: 'skill://a+/shop/refunds/rules/eu.md', text: 'a' }]);
    for (const uri of [
      'skill://c+/shop/refunds/SKILL.md',
      'skill://nobody+/x/SKILL.md',
      'mcpstead:b:skill://shop/refunds/SKILL.md',
    ])
      expect((await client.request('skills/get', { uri })).error).toMatchObject({
        code: -32602,
        data: { uri },
      });
  });

  it('name no file of another server, whatever its scheme', async () => {
    const files = ['skill://b+/x', 'ui://b+/app/main.html'];
    const shown = { ...skill('s'), resources: files.map((uri) => ({ uri })) };
    const gateway = await gatewayOf({ a: await skilled('a', [shown]), b: await appServer('b') });
    const [listed] = await (await connect(gateway.url)).list('skills/list', 'skills');
    expect(listed?.['resources']).toEqual([{ uri: 'skill://a+/b+/x' }, { uri: 'ui://a+/b+/app/main.html' }]);
  });

  it('have directories, also of servers that do not read them', async () => {
    const gateway = await gatewayOf({
      a: await skilled('a', [
        skill('refunds', 'rules/eu.md', 'rules/us.md', 'a%20b.txt'),
        { ...skill('live'), resources: 'dynamic' },
      ]),
      b: await skilled('b', [skill('refunds')], { directoryRead: true }),
    });
    const client = await connect(gateway.url);
    const children = async (uri: string): Promise<unknown> =>
      (await client.request('resources/directory/read', { uri })).result?.['resources'];
    expect(await children('skill://a+/shop/refunds')).toEqual([
      { uri: 'skill://a+/shop/refunds/SKILL.md', name: 'SKILL.md' },
      { uri: 'skill://a+/shop/refunds/rules', name: 'rules', mimeType: 'inode/directory' },
      { uri: 'skill://a+/shop/refunds/a%20b.txt', name: 'a b.txt' },
    ]);
    expect(await children('skill://a+/shop/refunds/rules')).toEqual([
      { uri: 'skill://a+/shop/refunds/rules/eu.md', name: 'eu.md' },
      { uri: 'skill://a+/shop/refunds/rules/us.md', name: 'us.md' },
    ]);
    expect(await children('skill://b+/shop/refunds')).toEqual([
      { uri: 'skill://b+/shop/refunds/x', name: 'of b' },
    ]);
    for (const uri of ['skill://a+/shop/live', 'skill://a+/shop/refunds/SKILL.md', 'skill://a+/shop/x'])
      expect((await client.request('resources/directory/read', { uri })).error).toMatchObject({
        code: -32602,
      });
  });

  it('have directories whose names take linear time, and that hide what a rule hides', async () => {
    const gateway = await gatewayOf(
      { a: await skilled('a', [skill('refunds', 'eu.md', 'us.md')]) },
      {
        policy: {
          default: 'allow',
          rules: [{ name: 'no us', deny: [{ servers: ['a'], resources: ['*us.md'] }] }],
        },
      },
    );
    const client = await connect(gateway.url);
    const read = async (uri: string): Promise<unknown> => {
      const { result, error } = await client.request('resources/directory/read', { uri });
      return error?.code ?? (result?.['resources'] as { name: string }[]).map(({ name }) => name);
    };
    const slashes = '/'.repeat(1_000_000);
    expect(await read(`skill://a+/${slashes}x`)).toBe(-32602);
    expect(await read(`skill://a+/shop/refunds${slashes}`)).toEqual(['SKILL.md', 'eu.md']);
  });

  it('have directories in pages', async () => {
    const files = Array.from({ length: 2500 }, (_, n) => `data/${n}.txt`);
    const gateway = await gatewayOf({ a: await skilled('a', [skill('refunds', ...files)]) });
    const client = await connect(gateway.url);
    const names: unknown[] = [];
    let cursor: unknown;
    do {
      const params = { uri: 'skill://a+/shop/refunds/data', ...(cursor !== undefined && { cursor }) };
      const { result } = await client.request('resources/directory/read', params);
      const page = result?.['resources'] as { name: string }[];
      expect(page.length).toBeLessThanOrEqual(1000);
      names.push(...page.map(({ name }) => name));
      cursor = result?.['nextCursor'];
    } while (cursor !== undefined);
    expect(names).toEqual(files.map((file) => file.slice('data/'.length)));
    const wrong = { uri: 'skill://a+/shop/refunds/data', cursor: 'x' };
    expect((await client.request('resources/directory/read', wrong)).error).toMatchObject({ code: -32602 });
  });

  it('are unknown where no server has them', async () => {
    const gateway = await gatewayOf({ a: await createLists('a') });
    const client = await connect(gateway.url);
    for (const method of ['skills/list', 'skills/get', 'resources/directory/read'])
      expect((await client.request(method, { uri: 'skill://x/SKILL.md' })).error).toMatchObject({
        code: -32601,
      });
    expect((await ask(gateway.url, 'skills/list')).status).toBe(404);
  });
});
