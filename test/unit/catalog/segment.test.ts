import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Catalog } from '../../../src/catalog/catalog.js';
import { Filter } from '../../../src/catalog/registry.js';
import { MergedView } from '../../../src/catalog/merged-view.js';
import { SingleView } from '../../../src/catalog/single-view.js';
import { ServerStats } from '../../../src/observe/stats.js';
import {
  LIST_KINDS,
  NO_LISTS,
  readListPage,
  type Definition,
  type ListKind,
} from '../../../src/protocol/lists.js';
import type { ServerLink, View } from '../../../src/protocol/ports.js';

function catalogOf(nameLength = 0): Catalog {
  return new Catalog({
    nameLength: () => nameLength,
    waitMs: () => 0,
    serverInfo: { name: 'mcpstead', version: '9' },
    now: () => 0,
  });
}

const toolsOf = (names: readonly string[], padding = ''): Definition[] =>
  readListPage(
    'tools',
    Buffer.from(
      JSON.stringify({
        tools: names.map((name) => ({ name, description: padding, inputSchema: { type: 'object' } })),
      }),
    ),
  ).definitions;

const resourcesOf = (uris: readonly string[]): Definition[] =>
  readListPage(
    'resources',
    Buffer.from(JSON.stringify({ resources: uris.map((uri) => ({ uri, name: 'r' })) })),
  ).definitions;

function linkOf(server: string, lists: Partial<Record<ListKind, Definition[]>>): ServerLink {
  const link: Partial<ServerLink> = {
    server,
    era: 'legacy',
    state: 'up',
    stats: new ServerStats(server),
    lists: { ...NO_LISTS, ...lists },
    freshness: { until: 0, scope: 'public' },
  };
  return link as ServerLink;
}

const listed = (view: View, kind: ListKind): string =>
  Buffer.concat(view.list(kind, 'legacy').parts).toString();
const namesIn = (view: View, kind: 'tools' | 'resources'): string[] => {
  const result = JSON.parse(listed(view, kind)) as Record<string, { name: string; uri: string }[]>;
  return (result[kind] ?? []).map((each) => (kind === 'tools' ? each.name : each.uri));
};

describe('segments', () => {
  it('are rendered again for the server that changed, and for no other', () => {
    const catalog = catalogOf();
    catalog.put(linkOf('a', { tools: toolsOf(['one']) }));
    catalog.put(linkOf('b', { tools: toolsOf(['two']) }));
    const view = new MergedView(catalog);
    const before = view.list('tools', 'legacy');
    catalog.touch();
    expect(view.list('tools', 'legacy')).toBe(before);
    catalog.put(linkOf('b', { tools: toolsOf(['three']) }));
    const after = view.list('tools', 'legacy');
    expect(namesIn(view, 'tools')).toEqual(['a__one', 'b__three']);
    expect(after.parts[1]).toBe(before.parts[1]);
    expect(after.parts).not.toContain(before.parts[3]);
    expect(after.digest).not.toBe(before.digest);
  });

  it('are shared by the views of all classes', () => {
    const catalog = catalogOf();
    catalog.put(linkOf('a', { tools: toolsOf(['one'], 'x'.repeat(5000)) }));
    class Other extends Filter {}
    const one = new MergedView(catalog).list('tools', 'legacy');
    const other = new MergedView(new Other(catalog)).list('tools', 'legacy');
    expect(other.parts[1]).toBe(one.parts[1]);
    expect(other.digest).toBe(one.digest);
  });

  it('show what a filter leaves, and no name that it hides', () => {
    const catalog = catalogOf();
    catalog.put(linkOf('a', { tools: toolsOf(['open', 'secret']) }));
    catalog.put(linkOf('b', { tools: toolsOf(['all']) }));
    catalog.put(linkOf('c', { tools: toolsOf(['gone']) }));
    class Restricted extends Filter {
      readonly #cut = new WeakMap<readonly Definition[], readonly Definition[]>();
      override get(server: string): ServerLink | undefined {
        return server === 'c' ? undefined : this.base.get(server);
      }
      override entries() {
        return this.base.entries().filter(({ link }) => link.server !== 'c');
      }
      override hides(server: string): boolean {
        return server === 'c';
      }
      override showsAll(server: string): boolean {
        return server === 'b';
      }
      override admits(_server: string, _kind: string, name: string): boolean {
        return name !== 'secret';
      }
      override list(link: ServerLink, kind: ListKind): readonly Definition[] {
        const all = this.base.list(link, kind);
        if (link.server !== 'a') return all;
        const cut = this.#cut.get(all) ?? all.filter(({ key }) => key !== 'secret');
        this.#cut.set(all, cut);
        return cut;
      }
    }
    const full = new MergedView(catalog);
    full.list('tools', 'legacy');
    const restricted = new Restricted(catalog);
    const view = new MergedView(restricted);
    expect(namesIn(view, 'tools')).toEqual(['a__open', 'b__all']);
    expect(view.find('tool', 'a__open')?.name).toBe('open');
    expect(view.find('tool', 'a__secret')).toBeUndefined();
    expect(view.find('tool', 'c__gone')).toBeUndefined();
    expect(view.find('tool', 'a__unlisted')?.name).toBe('unlisted');
    expect(view.hides('c')).toBe(true);
    // The server that is shown whole shares what all other views have.
    expect(view.list('tools', 'legacy').parts).toContain(full.list('tools', 'legacy').parts[3]);
    expect(new SingleView(restricted, 'c').links()).toEqual([]);
    expect(new SingleView(restricted, 'a').find('tool', 'secret')).toBeUndefined();
  });

  it('give the first server a URI that others list too, and find each under the name it is listed by', () => {
    const uri = fc.constantFrom('x:1', 'x:2', 'x:3', 'mcpstead:a:x:1', 'mcpstead:zz:x:1');
    const lists = fc.uniqueArray(uri);
    fc.assert(
      fc.property(
        fc.array(lists, { minLength: 1, maxLength: 4 }),
        fc.array(fc.tuple(fc.nat(3), lists)),
        (first, changes) => {
          const catalog = catalogOf();
          const put = (i: number, uris: string[]): void =>
            catalog.put(linkOf('abcd'[i] as string, { resources: resourcesOf(uris) }));
          first.forEach((uris, i) => put(i, uris));
          const view = new MergedView(catalog);
          check(view, catalog);
          for (const [i, uris] of changes) {
            put(i, uris);
            check(view, catalog);
          }
        },
      ),
      { numRuns: 300 },
    );

    function check(view: View, catalog: Catalog): void {
      const names = namesIn(view, 'resources');
      expect(new Set(names).size).toBe(names.length);
      // A view that is made anew says the same.
      expect(names).toEqual(namesIn(new MergedView(catalog), 'resources'));
      const seen = new Set<string>();
      for (const { link } of catalog.entries())
        for (const { key } of link.lists.resources) {
          const isFirst = !seen.has(key) && !/^mcpstead:[abcd]:/.test(key);
          const name = isFirst ? key : `mcpstead:${link.server}:${key}`;
          if (!names.includes(name)) continue;
          seen.add(name);
          const target = view.find('resource', name);
          expect(`${target?.link.server ?? ''} ${target?.name ?? ''}`).toBe(`${link.server} ${key}`);
        }
    }
  });

  it('find tools by aliases that are cut within the name of the server', () => {
    const catalog = catalogOf(24);
    const server = 'a-server-with-a-long-name';
    catalog.put(linkOf(server, { tools: toolsOf(['first', 'second']) }));
    catalog.put(linkOf('b', { tools: toolsOf(['short']) }));
    const view = new MergedView(catalog);
    const names = namesIn(view, 'tools');
    expect(names.map((name) => view.find('tool', name)?.name)).toEqual(['first', 'second', 'short']);
  });
});

