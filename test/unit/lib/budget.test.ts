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
