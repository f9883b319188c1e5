import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readListPage, type Definition, type ListKind } from '../../../../src/protocol/lists.js';
import { ListOrder, type ReadList } from '../../../../src/upstream/link/list-order.js';

const tool = (name: string, description = ''): Definition =>
  readListPage(
    'tools',
    Buffer.from(JSON.stringify({ tools: [{ name, description, inputSchema: { type: 'object' } }] })),
  ).definitions[0] as Definition;

const [A, B, C, D] = ['a', 'b', 'c', 'd'].map((name) => tool(name)) as [
  Definition,
  Definition,
  Definition,
  Definition,
];

/** What clients get after each reading. */
function lists(...readings: (readonly Definition[] | ReadList)[]): string[] {
  const order = new ListOrder(new Set());
  let kept: readonly Definition[] = [];
  return readings.map((reading) => {
    kept = order.arrange('tools', kept, 'definitions' in reading ? reading : { definitions: reading });
    return kept.map(({ key }) => key).join('');
  });
}

/** A reading in which `first` and `second` have the same key. */
const twice = (first: Definition, second: Definition): ReadList => ({
  definitions: [first],
  lowest: new Map([[first.key, Buffer.compare(first.bytes, second.bytes) < 0 ? first : second]]),
});

describe('the order of a list', () => {
  it('is the server’s own', () => {
    expect(lists([C, A, B], [C, A, B], [C, D, A, B], [C, B], [D, C, B], [])).toEqual([
      'cab',
      'cab',
      'cdab',
      'cb',
      'dcb',
      '',
    ]);
  });

  it('is that of the keys from the first other order on', () => {
    expect(lists([C, A, B], [A, C, B], [B, A, C], [D, B, A, C])).toEqual(['cab', 'abc', 'abc', 'abcd']);
  });

  it('is that of the keys as well if another definition came with the other order', () => {
    expect(lists([C, A], [D, A, C], [A, C, D])).toEqual(['ca', 'acd', 'acd']);
  });

  it('is compared with that before the list was dropped', () => {
    expect(lists([C, A], [], [A, C], [C, A])).toEqual(['ca', '', 'ac', 'ac']);
  });

  it('is compared with a list that was kept from another run', () => {
    const order = new ListOrder(new Set());
    expect(order.arrange('tools', [A, B, C], { definitions: [C, A, B] })).toEqual([A, B, C]);
  });

  it('is found once for all lists of a server, for each kind alone', () => {
    const unordered = new Set<ListKind>();
    const [all, some] = [new ListOrder(unordered), new ListOrder(unordered)];
    all.arrange('tools', [A, B], { definitions: [B, A] });
    expect(some.arrange('tools', [], { definitions: [C, B] })).toEqual([B, C]);
    expect(some.arrange('prompts', [], { definitions: [C, B] })).toEqual([C, B]);
  });

  it('decides between definitions with the same key', () => {
    const [low, high, other] = [tool('a', '1'), tool('a', '2'), tool('a', '3')];
    const order = new ListOrder(new Set());
    expect(order.arrange('tools', [], twice(high, low))).toEqual([high]);
    expect(order.arrange('tools', [high], twice(high, low))).toEqual([high]);
    expect(order.arrange('tools', [high], twice(low, high))).toEqual([low]);
    expect(order.arrange('tools', [low], twice(high, low))).toEqual([low]);
    // A definition that changes is a change.
    const changing = new ListOrder(new Set());
    expect(changing.arrange('tools', [], twice(high, low))).toEqual([high]);
    expect(changing.arrange('tools', [high], twice(other, low))).toEqual([other]);
  });

  it('changes once at most, however often the server shuffles', () => {
    const all = [A, B, C, D, tool('e'), tool('10'), tool('9')];
    const shuffled = fc.shuffledSubarray(all, { minLength: all.length });
    fc.assert(
      fc.property(fc.array(shuffled, { minLength: 1, maxLength: 12 }), (readings) => {
        const seen = lists(...readings);
        expect(seen.filter((list, i) => i > 0 && list !== seen[i - 1]).length).toBeLessThanOrEqual(1);
      }),
    );
  });
});
