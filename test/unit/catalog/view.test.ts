import { describe, expect, it } from 'vitest';
import { Catalog } from '../../../src/catalog/catalog.js';
import { MergedView } from '../../../src/catalog/merged-view.js';
import { SingleView } from '../../../src/catalog/single-view.js';
import { ServerStats } from '../../../src/observe/stats.js';
import { NO_LISTS, readListPage, type ListKind, type Lists } from '../../../src/protocol/lists.js';
import type { Freshness, ServerLink, LinkState, Peer, View } from '../../../src/protocol/ports.js';
import type { Era } from '../../../src/protocol/revisions.js';

const NOW = 1000;

interface LinkLike {
  tools?: string;
  prompts?: string;
  state?: LinkState;
  freshness?: Freshness;
  era?: Era;
  capabilities?: Record<string, unknown>;
  instructions?: string;
  serverInfo?: string;
  /** It has not connected yet. */
  unknown?: boolean;
}

/** What a view reads of a link. */
function linkOf(server: string, of: LinkLike): ServerLink {
  const era = of.era ?? 'legacy';
  const peer: Peer = {
    era,
    revision: era === 'legacy' ? '2025-11-25' : '2026-07-28',
    capabilities: of.capabilities ?? {},
    serverInfo: Buffer.from(of.serverInfo ?? `{"name":"${server}","version":"1.0"}`),
    instructions: of.instructions,
  };
  const read = (kind: 'tools' | 'prompts', text: string | undefined) =>
    text === undefined ? [] : readListPage(kind, Buffer.from(`{"${kind}":[${text}]}`)).definitions;
  const lists: Lists = { ...NO_LISTS, tools: read('tools', of.tools), prompts: read('prompts', of.prompts) };
  const link: Partial<ServerLink> = {
    server,
    era,
    stats: new ServerStats(server),
    state: of.state ?? 'up',
    freshness: of.freshness ?? { until: NOW + 60_000, scope: 'public' },
    lists,
    peer: of.unknown ? undefined : peer,
    schemes: [],
  };
  return link as ServerLink;
}

function catalogOf(links: Record<string, LinkLike>): Catalog {
  const catalog = new Catalog({
    nameLength: () => 0,
    waitMs: () => 0,
    serverInfo: { name: 'mcpstead', version: '9' },
    now: () => NOW,
  });
  for (const [server, of] of Object.entries(links)) catalog.put(linkOf(server, of));
  return catalog;
}
const single = (of: LinkLike): View => new SingleView(catalogOf({ s: of }), 's');
const listed = (view: View, kind: ListKind, era: Era): string =>
  Buffer.concat(view.list(kind, era).parts).toString();

const INPUT = '"inputSchema":{"type":"object"}';
const PLAIN = `{"name":"plain","n":1.0,${INPUT}}`;
const TASK = `{"name":"task","execution":{"taskSupport":"required"},${INPUT}}`;
const ARRAY = `{"name":"array",${INPUT},"outputSchema":{"type":"array"}}`;
const WRAPPED = `{"type":"object","properties":{"result":{"type":"array"}},"required":["result"]}`;

