import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  SearchIndex,
  serverTerms,
  termsOf,
  wordsOf,
  type Searchable,
} from '../../../src/catalog/search-index.js';
import { readListPage, type Definition } from '../../../src/protocol/lists.js';

interface Recall {
  readonly servers: readonly { name: string; description: string; tools: readonly object[] }[];
  readonly steps: readonly { query: string; tools: readonly string[] }[];
}

const definitionsOf = (tools: readonly object[]): Definition[] =>
  readListPage('tools', Buffer.from(JSON.stringify({ tools }))).definitions;
const tool = (name: string, more: object = {}): object => ({
  name,
  inputSchema: { type: 'object' },
  ...more,
});

function searchables(server: string, tools: readonly object[], description?: string): Searchable[] {
  const terms = serverTerms(server, description);
  return definitionsOf(tools).map((definition) => ({
    name: `${server}__${definition.key}`,
    definition,
    server: terms,
  }));
}

function built<T extends Searchable>(tools: readonly T[]): SearchIndex<T> {
  const steps = SearchIndex.build(tools);
  let step = steps.next();
  while (!step.done) step = steps.next();
  return step.value;
}

const namesFor = (tools: readonly Searchable[], query: string, limit = 20): string[] =>
  built(tools)
    .search(query, limit)
    .map((hit) => hit.tool.name);

describe('words', () => {
  it.each([
    ['create_event-now', ['create', 'event', 'now']],
    ['getHTTPStatusOf2Pages', ['get', 'http', 'statu', 'of2', 'page']],
    ['HTTP', ['http']],
    ['Straßen und Événements', ['straßen', 'und', 'événement']],
    ['getÉtatDe', ['get', 'état', 'de']],
    ['news does class classes', ['news', 'does', 'class', 'classe']],
    ['天气 预报', ['天气', '预报']],
    ['', []],
  ])('of %j', (text, words) => {
    expect(wordsOf(text)).toEqual(words);
  });

  it('are bounded', () => {
    expect(wordsOf('a'.repeat(100_000))).toEqual(['a'.repeat(40)]);
    const text = Array.from({ length: 5000 }, (_, i) => `w${i}`).join(' ');
    const [definition] = definitionsOf([tool('x', { description: text })]);
    expect(termsOf(definition as Definition).description.size).toBe(256);
  });
});

describe('an index', () => {
  it('counts a name more than a description, and a description more than an argument', () => {
    const tools = searchables('s', [
      tool('a', { inputSchema: { type: 'object', properties: { refund: {} } } }),
      tool('b', { description: 'refund' }),
      tool('refund'),
      tool('d', { description: 'other' }),
    ]);
    expect(namesFor(tools, 'Refunds')).toEqual(['s__refund', 's__b', 's__a']);
  });

  it('knows the name and the description of the server', () => {
    const tools = [
      ...searchables('mail', [tool('send')]),
      ...searchables('b', [tool('send')], 'sends letters'),
    ];
    expect(namesFor(tools, 'mail')).toEqual(['mail__send']);
    expect(namesFor(tools, 'letter')).toEqual(['b__send']);
  });

  it('reads escapes in descriptions', () => {
    const text =
      '{"tools":[{"name":"x","description":"one\\ntwo \\u00e9tat","inputSchema":{"type":"object"}}]}';
    const [definition] = readListPage('tools', Buffer.from(text)).definitions;
    expect([...termsOf(definition as Definition).description.keys()]).toEqual(['one', 'two', 'état']);
  });

  it('orders ties by name, gives so many, and leaves out what is not shown', () => {
    const tools = searchables(
      's',
      ['c', 'a', 'b'].map((name) => tool(`same_${name}`)),
    );
    expect(namesFor(tools, 'same', 2)).toEqual(['s__same_a', 's__same_b']);
    const shown = built(tools).search('same', 2, ({ name }) => name !== 's__same_a');
    expect(shown.map((hit) => hit.tool.name)).toEqual(['s__same_b', 's__same_c']);
  });

  it('of nothing finds nothing', () => {
    expect(namesFor([], 'x')).toEqual([]);
    expect(namesFor(searchables('s', [tool('x')]), '?!')).toEqual([]);
  });

  it('keeps so many words in all, however many different ones the tools have', () => {
    const word = (i: number, k: number): string => `${(i * 1000 + k).toString(36)}zz`;
    const tools = Array.from({ length: 2500 }, (_, i) =>
      tool(`t${i}`, { description: Array.from({ length: 256 }, (_, k) => word(i, k)).join(' ') }),
    );
    const index = built(searchables('s', tools));
    expect(index.size).toBeLessThan(520_000);
    expect(index.search(word(2499, 0), 1).map((hit) => hit.tool.name)).toEqual(['s__t2499']);
  });

  it('pauses after each tool, twice', () => {
    const tools = searchables(
      's',
      Array.from({ length: 100 }, (_, i) => tool(`t${i}`)),
    );
    let pauses = 0;
    const steps = SearchIndex.build(tools);
    while (steps.next().done !== true) pauses++;
    expect(pauses).toBe(200);
  });
});

describe('recall', () => {
  it('of the tools of a step is kept: 95% among five, 85% first', () => {
    const file = new URL('../../fixtures/search/recall.json', import.meta.url);
    const { servers, steps } = JSON.parse(readFileSync(file, 'utf8')) as Recall;
    const index = built(
      servers.flatMap(({ name, description, tools }) => searchables(name, tools, description)),
    );
    const recall = (limit: number): number => {
      const parts = steps.map(({ query, tools }) => {
        const found = new Set(index.search(query, limit).map((hit) => hit.tool.name));
        return tools.filter((name) => found.has(name)).length / tools.length;
      });
      return parts.reduce((sum, part) => sum + part, 0) / parts.length;
    };
    expect(recall(5)).toBeGreaterThanOrEqual(0.95);
    expect(recall(1)).toBeGreaterThanOrEqual(0.85);
  });
});
