/** Extensions at their edges: odd URIs, names in two forms, servers that claim much, streams that are silent, rules that pages may not get around. */
import { describe, expect, it } from 'vitest';
import { createLists, EVERYTHING, type ListsOptions, type ListsUpstream } from '../fixtures/servers/lists.js';
import { tool, type Call } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { openSse, post, type JsonRpc } from '../helpers/http.js';
import { connect, type LegacyClient } from '../helpers/legacy.js';
import { until } from '../helpers/wait.js';

const APPS = { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } } };
const SKILLS = { extensions: { 'io.modelcontextprotocol/skills': {} } };
const PAGE = 'ui://app/main.html';

const page = (uri: string): object => ({ uri, name: uri, mimeType: 'text/html;profile=mcp-app' });
const withPage = (name: string, more: object = {}, rest: object = {}): object =>
  tool(name, { _meta: { ui: { resourceUri: PAGE, ...more } }, ...rest });

function gatewayOf(
  servers: Readonly<Record<string, ListsUpstream>>,
  config: object = {},
): Promise<RunningGateway> {
  return startGateway({
    servers: Object.entries(servers).map(([name, { upstream }]) => upstream.entry(name)),
    ...config,
  });
}

/** A server whose reads return the URI that it was asked for, as text. */
const echoing = (
  name: string,
  lists: ListsOptions['lists'],
  more: ListsOptions = {},
): Promise<ListsUpstream> =>
  createLists(name, {
    ...(lists && { lists }),
    onRequest: (call) => {
      if (call.message.method !== 'resources/read') return undefined;
      const uri = String(call.params['uri']);
      call.result({ contents: [{ uri, text: `${name} ${uri}` }] });
      return true;
    },
    ...more,
  });

const call = (client: LegacyClient, name: string, args: object = {}): Promise<JsonRpc> =>
  client.request('tools/call', { name, arguments: args });
const textRead = ({ result }: JsonRpc): unknown =>
  (result?.['contents'] as { text: string }[] | undefined)?.[0]?.text;

describe('a page whose URI is odd', () => {
  it('leads to the server that it names, or nowhere', async () => {
    const a = await echoing('a', { resources: [page(PAGE)], tools: [withPage('show')] });
    // It claims all URIs: by templates, and by names in every form.
    const claims = [
      'ui:{+rest}',
      '{+all}',
      'ui://a+/{+rest}',
      'ui://{x}+/{+rest}',
      'ui://{+rest}',
      '{scheme}://{+rest}',
    ];
    const forms = [
      'ui://a+/app/main.html',
      'mcpstead:a:ui://app/main.html',
      'UI://a+/app/main.html',
      'ui://%61+/x',
    ];
    const b = await echoing('b', {
      resources: forms.map(page),
      templates: claims.map((uriTemplate) => ({ uriTemplate, name: uriTemplate })),
      tools: [],
    });
    const client = await connect((await gatewayOf({ a, b })).url, { capabilities: APPS });
    const read = async (uri: string): Promise<unknown> => {
      const answer = await client.request('resources/read', { uri });
      return textRead(answer) ?? answer.error?.code;
    };
    expect(await read('ui://a+/app/main.html')).toBe(`a ${PAGE}`);
    expect(await read('ui://%61+/app/main.html')).toBe(`a ${PAGE}`);
    expect(await read('ui://a+/a+/x')).toBe('a ui://a+/x');
    expect(await read('ui://a+/app/+/b+/x')).toBe('a ui://app/+/b+/x');
    expect(await read('ui://a+/')).toBe('a ui://');
    expect(await read('ui://b+/a+/app/main.html')).toBe('b ui://a+/app/main.html');
    // Only `a` lists it, whatever the templates of `b` cover.
    expect(await read(PAGE)).toBe(`a ${PAGE}`);
    // These name no server: `%` alone, no server before `+/`, another one, `+` as an escape.
    const nowhere = [
      'ui://%+/x',
      'ui://+/x',
      'ui://A+/x',
      'ui://a%2B/x',
      'ui://a/+/x',
      'ui://c+/x',
      'ui://a+b+/x',
    ];
    for (const uri of nowhere) expect([uri, await read(uri)]).toEqual([uri, -32002]);
    expect(await read('mcpstead:a:ui://app/main.html')).not.toBe(`a ${PAGE}`);
    for (const server of ['a', 'b']) {
      const ref = { type: 'ref/resource', uri: `ui://${server}+/a+/{+rest}` };
      const argument = { name: 'rest', value: 'x' };
      const { result } = await client.request('completion/complete', { ref, argument });
      expect(result?.['completion']).toEqual({
        values: [server, JSON.stringify({ ...ref, uri: 'ui://a+/{+rest}' })],
      });
    }
  });

  it('is found in a list whatever its escapes, and keeps every other byte', async () => {
    const spelt = ['ui:\\/\\/app/main.html', '\\u0075i://app/main.html', 'u\\u0069:/\\u002fapp\\/main.html'];
    const tools = spelt.map(
      (uri, i) =>
        `{"name":"t${i}","inputSchema":{"type":"object","x":1.0},"_meta":{"u\\u0069":{"resource\\u0055ri":"${uri}" ,"z":1e2}}}`,
    );
    const a = await echoing(
      'a',
      { resources: [page(PAGE)] },
      {
        onRequest: (asked) => {
          if (asked.message.method !== 'tools/list') return undefined;
          asked.result(`{"tools":[${tools.join(',')}]}`);
          return true;
        },
      },
    );
    const client = await connect((await gatewayOf({ a })).url, { capabilities: APPS });
    const { text } = await post(client.url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, client.headers);
    const changed =
      '"inputSchema":{"type":"object","x":1.0},"_meta":{"u\\u0069":{"resource\\u0055ri":"ui://a+/app/main.html" ,"z":1e2}}}';
    expect(text.split(changed)).toHaveLength(spelt.length + 1);
  });

  it('is a template of each server that has it', async () => {
    const templates = [{ uriTemplate: 'ui://app/{id}', name: 'page' }];
    const [a, b] = [await echoing('a', { templates }), await echoing('b', { templates })];
    const client = await connect((await gatewayOf({ a, b })).url, { capabilities: APPS });
    const listed = await client.list('resources/templates/list', 'resourceTemplates');
    expect(listed.map(({ uriTemplate }) => uriTemplate)).toEqual(['ui://a+/app/{id}', 'ui://b+/app/{id}']);
    for (const name of ['a', 'b'])
      expect(textRead(await client.request('resources/read', { uri: `ui://${name}+/app/7` }))).toBe(
        `${name} ui://app/7`,
      );
  });
});

