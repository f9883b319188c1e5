import { expect, test } from 'vitest';
import { Uptime } from '../../../src/fleet/store-uptime.js';

function clocked(): { uptime: Uptime; at: (ms: number) => void } {
  let now = 0;
  return { uptime: new Uptime(() => now), at: (ms) => (now = ms) };
}

test('a store that was slow is up since the same time as before', () => {
  const { uptime, at } = clocked();
  expect(uptime.since).toBeUndefined();
  at(100);
  expect(uptime.came()).toBe(false);
  expect(uptime.since).toBe(100);
  for (const ms of [5000, 9000, 12_000]) {
    at(ms);
    expect(uptime.went()).toBe(true);
    expect(uptime.went()).toBe(false);
    expect(uptime.since).toBeUndefined();
    at(ms + 1999);
    expect(uptime.came()).toBe(true);
    expect(uptime.since).toBe(100);
  }
});

test('a store that was away for so long that replicas may have run out is young', () => {
  const { uptime, at } = clocked();
  uptime.came();
  at(5000);
  uptime.went();
  at(7000);
  expect(uptime.came()).toBe(false);
  expect(uptime.since).toBe(7000);
});

test('a store with another connection is young, however short the break was', () => {
  const { uptime, at } = clocked();
  uptime.came();
  at(5000);
  uptime.went();
  uptime.reconnected();
  at(5001);
  expect(uptime.came()).toBe(false);
  expect(uptime.since).toBe(5001);
  // A further connection, while it is up: it answers without a break.
  uptime.reconnected();
  expect(uptime.since).toBe(5001);
  uptime.went();
  expect(uptime.came()).toBe(true);
});
