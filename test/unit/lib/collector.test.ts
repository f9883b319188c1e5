import { expect, it } from 'vitest';
import { createBudget } from '../../../src/lib/budget.js';
import { Collector } from '../../../src/lib/collector.js';

const whose = { client: 'c' };

it('gives the pieces as one buffer, which stays charged until it is released', () => {
  const budget = createBudget(100);
  const collector = new Collector(budget, whose, 10);
  expect([collector.push(Buffer.from('ab')), collector.push(Buffer.from('c'))]).toEqual([true, true]);
  expect(collector.take().toString()).toBe('abc');
  expect(budget.used).toBe(3);
  collector.release();
  expect(budget.used).toBe(0);
});

it('drops a message that is too large', () => {
  const budget = createBudget(100);
  const collector = new Collector(budget, whose, 3);
  collector.push(Buffer.from('ab'));
  expect(collector.push(Buffer.from('cd'))).toBe(false);
  expect([collector.dropped, budget.used]).toEqual(['size', 0]);
  expect(collector.push(Buffer.from('e'))).toBe(false);
  expect(budget.used).toBe(0);
});

it('drops a message that the budget has no room for', () => {
  const budget = createBudget(3);
  const collector = new Collector(budget, whose, 10);
  expect(collector.push(Buffer.from('abcd'))).toBe(false);
  expect([collector.dropped, budget.used]).toEqual(['budget', 0]);
});

it('says that it was evicted', () => {
  const budget = createBudget(4);
  let evicted = 0;
  const collector = new Collector(budget, whose, 10, () => evicted++);
  collector.push(Buffer.from('abcd'));
  expect(budget.holder({ client: 'other' }, () => undefined).take(2)).toBe(true);
  expect([collector.dropped, evicted]).toEqual(['budget', 1]);
});
