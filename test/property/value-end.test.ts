import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assembled } from '../../scripts/assemble.mjs';
import { readFileSync } from 'node:fs';
import { scanValue, scanValueByByte, valueEndState, type ScanValue } from '../../src/wire/value-end.js';

/** The offset past the end of the value in the whole of the pieces; -1: it goes on. */
function endIn(scan: ScanValue, pieces: readonly Buffer[]): number {
  const state = valueEndState();
  let before = 0;
  for (const piece of pieces) {
    const end = scan(state, piece, 0, piece.length);
    if (end !== -1) return before + end;
    before += piece.length;
  }
  return -1;
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length));
}

const cuts = fc.array(fc.nat(), { maxLength: 20 });
const text = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', '"', '\\', '}', '{', '[', ']', ',', 'é', '🚀') }),
  fc.constantFrom(
    '\\',
    '\\\\',
    '"',
    '\\"',
    '}]',
    'x'.repeat(63),
    'x'.repeat(64),
    '\\'.repeat(65),
    'x'.repeat(70_000),
  ),
);
const value = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'medium' },
    text,
    fc.double(),
    fc.array(tie('tree'), { maxLength: 5 }),
    fc.dictionary(text, tie('tree'), { maxKeys: 4 }),
  ),
})).tree;

describe('the end of a value', () => {
  it('is found in one way by the module and by the loop, where the runtime has the module', () => {
    expect(scanValue).not.toBe(scanValueByByte);
  });

  it('is where JSON.stringify ended it, however it is cut', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 4 }), fc.string(), cuts, (values, after, at) => {
        const json = Buffer.from(JSON.stringify(values));
        const whole = Buffer.concat([json, Buffer.from(after)]);
        const pieces = split(whole, at);
        expect(endIn(scanValueByByte, pieces)).toBe(json.length);
        expect(endIn(scanValue, pieces)).toBe(json.length);
      }),
      { numRuns: 1000 },
    );
  });

  it('is the same for both in bytes that are not JSON', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc
        .array(fc.constantFrom(0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d, 0x20, 0x61), { maxLength: 400 })
        .map((list) => Uint8Array.from(list)),
    );
    fc.assert(
      fc.property(bytes, fc.array(fc.nat(), { maxLength: 3 }), (list, at) => {
        const pieces = split(Buffer.concat([Buffer.from('['), Buffer.from(list)]), at);
        expect(endIn(scanValue, pieces)).toBe(endIn(scanValueByByte, pieces));
      }),
      { numRuns: 3000 },
    );
  });

  it('is found by bytes that are assembled from their source', async () => {
    const path = new URL('../../src/wire/wasm/value-end.ts', import.meta.url);
    expect(readFileSync(path, 'utf8')).toBe(await assembled('value-end'));
  });
});
