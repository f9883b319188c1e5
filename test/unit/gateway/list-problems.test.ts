import { expect, it } from 'vitest';
import { ListProblems } from '../../../src/gateway/list-problems.js';
import { silent } from '../../../src/observe/log.js';

it('names so many problems of an endpoint, and counts the others', () => {
  const all = Array.from({ length: 3000 }, (_, n) => `the name 't${n}' is missing`);
  const warned: string[] = [];
  const problems = new ListProblems({
    views: () => ({ whole: () => ({ registry: { problems: () => all } }) }) as never,
    access: () => ({ profiles: new Map() }),
    log: { ...silent, warn: (message: string) => warned.push(message) },
  });
  expect(problems.all()).toEqual({ '/mcp': [...all.slice(0, 50), '2950 more of this kind'] });
  problems.review();
  problems.review();
  expect(warned).toHaveLength(51);
});
