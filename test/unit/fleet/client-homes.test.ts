import { expect, it } from 'vitest';
import { ClientHomes } from '../../../src/fleet/client-homes.js';

const clients = Array.from({ length: 600 }, (_, i) => `client ${i}`);
const homesIn = (replicas: readonly string[], homes = new ClientHomes()): (string | undefined)[] =>
  clients.map((client) => homes.homeOf(client, replicas));

it('is the same for all replicas, in whichever order they see each other', () => {
  expect(homesIn(['a', 'b', 'c'])).toEqual(homesIn(['c', 'a', 'b']));
  expect(new ClientHomes().homeOf('x', [])).toBeUndefined();
});

it('gives each replica about as many', () => {
  const counts = new Map<string | undefined, number>();
  for (const home of homesIn(['a', 'b', 'c'])) counts.set(home, (counts.get(home) ?? 0) + 1);
  for (const each of ['a', 'b', 'c']) expect(counts.get(each)).toBeGreaterThan(150);
});

it('moves only the clients of a replica that goes, and those that a new one gets', () => {
  const homes = new ClientHomes();
  const before = homesIn(['a', 'b', 'c'], homes);
  const without = homesIn(['a', 'b'], homes);
  before.forEach((home, i) => {
    if (home !== 'c') expect(without[i]).toBe(home);
  });
  homesIn(['a', 'b', 'd'], homes).forEach((home, i) => {
    if (home !== 'd') expect(home).toBe(without[i]);
  });
});
