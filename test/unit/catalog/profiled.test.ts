import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Catalog } from '../../../src/catalog/catalog.js';
import { MergedView } from '../../../src/catalog/merged-view.js';
import { Profiled } from '../../../src/catalog/profiled.js';
import { Restricted } from '../../../src/catalog/restrict.js';
import { ServerStats } from '../../../src/observe/stats.js';
import { NO_LISTS, readListPage, type Definition, type Lists } from '../../../src/protocol/lists.js';
import type { Rules, ServerLink } from '../../../src/protocol/ports.js';

const toolsOf = (names: readonly string[]): Definition[] =>
  readListPage(
    'tools',
    Buffer.from(
      JSON.stringify({
        tools: names.map((name) => ({ name, description: 'D.', inputSchema: { type: 'object' } })),
      }),
    ),
  ).definitions;

function linkOf(server: string, names: readonly string[], more: Partial<ServerLink> = {}): ServerLink {
  const link: Partial<ServerLink> = {
    server,
    era: 'legacy',
    state: 'up',
    schemes: [],
    stats: new ServerStats(server),
    lists: { ...NO_LISTS, tools: toolsOf(names) },
    freshness: { until: 0, scope: 'public' },
    ...more,
  };
  return link as ServerLink;
}

function catalogOf(servers: Readonly<Record<string, readonly string[]>>, nameLength = 0): Catalog {
  const catalog = new Catalog({
    nameLength: () => nameLength,
    waitMs: () => 0,
    serverInfo: { name: 'mcpstead', version: '9' },
    now: () => 0,
  });
  for (const [server, names] of Object.entries(servers)) catalog.put(linkOf(server, names));
  return catalog;
}

interface Listed {
  readonly name: string;
  readonly description: string;
}

const listed = (view: MergedView): Listed[] =>
  (JSON.parse(Buffer.concat(view.list('tools', 'legacy').parts).toString()) as { tools: Listed[] }).tools;
const names = (view: MergedView): string[] => listed(view).map(({ name }) => name);
const profiled = (catalog: Catalog, prefix: 'auto' | 'never'): Profiled =>
  new Profiled(catalog, { prefix, instructions: undefined });
const leadsTo = (view: MergedView, name: string): string | undefined => {
  const target = view.find('tool', name);
  return target && `${target.link.server}:${target.name}`;
};

const SERVERS = { a: ['search', 'one'], b: ['search', 'two', 'a__one'], c: ['three'] };