describe('a result', () => {
  it.each(['json', 'sse'] as const)(
    'has the same URIs when each of its bytes arrives alone: %s',
    async (framing) => {
      const result =
        '{"content":[{"type":"resource_link","uri":"ui:\\/\\/app/é","name":"ui://app/x"},{"type":"text","text":"{\\"uri\\":\\"ui://app/x\\"}"}],"_meta":{"ui":{"resource\\u0055ri" : "\\u0075i://app/main.html"},"openai/outputTemplate":"ui://a+/x"}}';
      const send = async (asked: Call): Promise<void> => {
        const text = asked.envelope('result', result);
        const body = framing === 'json' ? text : `event: message\ndata: ${text}\n\n`;
        asked.res.writeHead(200, {
          'content-type': framing === 'json' ? 'application/json' : 'text/event-stream',
        });
        asked.res.socket?.setNoDelay(true);
        for (const byte of Buffer.from(body)) {
          asked.res.write(Buffer.of(byte));
          await new Promise((resolve) => setImmediate(resolve));
        }
        asked.res.end();
      };
      const a = await createLists('a', {
        lists: { tools: [withPage('show')], resources: [page(PAGE)] },
        onCall: send,
      });
      const gateway = await gatewayOf({ a, b: await createLists('b') });
      const client = await connect(gateway.url);
      const message = {
        jsonrpc: '2.0',
        id: 9,
        method: 'tools/call',
        params: { name: 'a__show', arguments: {} },
      };
      const { text } = await post(gateway.url, message, client.headers);
      const changed = result
        .replace('ui:\\/\\/app/é', 'ui:\\/\\/a+/app/é')
        .replace('\\u0075i://app/main', '\\u0075i://a+/app/main')
        .replace('"ui://a+/x"', '"ui://a+/a+/x"');
      expect(text).toContain(`"result":${changed}`);
    },
  );
});