describe('the lists of a view', () => {
  it('are one buffer for both eras where both read the same', () => {
    const catalog = catalogOf({ a: { tools: PLAIN, prompts: '{"name":"p"}' }, b: { tools: PLAIN } });
    const merged = new MergedView(catalog);
    for (const view of [merged, new SingleView(catalog, 'a')])
      for (const kind of ['tools', 'prompts'] as const) {
        expect(view.list(kind, 'modern').parts[1]).toBe(view.list(kind, 'legacy').parts[1]);
        expect(view.list(kind, 'modern')).toBe(view.list(kind, 'modern'));
      }
    catalog.touch();
    const modern = merged.list('tools', 'modern');
    expect(merged.list('tools', 'legacy').parts[1]).toBe(modern.parts[1]);
  });

  it('are what each era can read where they differ, in either order of asking', () => {
    const modern = `{"tools":[${PLAIN},{"name":"task",${INPUT}},${ARRAY}]}`;
    const legacy = `{"tools":[${PLAIN},${TASK},${ARRAY.replace('{"type":"array"}', WRAPPED)}]}`;
    for (const order of [
      ['modern', 'legacy'],
      ['legacy', 'modern'],
    ] as const) {
      const view = single({ tools: `${PLAIN},${TASK},${ARRAY}` });
      for (const era of order) expect(listed(view, 'tools', era)).toBe(era === 'modern' ? modern : legacy);
      expect(view.list('tools', 'modern')).toBe(view.list('tools', 'modern'));
      expect(view.list('tools', 'legacy')).toBe(view.list('tools', 'legacy'));
    }
  });

  it('have the qualified name and the origin on the merged endpoint, in either era', () => {
    const merged = new MergedView(catalogOf({ s: { tools: `${TASK},${ARRAY}` } }));
    expect(listed(merged, 'tools', 'modern')).toBe(
      `{"tools":[{"name":"s__task","description":"Tool from s",${INPUT}},${ARRAY.replace('"array"', '"s__array","description":"Tool from s"')}]}`,
    );
    expect(JSON.parse(listed(merged, 'tools', 'legacy'))).toEqual({
      tools: [
        {
          name: 's__task',
          description: 'Tool from s',
          execution: { taskSupport: 'required' },
          inputSchema: { type: 'object' },
        },
        {
          name: 's__array',
          description: 'Tool from s',
          inputSchema: { type: 'object' },
          outputSchema: JSON.parse(WRAPPED) as unknown,
        },
      ],
    });
  });

  it('name what stands behind a tool, and nothing behind one that is not listed', () => {
    const merged = new MergedView(catalogOf({ s: { tools: TASK } }));
    expect(merged.find('tool', 's__task')?.definition?.tool?.taskSupport).toBe('required');
    expect(merged.find('tool', 's__other')).toMatchObject({ name: 'other', definition: undefined });
    expect(single({ tools: TASK }).find('tool', 'task')?.definition?.key).toBe('task');
  });
});

describe('how fresh a view is', () => {
  const fresh = (links: Record<string, LinkLike>): Freshness => new MergedView(catalogOf(links)).freshness();

  it('says the stalest of its parts', () => {
    expect(
      fresh({
        a: { freshness: { until: NOW + 300, scope: 'public' } },
        b: { freshness: { until: NOW + 200, scope: 'public' } },
      }),
    ).toEqual({ until: NOW + 200, scope: 'public' });
  });

  it('is private if one part is', () => {
    expect(
      fresh({
        a: { freshness: { until: NOW + 300, scope: 'private' } },
        b: { freshness: { until: NOW + 400, scope: 'public' } },
      }),
    ).toEqual({ until: NOW + 300, scope: 'private' });
  });

  it('is not long while a server is not up: what it shows may come at any moment', () => {
    expect(fresh({ a: {}, b: { state: 'backoff', freshness: { until: 0, scope: 'public' } } })).toEqual({
      until: NOW + 5000,
      scope: 'public',
    });
  });

  it('without a server is not at all', () => {
    expect(fresh({})).toEqual({ until: NOW, scope: 'public' });
  });
});