/** A hundred servers with a hundred tools each. */
function hundred(): Catalog {
  const catalog = catalogOf();
  const names = Array.from({ length: 100 }, (_, i) => `tool_${i}`);
  for (let i = 0; i < 100; i++)
    catalog.put(linkOf(`server-${i}`, { tools: toolsOf(names, 'what it does '.repeat(50)) }));
  return catalog;
}

describe('a hundred servers of a hundred tools', () => {
  it('share their bytes among views', () => {
    const catalog = hundred();
    class Other extends Filter {}
    const first = new MergedView(catalog).list('tools', 'legacy');
    const own = new Set(first.parts);
    const second = new MergedView(new Other(catalog)).list('tools', 'legacy');
    const added = second.parts.filter((part) => !own.has(part));
    expect(added).toEqual([]);
    expect(second.parts.length).toBeLessThan(500);
  });

  it('are one segment to render after one of them has changed', () => {
    const catalog = hundred();
    const view = new MergedView(catalog);
    const before = new Set(view.list('tools', 'legacy').parts);
    catalog.put(linkOf('server-7', { tools: toolsOf(['new'], 'x') }));
    const added = view.list('tools', 'legacy').parts.filter((part) => !before.has(part));
    expect(added.map((part) => (JSON.parse(part.toString()) as { name: string }).name)).toEqual([
      'server-7__new',
    ]);
  });
});

describe('a server of 10,000 tools', () => {
  const tools = toolsOf(
    Array.from({ length: 10_000 }, (_, i) => `tool_${i}`),
    'what it does '.repeat(50),
  );

  it('is rendered with pauses for other work', async () => {
    const catalog = catalogOf();
    catalog.put(linkOf('large', { tools }));
    const view = new MergedView(catalog);
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    await view.prepare('tools', 'legacy');
    isOver = true;
    expect(turns).toBeGreaterThan(0);
    expect(view.prepare('tools', 'legacy')).toBeUndefined();
    expect(namesIn(view, 'tools')).toHaveLength(10_000);
    for (const kind of LIST_KINDS) expect(view.prepare(kind, 'modern') === undefined).toBe(kind !== 'tools');
  });

  it('costs memory for filtered lists up to a bound', () => {
    const catalog = catalogOf();
    const link = linkOf('large', { tools });
    catalog.put(link);
    class Without extends Filter {
      readonly #cut: readonly Definition[];
      constructor(index: number) {
        super(catalog);
        this.#cut = tools.filter((_, i) => i !== index);
      }
      override list(of: ServerLink, kind: ListKind): readonly Definition[] {
        return kind === 'tools' ? this.#cut : this.base.list(of, kind);
      }
    }
    const filters = Array.from({ length: 12 }, (_, i) => new Without(i));
    const listed = filters.map((filter) => new MergedView(filter).list('tools', 'legacy').bytes);
    expect(listed.reduce((sum, bytes) => sum + bytes, 0)).toBeGreaterThan(67_108_864);
    const kept = filters.map(
      (filter) => catalog.segments.of(link, 'tools', filter.list(link, 'tools'), 'qualified').bytes,
    );
    expect(kept.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(67_108_864);
    // The bytes that were freed are rendered again.
    expect(new MergedView(filters[0] as Without).list('tools', 'legacy').bytes).toBe(listed[0]);
  });
});
