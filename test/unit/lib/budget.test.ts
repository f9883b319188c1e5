import { describe, expect, it } from 'vitest';
import { createBudget } from '../../../src/lib/budget.js';

describe('a byte budget', () => {
  it('gives out no more than its limit and takes back what was given', () => {
    const budget = createBudget(100);
    expect(budget.take(60)).toBe(true);
    expect(budget.take(41)).toBe(false);
    expect(budget.take(40)).toBe(true);
    expect(budget.used).toBe(100);
    budget.give(50);
    expect(budget.used).toBe(50);
    expect(budget.take(50)).toBe(true);
  });
  it('follows a changed limit without touching what is out', () => {
    const budget = createBudget(100);
    budget.take(80);
    budget.setLimit(50);
    expect(budget.take(1)).toBe(false);
    budget.give(40);
    expect(budget.take(10)).toBe(true);
    expect(budget.take(1)).toBe(false);
  });
});

describe('holders of a byte budget', () => {
  const evicted: string[] = [];
  const holderOf = (
    budget: ReturnType<typeof createBudget>,
    client: string,
    server: string,
    bytes: number,
  ) => {
    const holder = budget.holder({ client, server }, () => evicted.push(`${client}@${server}:${bytes}`));
    expect(holder.take(bytes)).toBe(true);
    return holder;
  };

  it('the client that holds most gives way to the one that comes next', () => {
    evicted.length = 0;
    const budget = createBudget(100);
    const many = Array.from({ length: 9 }, () => holderOf(budget, 'greedy', 'one', 10));
    holderOf(budget, 'modest', 'one', 10);
    holderOf(budget, 'next', 'one', 15);
    expect(evicted).toEqual(['greedy@one:10', 'greedy@one:10']);
    expect(many.filter(({ held }) => held === 0)).toHaveLength(2);
    expect(budget.used).toBe(95);
  });

  it('many small ones of a server do not push out a large one of another server', () => {
    evicted.length = 0;
    const budget = createBudget(100);
    const large = holderOf(budget, 'honest', 'good', 30);
    for (let i = 0; i < 14; i++) holderOf(budget, `client ${i}`, 'flood', 5);
    const one = budget.holder({ client: 'another', server: 'flood' }, () => undefined);
    expect(one.take(5)).toBe(false);
    expect([large.held, evicted]).toEqual([30, []]);
  });

  it('what has no owner makes room for itself as well, unless it wants more than anybody has', () => {
    evicted.length = 0;
    const budget = createBudget(100);
    holderOf(budget, 'a', 'one', 60);
    holderOf(budget, 'b', 'two', 40);
    expect(budget.take(70)).toBe(false);
    expect(evicted).toEqual([]);
    expect(budget.take(10)).toBe(true);
    expect(evicted).toEqual(['a@one:60']);
  });

  it('is told what an eviction throws, and goes on', () => {
    const thrown: unknown[] = [];
    const budget = createBudget(10, (error) => thrown.push(error));
    const bad = budget.holder({ client: 'bad' }, () => {
      throw new Error('no');
    });
    expect(bad.take(10)).toBe(true);
    const next = budget.holder({ client: 'next' }, () => undefined);
    expect(next.take(5)).toBe(true);
    expect([bad.held, budget.used, thrown.length]).toEqual([0, 5, 1]);
  });

  it('gives back once, however often it is told to', () => {
    const budget = createBudget(10);
    const holder = budget.holder({}, () => undefined);
    holder.take(4);
    holder.give(9);
    holder.release();
    expect([holder.held, budget.used]).toEqual([0, 0]);
  });
});
