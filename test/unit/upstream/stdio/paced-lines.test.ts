import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { createBudget } from '../../../../src/lib/budget.js';
import { splitLines } from '../../../../src/lib/lines.js';
import { Pace } from '../../../../src/lib/pace.js';
import { Boundary } from '../../../../src/observe/boundary.js';
import { silent } from '../../../../src/observe/log.js';
import { Tally } from '../../../../src/observe/stats.js';
import { PacedLines } from '../../../../src/upstream/stdio/paced-lines.js';
import { until } from '../../../helpers/wait.js';

const LINES = 30_000;

/** A stream that has said many short lines at once, and how many were read in each turn. */
function talkative() {
  const stream = new PassThrough({ highWaterMark: 1e6 });
  const seen: string[] = [];
  const turns: number[] = [];
  let inTurn = 0;
  const lines = splitLines({
    maxBytes: 1000,
    budget: createBudget(1e9),
    onLine: (line) => {
      seen.push(line.toString());
      if (inTurn++ === 0)
        setImmediate(() => {
          turns.push(inTurn);
          inTurn = 0;
        });
    },
    onDropped: () => undefined,
  });
  const boundary = new Boundary(silent, new Tally());
  // A clock that stands still: the bytes alone count.
  const paced = new PacedLines(stream, {
    lines,
    pace: new Pace({ now: () => 0 }),
    boundary,
    place: 'stderr',
  });
  stream.write(Array.from({ length: LINES }, (_, n) => `${n}\n`).join(''));
  return { stream, paced, seen, turns };
}

const all = Array.from({ length: LINES }, (_, n) => String(n));

test('short lines that come at once are read in turns, none is lost', async () => {
  const { seen, turns } = talkative();
  await until(() => seen.length === LINES);
  await new Promise(setImmediate);
  expect(seen).toEqual(all);
  expect(Math.max(...turns)).toBeLessThanOrEqual(4096);
});

test('it stops at the line where it is told to, and goes on after it', async () => {
  const { paced, seen } = talkative();
  await until(() => seen.length > 0);
  paced.pause();
  const before = seen.length;
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  expect(seen.length).toBe(before);
  expect(before).toBeLessThan(LINES);
  paced.resume();
  await until(() => seen.length === LINES);
  expect(seen).toEqual(all);
});

test('all of it is read before the end, paused or not', async () => {
  const { stream, paced, seen } = talkative();
  await until(() => seen.length > 0);
  paced.pause();
  paced.readLast();
  stream.end();
  let atEnd = -1;
  stream.on('close', () => {
    paced.finish(() => {
      atEnd = seen.length;
    });
  });
  await until(() => atEnd !== -1);
  expect(atEnd).toBe(LINES);
});