describe('what a view says of itself', () => {
  const discovered = (view: View): Record<string, unknown> =>
    JSON.parse(
      `{${view.discovery()},"_meta":{"io.modelcontextprotocol/serverInfo":${view.serverInfo()}}}`,
    ) as Record<string, unknown>;
  const greeted = (view: View): Record<string, unknown> =>
    JSON.parse(`{${view.greeting()}}`) as Record<string, unknown>;
  const TASKS = 'io.modelcontextprotocol/tasks';

  it('of one server are its own capabilities, instructions and name, to both eras', () => {
    const view = single({
      era: 'modern',
      capabilities: { tools: {}, resources: { subscribe: true }, logging: {}, 'x-own': { a: 1 } },
      instructions: 'Be kind.',
      serverInfo: '{"name":"S","version":"1.10", "n":1.0}',
    });
    const capabilities = {
      tools: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      logging: {},
      'x-own': { a: 1 },
    };
    expect(discovered(view)).toEqual({
      capabilities,
      instructions: 'Be kind.',
      _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'S', version: '1.10', n: 1 } },
    });
    expect(view.serverInfo()).toContain('{"name":"S","version":"1.10", "n":1.0}');
    expect(greeted(view)).toEqual({
      capabilities,
      instructions: 'Be kind.',
      serverInfo: { name: 'S', version: '1.10', n: 1 },
    });
  });

  it('offers the tasks of a legacy server to modern clients as the extension, if they cover calls of tools', () => {
    const tasks = { list: {}, cancel: {}, requests: { tools: { call: {} } } };
    const own = { 'com.example/x': { a: 1 } };
    const covers = single({ capabilities: { tools: {}, tasks, extensions: own } });
    expect(discovered(covers)['capabilities']).toEqual({
      tools: { listChanged: true },
      extensions: { ...own, [TASKS]: {} },
    });
    expect(greeted(covers)['capabilities']).toEqual({ tools: { listChanged: true }, tasks, extensions: own });
    for (const other of [{ list: {} }, { requests: {} }, { requests: { tools: null } }, {}]) {
      const view = single({ capabilities: { tasks: other } });
      expect(discovered(view)['capabilities']).toEqual({});
    }
  });

  it('does not offer the tasks of a modern server to legacy clients, who speak another protocol', () => {
    const own = { 'com.example/x': {} };
    const view = single({ era: 'modern', capabilities: { tasks: {}, extensions: { [TASKS]: {}, ...own } } });
    expect(greeted(view)['capabilities']).toEqual({ extensions: own });
    expect(discovered(view)['capabilities']).toEqual({ extensions: { [TASKS]: {}, ...own } });
    const alone = single({ era: 'modern', capabilities: { logging: {}, extensions: { [TASKS]: {} } } });
    expect(greeted(alone)['capabilities']).toEqual({ logging: {} });
  });

  it('gives modern clients objects where their schema wants them', () => {
    const capabilities = {
      logging: true,
      completions: {},
      experimental: { a: {}, b: true },
      extensions: { c: 7 },
    };
    expect(discovered(single({ capabilities }))['capabilities']).toEqual({
      logging: {},
      completions: {},
      experimental: { a: {} },
    });
  });

  it('of all servers is the union, and the name of the gateway', () => {
    const catalog = catalogOf({
      a: {
        capabilities: { resources: { subscribe: true }, tasks: { requests: { tools: { call: {} } } } },
        instructions: 'A first.',
      },
      b: {
        era: 'modern',
        capabilities: { resources: { subscribe: false }, logging: {}, extensions: { 'com.example/x': {} } },
      },
    });
    const merged = new MergedView(catalog);
    expect(discovered(merged)).toEqual({
      capabilities: {
        tools: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        logging: {},
        extensions: { [TASKS]: {}, 'com.example/x': {} },
      },
      instructions: '## a\nA first.',
      _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'mcpstead', version: '9' } },
    });
    expect(greeted(merged)['capabilities']).toEqual({
      tools: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      logging: {},
      tasks: { requests: { tools: { call: {} } } },
      extensions: { 'com.example/x': {} },
    });
  });

  it('of a server that has not connected is what it may turn out to have', () => {
    const view = single({ unknown: true });
    expect(discovered(view)).toEqual({
      capabilities: {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        completions: {},
        logging: {},
      },
      _meta: { 'io.modelcontextprotocol/serverInfo': { name: 's', version: '0' } },
    });
  });
});
