import { describe, expect, it } from 'vitest';
import { Differences, type ComparedMember } from '../../../src/fleet/differences.js';
import type { Logger } from '../../../src/observe/log.js';

const member = (id: string, more: Partial<ComparedMember> = {}): ComparedMember => ({
  ...{ id, name: `name-${id}`, draining: false, config: 'c', lists: 'l' },
  ...more,
});

function made() {
  let now = 0;
  const warned: [string, unknown][] = [];
  const log = { warn: (text: string, fields: unknown) => warned.push([text, fields]) } as unknown as Logger;
  const differences = new Differences({ log, now: () => now, clock: () => 1_000_000 + now });
  const compare = (at: number, ...members: ComparedMember[]): void => {
    now = at;
    differences.compare(members);
  };
  return { differences, compare, warned };
}

describe('differences between replicas', () => {
  it('are shown at once, and warned about once after a minute, until they end', () => {
    const { differences, compare, warned } = made();
    const differ = [member('a'), member('b', { lists: 'x' }), member('c')];
    compare(0, ...differ);
    const shown = { what: 'lists', since: 1_000_000, groups: [['a', 'c'], ['b']] };
    expect(differences.all()).toEqual([{ ...shown, isLong: false }]);
    compare(59_999, ...differ);
    expect(differences.long).toEqual([]);
    compare(60_000, ...differ);
    compare(61_000, ...differ);
    expect(differences.long).toEqual(['lists']);
    expect(differences.all()).toEqual([{ ...shown, isLong: true }]);
    expect(warned).toEqual([
      [
        expect.stringContaining('different tools') as string,
        { replicas: 'name-a (a), name-c (c) | name-b (b)' },
      ],
    ]);
    compare(62_000, member('a'), member('b'));
    expect(differences.all()).toEqual([]);
    // It begins anew.
    compare(63_000, ...differ);
    compare(122_999, ...differ);
    expect(differences.long).toEqual([]);
    compare(123_000, ...differ);
    expect(warned).toHaveLength(2);
  });

  it('tell configurations and lists apart', () => {
    const { differences, compare, warned } = made();
    const differ = [member('a'), member('b', { config: 'x' })];
    compare(0, ...differ);
    compare(60_000, ...differ);
    expect(differences.long).toEqual(['config']);
    expect(warned[0]?.[0]).toContain('reload');
  });

  it('are not made by a replica that ends its links, or is of a release that says nothing of its lists', () => {
    const { differences, compare } = made();
    const older = { ...member('c'), lists: undefined } as unknown as ComparedMember;
    compare(0, member('a'), member('b', { lists: 'x', draining: true }), older);
    expect(differences.all()).toEqual([]);
    compare(1, member('a'), member('b', { config: 'x', draining: true }));
    expect(differences.all()).toMatchObject([{ what: 'config' }]);
  });

  it('name a bounded number of replicas', () => {
    const { compare, warned } = made();
    const many = Array.from({ length: 100 }, (_, i) => member(String(i), { lists: i === 0 ? 'x' : 'y' }));
    compare(0, ...many);
    compare(60_000, ...many);
    expect((warned[0]?.[1] as { replicas: string }).replicas).toMatch(/, 91 more \| name-0 \(0\)$/);
  });
});
