import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { createBudget } from '../../../src/lib/budget.js';
import type { DroppedLine } from '../../../src/lib/lines.js';
import { splitLines } from '../../../src/lib/lines.js';

function collect(maxBytes = 1000, budget = createBudget(1e9)) {
  const lines: string[] = [];
  const dropped: DroppedLine[] = [];
  const warned: string[] = [];
  const splitter = splitLines({
    maxBytes,
    budget,
    onLine: (line) => lines.push(line.toString('latin1')),
    onDropping: (reason) => warned.push(reason),
    onDropped: (line) => dropped.push(line),
  });
  return {
    lines,
    dropped,
    warned,
    budget,
    push: (text: string) => splitter.push(Buffer.from(text)),
    splitter,
  };
}

describe('lines of bytes', () => {
  it('end at LF or CRLF, wherever the chunks end; empty ones are none', () => {
    const seen = collect();
    for (const chunk of ['one\ntwo\r\nth', 'r', 'ee\r', '\n\n\r\nfour\r\rfive\n', 'rest']) seen.push(chunk);
    expect(seen.lines).toEqual(['one', 'two', 'three', 'four\r\rfive']);
    expect(seen.splitter.end()?.toString()).toBe('rest');
    expect(seen.budget.used).toBe(0);
  });

  it('are the same however they were cut into chunks', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ unit: fc.constantFrom('a', 'b', '\u00e9', '\r', 'x'.repeat(5000)), maxLength: 5 }),
          {
            maxLength: 8,
          },
        ),
        fc.array(fc.integer({ min: 1, max: 7000 }), { minLength: 1 }),
        (texts, cuts) => {
          const whole = Buffer.from(texts.map((text) => `${text}\n`).join(''));
          const seen = collect(1e6);
          for (let at = 0, i = 0; at < whole.length; i++) {
            const size = cuts[i % cuts.length] as number;
            seen.splitter.push(whole.subarray(at, at + size));
            at += size;
          }
          const expected = texts.map((text) => text.replace(/\r$/, '')).filter((text) => text !== '');
          expect(seen.lines).toEqual(expected.map((text) => Buffer.from(text).toString('latin1')));
          expect(seen.budget.used).toBe(0);
        },
      ),
    );
  });

  it('larger than the limit are dropped with head, tail and size, and the next one is taken', () => {
    const seen = collect(100);
    const long = `{"id":7,${'x'.repeat(5000)}"end"}`;
    seen.push(`before\n${long.slice(0, 60)}`);
    seen.push(long.slice(60, 3000));
    expect(seen.warned).toEqual(['line']);
    expect(seen.dropped).toEqual([]);
    seen.push(`${long.slice(3000)}\nafter\n`);
    expect(seen.lines).toEqual(['before', 'after']);
    expect(seen.dropped).toHaveLength(1);
    expect(seen.dropped[0]).toMatchObject({ bytes: long.length, reason: 'line' });
    expect(seen.dropped[0]?.head.toString()).toBe(long.slice(0, 256));
    expect(seen.dropped[0]?.tail.toString()).toBe(long.slice(-256));
  });

  it('are held to the limit also when they come in one piece', () => {
    const seen = collect(10);
    seen.push(`${'y'.repeat(11)}\n${'z'.repeat(10)}\n`);
    expect(seen.lines).toEqual(['z'.repeat(10)]);
    expect(seen.dropped).toHaveLength(1);
  });

  it('count against the budget only while they are incomplete', () => {
    const budget = createBudget(100);
    const seen = collect(1000, budget);
    seen.push(`${'a'.repeat(500)}\n${'b'.repeat(60)}`);
    expect(budget.used).toBe(60);
    seen.push('b'.repeat(60));
    expect(seen.warned).toEqual(['budget']);
    expect(budget.used).toBe(0);
    seen.push('\nshort\n');
    expect(seen.lines).toEqual(['a'.repeat(500), 'short']);
    expect(seen.dropped[0]).toMatchObject({ bytes: 120, reason: 'budget' });
  });

  it('written byte by byte cost little', () => {
    const seen = collect(1e6);
    for (let i = 0; i < 200_000; i++) seen.push('q');
    seen.push('\n');
    expect(seen.lines[0]).toHaveLength(200_000);
  });
});

it('that are large come in the pieces they came in, without their line break, where that is asked for', () => {
  const seen: (string | string[])[] = [];
  const budget = createBudget(1e9);
  const splitter = splitLines({
    maxBytes: 1e6,
    budget,
    onLine: (line) => seen.push(line.toString('latin1')),
    onPieces: (pieces) => seen.push(pieces.map((piece) => piece.toString('latin1'))),
    onDropped: () => undefined,
  });
  const [a, b] = ['a'.repeat(100_000), 'b'.repeat(50_000)];
  for (const chunk of ['one\ntw', `o\n${a}`, b, '\r', '\nthree\n', `${a}${b}\n`, a, `${b}\r\n`])
    splitter.push(Buffer.from(chunk));
  expect(seen).toEqual(['one', 'two', [a, b], 'three', a + b, [a, b]]);
  expect(budget.used).toBe(0);
});