describe('a bare name', () => {
  it('may contain the separator of names', async () => {
    const tools = [
      withPage('show'),
      withPage('x__y', { visibility: ['app'] }),
      withPage('__0123456789ab_z', { visibility: ['app'] }),
    ];
    const a = await createLists('a', { lists: { tools, resources: [page(PAGE)] } });
    const client = await connect((await gatewayOf({ a, b: await createLists('b') })).url, {
      capabilities: APPS,
    });
    for (const name of ['x__y', 'a__x__y', '__0123456789ab_z', 'a____0123456789ab_z']) {
      expect((await call(client, name)).error).toBeUndefined();
      expect(a.upstream.received('tools/call').at(-1)?.message.params?.name).toBe(name.replace(/^a__/, ''));
    }
  });

  it('is no way around what a profile or a rule hides', async () => {
    const schema = { inputSchema: { type: 'object', properties: { tenant: { type: 'string' } } } };
    const tools = [
      withPage('show'),
      // Hidden, because it does not have the argument that is fixed.
      withPage('loose', { visibility: ['app', 'model'] }),
      withPage('create', { visibility: ['app', 'model'] }, schema),
      withPage('think', { visibility: ['model'] }, schema),
      withPage('denied', { visibility: ['app', 'model'] }),
      withPage('elsewhere', { visibility: ['app', 'model'] }),
    ];
    const a = await createLists('a', { lists: { tools, resources: [page(PAGE)] } });
    const value = { tenant: { value: 'acme' } };
    const overrides = {
      a__loose: { arguments: value },
      a__create: { name: 'made', arguments: value },
      a__think: { name: 'thought', arguments: value },
    };
    const allow = [
      { servers: ['a'], tools: ['show', 'loose', 'create', 'think', 'denied'], resources: ['*'] },
    ];
    const profiles = ['always', 'auto', 'never'].flatMap((prefix) =>
      ['off', 'on'].map((search) => ({ name: `${prefix}-${search}`, prefix, search, overrides, allow })),
    );
    const gateway = await gatewayOf(
      { a, b: await createLists('b') },
      {
        profiles,
        policy: { default: 'allow', rules: [{ name: 'no', deny: [{ servers: ['a'], tools: ['denied'] }] }] },
      },
    );
    for (const { name } of profiles) {
      const client = await connect(`${gateway.base}/profiles/${name}/mcp`, { capabilities: APPS });
      await client.request('resources/read', { uri: 'ui://a+/app/main.html' });
      const args = { tenant: 'evil' };
      for (const of of ['loose', 'a__loose', 'denied', 'a__denied', 'elsewhere', 'a__elsewhere'])
        for (const answer of [
          await call(client, of, args),
          ...(name.endsWith('on') ? [await call(client, 'call_tool', { name: of, arguments: args })] : []),
        ])
          expect([name, of, JSON.stringify(answer)]).toEqual([
            name,
            of,
            expect.stringMatching(/unknown tool/),
          ]);
      for (const of of ['think', 'thought']) await call(client, of, args);
      const before = a.upstream.received('tools/call').length;
      for (const of of ['create', 'made', 'a__made']) await call(client, of, args);
      expect([name, a.upstream.received('tools/call').length - before]).toEqual([name, 3]);
    }
    for (const { text } of a.upstream.received('tools/call')) expect(text).not.toContain('evil');
    for (const name of ['loose', 'denied', 'elsewhere'])
      expect([name, a.upstream.calls(name).length]).toEqual([name, 0]);
  });
});

describe('a fixed argument', () => {
  it('is sent however often and in whatever place its call has another one', async () => {
    const inputSchema = { type: 'object', properties: { tenant: { type: 'string' }, x: {} } };
    const a = await createLists('a', { lists: { tools: [tool('create', { inputSchema })] } });
    const overrides = { a__create: { arguments: { tenant: { value: 'acme' } } } };
    const gateway = await gatewayOf({ a }, { profiles: [{ name: 'desk', search: 'on', overrides }] });
    const url = `${gateway.base}/profiles/desk/mcp`;
    const { headers } = await connect(url);
    const evil = '{"tenant":"evil","t\\u0065nant":"evil","TENANT":"evil","tenant":["evil"],"x":1}';
    const plain = `"name":"a__create","arguments":${evil}`;
    const found = `"name":"call_tool","arguments":{${plain}}`;
    const calls = [
      `{"method":"tools/call","params":{${plain}}}`,
      `{"method":"tools/call","params":{${found}}}`,
      ...[plain, found].flatMap((params) => [
        `{"method":"tools/call","params":{"arguments":{},${params}}}`,
        `{"method":"tools/call","params":{${params},"\\u0061rguments":${evil}}}`,
        `{"method":"tools/call","params":{${params},"Arguments":${evil}}}`,
        `{"method":"tools/call","params":{${params}},"params":{${params}}}`,
        `{"method":"tools/call","params":{${params}},"Params":{${params}}}`,
      ]),
      `{"method":"tools/call","params":{"name":"call_tool","arguments":{${plain},"arguments":${evil}}}}`,
      `{"method":"tools/call","params":{"name":"call_tool","arguments":{${plain},"\\u0061rguments":${evil}}}}`,
    ];
    for (const each of calls) await post(url, `{"jsonrpc":"2.0","id":7,${each.slice(1)}`, headers);
    const sent = a.upstream.received('tools/call');
    expect(sent.length).toBeGreaterThanOrEqual(2);
    for (const { text, message } of sent) {
      expect(text).not.toContain('evil');
      expect(message.params).toMatchObject({ name: 'create', arguments: { tenant: 'acme' } });
    }
  });
});

