/** Profiles that list few tools: the others are found by a search, and called through tools of the gateway. */
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { describe, expect, it } from 'vitest';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { tool, type Call, type Upstream } from '../fixtures/servers/http-upstream.js';
import { createUpstream } from '../fixtures/servers/http-upstream.js';
import { createLists } from '../fixtures/servers/lists.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { beat, post, textOf, type JsonRpc } from '../helpers/http.js';
import { connect, final, heard, messagesOf, type LegacyClient } from '../helpers/legacy.js';
import {
  answerTo,
  ask,
  call,
  createModernUpstream,
  EVERYTHING,
  needs,
  only,
  REVISION,
  stream,
  type Modern,
} from '../helpers/modern.js';
import { everythingStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

const OWN = ['find_tools', 'call_read_only_tool', 'call_tool'];
const TASKS = 'io.modelcontextprotocol/tasks';
const FORM = { message: 'Sure?', requestedSchema: { type: 'object', properties: {} } };
const COUNT = { type: 'object', properties: { count: { type: 'integer' } }, required: ['count'] };
const reading = { annotations: { readOnlyHint: true } };

const TOOLS = [
  tool('create_event', { description: 'Creates an event in a calendar.', inputSchema: COUNT }),
  tool('listEvents', { description: 'Shows the events of a calendar.', ...reading }),
  tool('ask'),
  tool('slow'),
  tool('work', { execution: { taskSupport: 'required' } }),
  tool('pinned'),
];

type Json = Record<string, unknown>;
const profileOf = ({ base }: RunningGateway, name = 'desk'): string => `${base}/profiles/${name}/mcp`;
const namesIn = (tools: readonly Json[]): unknown[] => tools.map(({ name }) => name);
const isError = (answer: JsonRpc): unknown => answer.result?.['isError'];

/** What a search gives. */
function toolsIn(answer: JsonRpc): Json[] {
  const text = textOf(answer);
  return text.startsWith('No tool') ? [] : (JSON.parse(text) as { tools: Json[] }).tools;
}

/** The parameters of the calls that a server got, without what the gateway adds for each. */
function callsOf(upstream: Upstream): unknown[] {
  return upstream.received('tools/call').map(({ message }) => {
    const { _meta: _, ...params } = message.params ?? {};
    return params;
  });
}

/** A gateway with one server, and the profile `desk`, which searches. */
async function desk(upstream: Upstream, search: unknown = 'on', more: object = {}): Promise<RunningGateway> {
  return startGateway({
    servers: [upstream.entry('s')],
    profiles: [{ name: 'desk', search }],
    ...more,
  } as Parameters<typeof startGateway>[0]);
}

/** Calls a tool, by its name or through `call_tool`. */
type Way = (name: string, args: object) => readonly [name: string, args: object];
const ways: Readonly<Record<'plain' | 'found', Way>> = {
  plain: (name, args) => [name, args],
  found: (name, args) => ['call_tool', { arguments: args, name }],
};

describe('the list', () => {
  it('has three tools of the gateway and those that are always listed', async () => {
    const gateway = await desk(await createUpstream({ tools: TOOLS }), { always: ['s__pin*'] });
    const client = await connect(profileOf(gateway));
    expect(namesIn(await client.list('tools/list', 'tools'))).toEqual([...OWN, 's__pinned']);
    const modern = await answerTo(profileOf(gateway), 'tools/list');
    expect(namesIn(modern.result?.['tools'] as Json[])).toEqual([...OWN, 's__pinned']);
    // Elsewhere nothing changes.
    const whole = await connect(gateway.url);
    expect(namesIn(await whole.list('tools/list', 'tools'))).toHaveLength(TOOLS.length);
    expect((await whole.request('tools/call', { name: 'find_tools' })).error?.message).toMatch(
      /^unknown tool/,
    );
  });

  it.each(['auto', 'never'])('has no name twice where tools have no prefix: %s', async (prefix) => {
    const upstream = await createUpstream({ tools: [...OWN, 'calendar'].map((name) => tool(name)) });
    const gateway = await startGateway({
      servers: [upstream.entry('s')],
      profiles: [{ name: 'desk', prefix, search: { always: ['*'] } }],
    } as Parameters<typeof startGateway>[0]);
    const client = await connect(profileOf(gateway));
    const shown = prefix === 'auto' ? [...OWN.map((name) => `s__${name}`), 'calendar'] : ['calendar'];
    expect(namesIn(await client.list('tools/list', 'tools'))).toEqual([...OWN, ...shown]);
    const found = toolsIn(await client.request('tools/call', find('find call tool calendar')));
    expect(namesIn(found).sort()).toEqual([...shown].sort());
    // Near misses are named here as well.
    const miss = { name: 'call_tool', arguments: { name: 'calender', arguments: {} } };
    const unknown = await client.request('tools/call', miss);
    expect(isError(unknown)).toBe(true);
    expect(textOf(unknown)).toMatch(/^unknown tool 'calender'\. Did you mean 'calendar'/);
    await client.request('tools/call', { name: 's__call_tool', arguments: {} });
    expect(callsOf(upstream)).toEqual([{ name: 'call_tool', arguments: {} }]);
  });

  it('names servers as configured, so that a disconnect changes nothing', async () => {
    const upstream = await createUpstream({ tools: TOOLS });
    const gateway = await startGateway(
      {
        servers: [upstream.entry('s'), { name: 'gone', url: 'http://127.0.0.1:9/mcp' }],
        profiles: [{ name: 'desk', search: 'on' }],
        startup: { wait_ms: 0 },
      },
      { wait: ['s'] },
    );
    const [find] = await (await connect(profileOf(gateway))).list('tools/list', 'tools');
    expect(find?.['description']).toContain('gone, s');
  });

  it('stays what it is when a server gets a tool, which is found from then on', async () => {
    const lists = await createLists('s', { lists: { tools: TOOLS.slice(0, -1) } });
    const gateway = await desk(lists.upstream, { always: ['s__pinned'] });
    const client = await connect(profileOf(gateway));
    const events = await client.listen();
    const told = (): number => messagesOf(events).length;
    const listed = async (): Promise<unknown[]> => namesIn(await client.list('tools/list', 'tools'));
    const change = (tools: object[]): void => {
      lists.lists.tools = tools;
      lists.announce('tools/list_changed');
    };
    expect(await listed()).toEqual(OWN);
    change(TOOLS);
    await until(() => told() > 0, 'the change of what is listed');
    await until(async () => (await listed()).includes('s__pinned'), 'the list with the tool');
    const before = told();
    expect(toolsIn(await client.request('tools/call', find('rename')))).toEqual([]);
    change([...TOOLS, tool('rename_calendar')]);
    const found = await until(async () => {
      const tools = toolsIn(await client.request('tools/call', find('rename')));
      return tools.length > 0 && tools;
    }, 'the new tool');
    expect(namesIn(found)).toEqual(['s__rename_calendar']);
    // The next change of what is listed is told: the one between was not.
    change(TOOLS.slice(0, -1));
    await until(() => told() > before, 'the next change');
    expect(await listed()).toEqual(OWN);
    expect(told()).toBe(before + 1);
  });
});

const find = (query: string, more: object = {}): object => ({
  name: 'find_tools',
  arguments: { query, ...more },
});

describe('find_tools', () => {
  it.each(['legacy', 'modern'] as const)('gives the bytes of tools/list: %s', async (era) => {
    const odd =
      '{ "name":"odd", "x-digits": 12345678901234567890.10, "description":"Odd calendar \\u00e9",\n"inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"}}';
    const gateway = await desk(await createUpstream({ tools: [...TOOLS, odd] }));
    const client = await connect(profileOf(gateway));
    const asked = async (url: string, method: string, params: Json): Promise<string> => {
      if (era === 'modern') return JSON.stringify(await answerTo(url, method, params));
      return JSON.stringify(await client.request(method, params));
    };
    const raw =
      era === 'modern'
        ? (await ask(gateway.url, 'tools/list')).text
        : (await post(gateway.url, { jsonrpc: '2.0', id: 1, method: 'tools/list' })).text;
    const answer = JSON.parse(
      await asked(profileOf(gateway), 'tools/call', find('calendar') as Json),
    ) as JsonRpc;
    const text = textOf(answer);
    expect(toolsIn(answer)).toHaveLength(3);
    const pieces = text.slice('{"tools":['.length, -2).split(/,(?=\{ ?"name":"s__)/);
    expect(pieces).toHaveLength(3);
    for (const piece of pieces) expect(raw).toContain(piece);
    expect(pieces.join()).toContain('12345678901234567890.10, "description":"[s] Odd calendar \\u00e9",\n');
  });

  it('takes a limit between 1 and 20, and gives names and beginnings if asked to', async () => {
    const many = Array.from({ length: 30 }, (_, i) =>
      tool(`t${i}`, { description: 'x'.repeat(3000) + ' same' }),
    );
    const gateway = await desk(await createUpstream({ tools: many }), { limit: 2 });
    const client = await connect(profileOf(gateway));
    const found = async (more: object): Promise<Json[]> =>
      toolsIn(await client.request('tools/call', find('same', more)));
    expect(await found({})).toHaveLength(2);
    expect(await found({ limit: 0 })).toHaveLength(1);
    expect(namesIn(await found({ limit: 3 }))).toEqual(['s__t0', 's__t1', 's__t10']);
    const brief = await found({ limit: 100, detail: 'brief' });
    expect(brief).toHaveLength(20);
    expect(Object.keys(brief[0] ?? {})).toEqual(['name', 'description']);
    const large = await desk(
      await createUpstream({ tools: many.map((each) => ({ ...each, title: 'y'.repeat(4000) })) }),
    );
    const answer = await (await connect(profileOf(large))).request('tools/call', find('same', { limit: 20 }));
    expect(JSON.parse(textOf(answer))).toMatchObject({
      note: expect.stringContaining('search for fewer') as string,
    });
    expect(toolsIn(answer)[0]).not.toHaveProperty('inputSchema');
  });

  it('tells the servers if it finds nothing, and what is wrong with its arguments', async () => {
    const gateway = await desk(await createUpstream({ tools: TOOLS }));
    const client = await connect(profileOf(gateway));
    expect(await client.tool('find_tools', { query: 'zebra' })).toBe(
      "No tool matches 'zebra'. Servers here: s (6 tools). Try other words.",
    );
    for (const args of [{}, { query: 1 }, { query: ' ' }, undefined, []]) {
      const answer = await client.request('tools/call', { name: 'find_tools', arguments: args });
      expect(isError(answer), JSON.stringify(args)).toBe(true);
    }
  });
});

describe('what the rules hide', () => {
  it('is in no result, count or near miss', async () => {
    const key = createApiKey();
    const upstream = await createUpstream({ tools: TOOLS });
    const hidden = await createUpstream({ tools: [tool('create_secret')] });
    const gateway = await startGateway(
      {
        servers: [upstream.entry('s'), hidden.entry('hidden')],
        profiles: [{ name: 'desk', search: 'on' }],
        mcp: { auth: { mode: 'bearer', keys: [{ name: 'ci', sha256: [hashApiKey(key)] }] } },
        policy: {
          rules: [
            {
              name: 'few',
              allow: [{ servers: ['s'], tools: ['create_*', 'listEvents'] }],
              deny: [{ servers: ['s'], tools: ['create_event'] }],
            },
          ],
        },
      },
      { wait: [] },
    );
    await until(() => gateway.gateway.health().servers.every(({ connected }) => connected), 'the servers');
    const client = await connect(profileOf(gateway), { headers: { authorization: `Bearer ${key}` } });
    const texts = [JSON.stringify(await client.list('tools/list', 'tools'))];
    for (const query of ['create', 'secret', 'calendar', 'zebra', 'hidden'])
      texts.push((await client.tool('find_tools', { query, limit: 20 })).replace(`'${query}'`, ''));
    for (const name of ['s__create_events', 'hidden__create_secret', 's__create_event', 'create_secret']) {
      const answer = await client.request('tools/call', { name: 'call_tool', arguments: { name } });
      expect(isError(answer)).toBe(true);
      texts.push(textOf(answer).replaceAll(`'${name}'`, ''));
    }
    for (const text of texts) expect(text).not.toMatch(/create_|secret|hidden__|hidden \(/);
    expect(texts.join()).toContain('s (1 tool)');
    expect(callsOf(upstream)).toEqual([]);
    expect(callsOf(hidden)).toEqual([]);
  });
});

describe('a call that is not sent', () => {
  it.each(['legacy', 'modern'] as const)(
    'has wrong arguments, an unknown name, or a writer: %s',
    async (era) => {
      const upstream = await createUpstream({ tools: TOOLS });
      const gateway = await desk(upstream);
      const url = profileOf(gateway);
      const client = await connect(url);
      const asked = (name: string, args: object): Promise<JsonRpc> =>
        era === 'modern' ? call(url, name, args) : client.request('tools/call', { name, arguments: args });
      const cases: [string, object, string[]][] = [
        [
          'call_tool',
          { name: 's__create_event', arguments: { count: 'many' } },
          ['/count', '"integer"', '"properties"'],
        ],
        ['call_tool', { name: 's__create_event' }, ['the top', '"count"']],
        ['call_tool', { name: 's__create_evnt', arguments: {} }, ["'s__create_event'"]],
        ['call_tool', { name: 'create_event', arguments: {} }, ["'s__create_event'"]],
        ['call_tool', { name: 'call_tool', arguments: { name: 's__slow' } }, ["unknown tool 'call_tool'"]],
        ['call_tool', { name: 's__slow', count: 1 }, ["'count'", "'arguments'"]],
        ['call_tool', { name: 's__slow', arguments: '{}' }, ['object']],
        ['call_tool', {}, ["'name'"]],
        [
          'call_read_only_tool',
          { name: 's__create_event', arguments: { count: 1 } },
          ['readOnlyHint', 'call_tool'],
        ],
      ];
      for (const [name, args, parts] of cases) {
        const answer = await asked(name, args);
        expect(isError(answer), JSON.stringify(answer)).toBe(true);
        for (const part of parts) expect(textOf(answer)).toContain(part);
      }
      expect(callsOf(upstream)).toEqual([]);
      const read = await asked('call_read_only_tool', { name: 's__listEvents', arguments: { a: 1 } });
      expect(textOf(read)).toBe('{"a":1}');
      expect(callsOf(upstream)).toEqual([{ name: 'listEvents', arguments: { a: 1 } }]);
    },
  );

  it('goes to a server that is not connected: its state is the answer', async () => {
    const gateway = await startGateway(
      {
        servers: [{ name: 'gone', url: 'http://127.0.0.1:9/mcp' }],
        profiles: [{ name: 'desk', search: 'on' }],
        startup: { wait_ms: 0 },
      },
      { wait: [] },
    );
    const client = await connect(profileOf(gateway));
    const answer = await client.request('tools/call', { name: 'call_tool', arguments: { name: 'gone__x' } });
    expect(answer.error?.message).toMatch(/^upstream 'gone' is/);
    const read = await client.request('tools/call', {
      name: 'call_read_only_tool',
      arguments: { name: 'gone__x' },
    });
    expect(isError(read)).toBe(true);
  });
});

/** A server of each era with the same tools. */
const servers: Readonly<Record<'legacy' | 'modern', () => Promise<Upstream>>> = {
  legacy: () =>
    createUpstream({
      tools: TOOLS,
      sessions: true,
      capabilities: {
        tools: { listChanged: true },
        tasks: { requests: { tools: { call: {} } }, cancel: {}, list: {} },
      },
      onRequest: (asked) => {
        if (asked.message.method !== 'tasks/get') return undefined;
        asked.result({ ...task(), status: 'completed' });
        return true;
      },
      async onCall(asked) {
        const { name } = asked.params;
        if (name === 'ask') {
          const { result } = await asked.ask('elicitation/create', FORM);
          asked.text(`asked ${JSON.stringify(result?.['action'])}`);
        } else if (name === 'slow') asked.progress(1, 2);
        else if (name === 'work' && asked.params['task']) asked.result({ task: task() });
        else asked.text(JSON.stringify(asked.args));
      },
    }),
  modern: () =>
    createModernUpstream({
      tools: TOOLS,
      capabilities: { tools: { listChanged: true }, extensions: { [TASKS]: {} } },
      onRequest: (asked) => modernTool(asked),
    }),
};

const task = (): Json => ({
  taskId: 't1',
  status: 'working',
  createdAt: '2026-11-23T00:00:00Z',
  lastUpdatedAt: '2026-11-23T00:00:00Z',
  ttl: 60_000,
});

function modernTool(asked: Call): boolean | undefined {
  const { params } = asked;
  if (asked.message.method !== 'tools/call') return undefined;
  const responses = params['inputResponses'] as Json | undefined;
  const { ttl: ttlMs, ...more } = task();
  if (params.name === 'ask' && !responses)
    asked.result({
      resultType: 'input_required',
      inputRequests: { sure: { method: 'elicitation/create', params: { mode: 'form', ...FORM } } },
      requestState: 'theirs',
    });
  else if (params.name === 'ask')
    asked.text(`asked ${JSON.stringify((responses?.['sure'] as Json)['action'])}`, {
      resultType: 'complete',
    });
  else if (params.name === 'slow') asked.progress(1, 2);
  else if (params.name === 'work') asked.result({ resultType: 'task', ...more, ttlMs, pollIntervalMs: 50 });
  else asked.text(JSON.stringify(asked.args), { resultType: 'complete' });
  return true;
}

const PAIRS = (['legacy', 'modern'] as const).flatMap((client) =>
  (['legacy', 'modern'] as const).map((server) => [client, server] as const),
);

describe.each(PAIRS)(
  'call_tool is the call that it asks for: a %s client, a %s server',
  (clientEra, serverEra) => {
    const able: Modern = { capabilities: { ...EVERYTHING, extensions: { [TASKS]: {} } } };

    async function begin(): Promise<{ upstream: Upstream; url: string; client: LegacyClient }> {
      const upstream = await servers[serverEra]();
      const gateway = await desk(upstream);
      const url = profileOf(gateway);
      return { upstream, url, client: await connect(url) };
    }

    it.each(['plain', 'found'] as const)(
      'the same goes to the server, and the same comes back: %s',
      async (way) => {
        const { upstream, url, client } = await begin();
        const [name, args] = ways[way]('s__create_event', { count: 3, text: 'é\\u0041' });
        const answer =
          clientEra === 'modern'
            ? await call(url, name, args)
            : await client.request('tools/call', { name, arguments: args });
        expect(textOf(answer)).toBe('{"count":3,"text":"é\\\\u0041"}');
        expect(callsOf(upstream)).toEqual([
          { name: 'create_event', arguments: { count: 3, text: 'é\\u0041' } },
        ]);
        const [received] = upstream.received('tools/call');
        if (serverEra === 'modern') expect(received?.headers['mcp-name']).toBe('create_event');
      },
    );

    it.each(['plain', 'found'] as const)('a question is answered: %s', async (way) => {
      const { upstream, url, client } = await begin();
      const [name, args] = ways[way]('s__ask', { a: 1 });
      let answer: JsonRpc;
      if (clientEra === 'legacy') {
        const events = await client.stream(name, args);
        const [question] = await heard(events, 'elicitation/create');
        await client.say({ id: question?.id, result: { action: 'decline' } });
        answer = await final(events);
      } else {
        const asked = needs(await call(url, name, args, able));
        const { key } = only(asked);
        const more = { inputResponses: { [key]: { action: 'decline' } }, requestState: asked.requestState };
        answer = await call(url, name, args, { ...able, more });
      }
      expect(textOf(answer)).toBe('asked "decline"');
      for (const { message } of upstream.received('tools/call'))
        expect(message.params).toMatchObject({ name: 'ask', arguments: { a: 1 } });
    });

    it.each(['plain', 'found'] as const)('progress arrives, and a cancel goes on: %s', async (way) => {
      const { upstream, url, client } = await begin();
      const [name, args] = ways[way]('s__slow', {});
      const meta = { progressToken: 'mine' };
      const events =
        clientEra === 'legacy'
          ? await client.stream(name, args, { id: 'slow', meta })
          : await stream(url, 'tools/call', { name, arguments: args }, { meta });
      const [progress] = await heard(events, 'notifications/progress');
      expect(progress?.params).toMatchObject({ progressToken: 'mine', progress: 1, total: 2 });
      if (clientEra === 'legacy')
        await client.say({ method: 'notifications/cancelled', params: { requestId: 'slow' } });
      else events.close();
      await until(
        () => upstream.received('notifications/cancelled').length > 0 || upstream.abandoned > 0,
        'the cancel at the server',
      );
    });

    it('a task is made', async () => {
      const { upstream, url, client } = await begin();
      const [name, args] = ways.found('s__work', {});
      if (clientEra === 'legacy' && serverEra === 'legacy') {
        const { result } = await client.request('tools/call', {
          name,
          arguments: args,
          task: { ttl: 60_000 },
        });
        const { taskId } = result?.['task'] as { taskId: string };
        expect(taskId).toBe('s__t1');
        const state = await client.request('tasks/get', { taskId });
        expect(state.result).toMatchObject({ taskId, status: 'completed' });
      } else if (clientEra === 'modern') {
        const answer = await call(url, name, args, able);
        expect(answer.result).toMatchObject({ resultType: 'task', status: 'working' });
        expect(String(answer.result?.['taskId'])).toMatch(/^s__/);
      }
      for (const { message } of upstream.received('tools/call')) expect(message.params?.name).toBe('work');
    });
  },
);

describe('a parameter that the definition mirrors into a header', () => {
  it('is not demanded of the client, and goes to the server', async () => {
    const mirrored = tool('send', {
      inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } },
    });
    const upstream = await createModernUpstream({ tools: [mirrored] });
    const gateway = await desk(upstream);
    const url = profileOf(gateway);
    const plain = await call(url, 's__send', { region: 'eu' });
    expect(plain.error?.message).toContain('mcp-param-region is missing');
    const found = await call(url, ...ways.found('s__send', { region: 'eu' }));
    expect(found.error).toBeUndefined();
    const [received] = upstream.received('tools/call');
    expect(received?.headers).toMatchObject({ 'mcp-name': 'send', 'mcp-param-region': 'eu' });
  });
});

describe('a reload', () => {
  it('turns the search on and off for open sessions, and tells them', async () => {
    const upstream = await createUpstream({ tools: TOOLS });
    const config = (search: 'on' | 'off'): Parameters<typeof startGateway>[0] => ({
      servers: [upstream.entry('s')],
      profiles: [{ name: 'desk', search }],
    });
    const gateway = await startGateway(config('off'));
    const client = await connect(profileOf(gateway));
    const events = await client.listen();
    const count = async (): Promise<number> => (await client.list('tools/list', 'tools')).length;
    expect(await count()).toBe(TOOLS.length);
    await gateway.gateway.reload(config('on'));
    await heard(events, 'notifications/tools/list_changed');
    expect(await count()).toBe(OWN.length);
    expect(toolsIn(await client.request('tools/call', find('calendar')))).toHaveLength(2);
    await gateway.gateway.reload(config('off'));
    await heard(events, 'notifications/tools/list_changed', 2);
    expect(await count()).toBe(TOOLS.length);
  });
});

describe('tools of apps', () => {
  it('are listed for clients that show apps, and found by them alone', async () => {
    const meta = (more: object): object => ({ _meta: { ui: { resourceUri: 'ui://page', ...more } } });
    const upstream = await createUpstream({
      tools: [
        ...TOOLS,
        tool('show_calendar', meta({})),
        tool('poll_calendar', meta({ visibility: ['app'] })),
      ],
    });
    const url = profileOf(await desk(upstream));
    const ui = { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } } };
    const app = await connect(url, { capabilities: ui });
    const other = await connect(url);
    const listed = async (client: LegacyClient): Promise<unknown[]> =>
      namesIn(await client.list('tools/list', 'tools'));
    expect(await listed(app)).toEqual([...OWN, 's__show_calendar', 's__poll_calendar']);
    expect(await listed(other)).toEqual(OWN);
    const found = async (client: LegacyClient): Promise<unknown[]> =>
      namesIn(toolsIn(await client.request('tools/call', find('poll calendar'))));
    expect(await found(app)).toContain('s__poll_calendar');
    expect(await found(other)).not.toContain('s__poll_calendar');
    const call = { name: 'call_tool', arguments: { name: 's__poll_calendar' } };
    const answer = await other.request('tools/call', call);
    expect(isError(answer)).toBe(true);
    expect(textOf(answer).replace("unknown tool 's__poll_calendar'", '')).not.toContain('poll_calendar');
    expect((await app.request('tools/call', call)).error).toBeUndefined();
    expect(callsOf(upstream)).toEqual([{ name: 'poll_calendar', arguments: {} }]);
  });
});

describe('limits and the policy', () => {
  it('judge the tool that is called', async () => {
    const upstream = await createUpstream({ tools: TOOLS });
    const gateway = await desk(upstream, 'on', {
      policy: { rules: [{ name: 'small', allow: [{ tools: ['create_event'], when: 'args.count < 5' }] }] },
    });
    const client = await connect(profileOf(gateway));
    const asked = (count: number): Promise<JsonRpc> =>
      client.request('tools/call', {
        name: 'call_tool',
        arguments: { name: 's__create_event', arguments: { count } },
      });
    expect((await asked(3)).error).toBeUndefined();
    expect((await asked(7)).error).toEqual(
      (await client.request('tools/call', { name: 's__create_event', arguments: { count: 7 } })).error,
    );
    expect(callsOf(upstream)).toHaveLength(1);
  });
});

describe('with the clients of the SDKs, before server-everything', () => {
  const clients = {
    v1: async (url: string) => {
      const client = new ClientV1({ name: 'v1', version: '1' });
      await client.connect(new HttpV1(new URL(url)));
      return client;
    },
    v2: async (url: string) => {
      const client = new ClientV2(
        { name: 'v2', version: '1' },
        { versionNegotiation: { mode: { pin: REVISION } } },
      );
      await client.connect(new HttpV2(new URL(url)));
      return client;
    },
  };

  it.each(['v1', 'v2'] as const)('%s finds a tool and calls it', async (version) => {
    const gateway = await startGateway({
      servers: [everythingStdio()],
      profiles: [{ name: 'desk', search: 'on' }],
    });
    const client = await clients[version](profileOf(gateway));
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(OWN);
    const found = await client.callTool({ name: 'find_tools', arguments: { query: 'add two numbers' } });
    const [best] = toolsIn({ result: found });
    expect(best?.['name']).toBe('everything__get-sum');
    const sum = await client.callTool({
      name: 'call_tool',
      arguments: { name: 'everything__get-sum', arguments: { a: 2, b: 3 } },
    });
    expect(JSON.stringify(sum.content)).toContain('5');
    const wrong = await client.callTool({
      name: 'call_tool',
      arguments: { name: 'everything__get-sum', arguments: { a: 'x', b: 3 } },
    });
    expect(wrong.isError).toBe(true);
    await client.close();
    await beat(gateway.url);
  });
});

it('does not check arguments by a schema that is about one with a fixed value', async () => {
  const properties = { tenant: { type: 'string' }, body: { type: 'string' } };
  const schema = { type: 'object', properties, required: ['tenant'] };
  const rules = [
    { allOf: [{ required: ['tenant'] }] },
    { minProperties: 1 },
    { dependentRequired: { body: ['tenant'] } },
  ];
  const upstream = await createUpstream({
    tools: rules.map((rule, i) => tool(`create_${i}`, { inputSchema: { ...schema, ...rule } })),
  });
  const fixed = { arguments: { tenant: { value: 'acme' } } };
  const overrides = Object.fromEntries(rules.map((_, i) => [`s__create_${i}`, fixed]));
  const gateway = await startGateway({
    servers: [upstream.entry('s')],
    profiles: [{ name: 'desk', search: 'on', overrides }],
  });
  const client = await connect(profileOf(gateway));
  const given = [{}, {}, { body: 'x' }];
  for (const [i, args] of given.entries())
    await client.request('tools/call', {
      name: 'call_tool',
      arguments: { name: `s__create_${i}`, arguments: args },
    });
  expect(callsOf(upstream)).toEqual(
    given.map((args, i) => ({ name: `create_${i}`, arguments: { ...args, tenant: 'acme' } })),
  );
});