describe('prefix: auto', () => {
  it('lists bare names, and full ones where two servers have a name or it reads as a full one', () => {
    const view = new MergedView(profiled(catalogOf(SERVERS), 'auto'));
    expect(names(view)).toEqual(['a__search', 'one', 'b__search', 'two', 'b__a__one', 'three']);
    expect(listed(view).map(({ description }) => description)).toEqual(
      ['a', 'a', 'b', 'b', 'b', 'c'].map((server) => `[${server}] D.`),
    );
    expect(leadsTo(view, 'one')).toBe('a:one');
    expect(leadsTo(view, 'search')).toBeUndefined();
    expect(view.conflict('tool', 'search')?.message).toBe(
      "tool 'search' is offered by several servers here: call 'a__search' or 'b__search'",
    );
    expect(view.conflict('tool', 'none')?.message).toBe("unknown tool 'none' (see tools/list)");
  });

  it('keeps the names of a server that is away, and gives them up once it has read other lists', () => {
    const catalog = catalogOf(SERVERS);
    const view = new MergedView(profiled(catalog, 'auto'));
    const last: Lists = { ...NO_LISTS, tools: toolsOf(['search']) };
    catalog.put(linkOf('b', [], { state: 'backoff', lists: NO_LISTS, lastLists: last }));
    expect(names(view)).toEqual(['a__search', 'one', 'three']);
    catalog.put(linkOf('b', ['other']));
    expect(names(view)).toEqual(['search', 'one', 'other', 'three']);
  });

  it('names what is left of a list as the whole list is named', () => {
    const base = profiled(catalogOf(SERVERS), 'auto');
    const rules: Rules = {
      hides: () => false,
      whole: () => false,
      decide: (_kind, server, name) => ({ shown: !(server === 'b' && name === 'search'), rule: 'r' }),
    } as Partial<Rules> as Rules;
    const view = new MergedView(new Restricted(base, rules));
    expect(names(view)).toEqual(['a__search', 'one', 'two', 'b__a__one', 'three']);
    expect(view.conflict('tool', 'search')?.message).toBe(
      "tool 'search' has its full name here: 'a__search'",
    );
    expect(leadsTo(view, 'b__search')).toBeUndefined();
  });

  it('keeps its segments while other lists change without effect on its names', () => {
    const catalog = catalogOf(SERVERS);
    const filter = profiled(catalog, 'auto');
    const link = catalog.get('a') as ServerLink;
    const before = filter.list(link, 'tools');
    catalog.put(linkOf('c', ['three', 'four']));
    expect(filter.list(link, 'tools')).toBe(before);
    catalog.put(linkOf('c', ['one']));
    expect(filter.list(link, 'tools')).not.toBe(before);
  });

  it('holds names within limits.name_length', () => {
    const long = 'x'.repeat(60);
    const view = new MergedView(profiled(catalogOf({ a: [long, `${long}y`], b: ['z'] }, 40), 'auto'));
    const found = names(view);
    expect(found.every((name) => name.length <= 40)).toBe(true);
    expect(new Set(found).size).toBe(3);
    expect(found.map((name) => leadsTo(view, name))).toEqual([`a:${long}`, `a:${long}y`, 'b:z']);
  });
});

describe('prefix: never', () => {
  it('lists neither of two tools with a name, and says so', () => {
    const filter = profiled(catalogOf(SERVERS), 'never');
    const view = new MergedView(filter);
    expect(names(view)).toEqual(['one', 'two', 'three']);
    expect(leadsTo(view, 'a__search')).toBe('a:search');
    expect(leadsTo(view, 'b__search')).toBe('b:search');
    expect(leadsTo(view, 'b__a__one')).toBe('b:a__one');
    expect(leadsTo(view, 'search')).toBeUndefined();
    expect(view.conflict('tool', 'search')?.message).toMatch(/call 'a__search' or 'b__search'$/);
    expect(filter.problems()).toEqual([
      "the name 'search' of 'a', 'b' is missing in tools/list, because more than one server has it: give one another name under overrides, or use prefix: auto",
      "the name 'a__one' of 'b' is missing in tools/list, because it reads as a full name: give one another name under overrides, or use prefix: auto",
    ]);
  });
});

describe('any servers, with any tools', () => {
  const server = fc.constantFrom('a', 'b', 'c');
  const tool = fc.oneof(
    fc.constantFrom('x', 'y', 'x__y', 'a__x', 'b__x', '__x', 'a_', '_x', 'x'.repeat(30)),
    fc.tuple(server, fc.constantFrom('x', 'y')).map((parts) => parts.join('__')),
  );
  const servers = fc.dictionary(server, fc.uniqueArray(tool, { maxLength: 5 }), { minKeys: 1 });

  it.each(['auto', 'never'] as const)(
    'prefix: %s: each name leads to one tool; full names always lead there',
    (prefix) => {
      fc.assert(
        fc.property(servers, fc.constantFrom(0, 20), (all, nameLength) => {
          const catalog = catalogOf(all, nameLength);
          const plain = new MergedView(catalog);
          const view = new MergedView(profiled(catalog, prefix));
          const shown = names(view);
          expect(new Set(shown).size).toBe(shown.length);
          for (const part of view.parts('tools'))
            for (const [name, { key }] of part.names)
              expect(leadsTo(view, name)).toBe(`${part.link.server}:${key}`);
          for (const name of names(plain)) expect(leadsTo(view, name)).toBe(leadsTo(plain, name));
          if (prefix === 'auto') expect(shown).toHaveLength(names(plain).length);
        }),
        { numRuns: 500 },
      );
    },
  );
});