describe('what the rules or the kind of client hide', () => {
  it('is in no candidate, suggestion or result', async () => {
    const lists = {
      tools: [withPage('show_page'), withPage('poll_secretly', { visibility: ['app'] })],
      resources: [page(PAGE)],
    };
    const [a, b, c] = [
      await createLists('a', { lists }),
      await createLists('b', { lists }),
      await createLists('c', { lists }),
    ];
    const gateway = await gatewayOf(
      { a, b, c },
      {
        profiles: ['always', 'auto', 'never'].map((prefix) => ({ name: prefix, prefix, search: 'on' })),
        policy: {
          default: 'allow',
          rules: [{ name: 'no b', deny: [{ servers: ['b'], tools: ['*'], resources: ['*'] }] }],
        },
      },
    );
    for (const prefix of ['always', 'auto', 'never']) {
      const url = `${gateway.base}/profiles/${prefix}/mcp`;
      const [apps, plain] = [await connect(url, { capabilities: APPS }), await connect(url)];
      const answers = async (client: LegacyClient): Promise<string> => {
        const asked = [
          await call(client, 'poll_secretly'),
          await call(client, 'find_tools', { query: 'poll secretly show page', limit: 20 }),
          await client.request('resources/read', { uri: PAGE }),
        ];
        for (const name of [
          'poll_secretl',
          'b__poll_secretly',
          'a__poll_secretl',
          'show_pag',
          'b__show_page',
          'show_page',
        ])
          for (const tool of ['call_tool', 'call_read_only_tool'])
            asked.push(await call(client, tool, { name, arguments: {} }));
        // Without what the client wrote itself.
        return JSON.stringify(asked).replace(/tool '[^']*'/g, '');
      };
      const shown = await answers(apps);
      expect(shown).toContain('a__poll_secretly');
      expect(shown).toContain('ui://c+/app/main.html');
      expect(shown).not.toMatch(/b__|b\+\//);
      expect(await answers(plain)).not.toMatch(/b__|b\+\/|poll_secretly/);
    }
    expect(b.upstream.received('tools/call')).toEqual([]);
  });
});

describe('skills', () => {
  const skill = (name: string): object => ({
    uri: `skill://${name}/SKILL.md`,
    frontmatter: { name, description: name },
    resources: [{ uri: `skill://${name}/SKILL.md`, digest: `sha256:${'0'.repeat(64)}` }],
  });
  const skilled = (name: string, ...skills: object[]): Promise<ListsUpstream> =>
    echoing(name, { skills, tools: [] }, { capabilities: { ...EVERYTHING, ...SKILLS } });

  it('are read by the form of their server if only one lists it, and by the full one listed or not', async () => {
    const [a, b] = [await skilled('a', skill('one'), skill('both')), await skilled('b', skill('both'))];
    const client = await connect((await gatewayOf({ a, b })).url);
    const read = async (uri: string): Promise<unknown> => {
      const answer = await client.request('resources/read', { uri });
      return textRead(answer) ?? answer.error?.data;
    };
    expect(await read('skill://one/SKILL.md')).toBe('a skill://one/SKILL.md');
    expect(await read('skill://b+/one/other.md')).toBe('b skill://one/other.md');
    expect(await read('skill://one/other.md')).toEqual({ uri: 'skill://one/other.md' });
    expect(await read('skill://both/SKILL.md')).toEqual({
      uri: 'skill://both/SKILL.md',
      candidates: ['skill://a+/both/SKILL.md', 'skill://b+/both/SKILL.md'],
    });
  });
});

describe('a request of an unknown method', () => {
  it('may be silent for longer than request_ms, and is cancelled when its client leaves', async () => {
    const open: Call[] = [];
    const a = await createLists('a', {
      capabilities: { ...EVERYTHING, extensions: { 'com.example/foo': {} } },
      lists: { tools: [tool('silent')] },
      onCall: () => undefined,
      onRequest: (asked) => {
        if (asked.message.method !== 'foo/stream') return undefined;
        open.push(asked);
        return true;
      },
    });
    const gateway = await startGateway({
      servers: [a.upstream.entry('a', { timeouts: { request_ms: 300 } })],
      http: { resume_seconds: 0 },
    });
    const client = await connect(gateway.url);
    const first = client.request('foo/stream');
    await until(() => open.length === 1, 'the stream');
    // Silences that begin later end by request_ms.
    for (let n = 0; n < 2; n++)
      expect((await call(client, 'a__silent')).error?.message).toMatch(/request_ms/);
    open[0]?.result({ over: true });
    expect((await first).result).toEqual({ over: true });

    const left = await openSse(
      client.url,
      { jsonrpc: '2.0', id: 7, method: 'foo/stream', params: {} },
      client.headers,
    );
    await until(() => open.length === 2, 'the second stream');
    left.close();
    await until(
      () =>
        a.upstream
          .received('notifications/cancelled')
          .some(({ message }) => message.params?.['requestId'] === open[1]?.message.id),
      'its cancellation',
    );
  });
});
