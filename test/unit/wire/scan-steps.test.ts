import { describe, expect, it } from 'vitest';
import { scan, scanInSteps, type ScanError } from '../../../src/wire/scan.js';

const zeros = (many: number): string => `[${'0,'.repeat(many)}0]`;
const call = (more: string): Buffer =>
  Buffer.from(
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"a":${more},"b":[{"_meta":1}]},"name":"x","_meta":{"progressToken":${more}}}}`,
  );

describe('a text of many values', () => {
  it('is gone over 20,000 of them a step, and several may be under way', () => {
    const texts = [call(zeros(30_000)), call(`{"c":${zeros(70_000)}}`), call('1')];
    const readings = texts.map((text) => ({ text, steps: scanInSteps(text), taken: 0, read: {} }));
    const open = new Set(readings);
    while (open.size > 0)
      for (const reading of open) {
        const { done, value } = reading.steps.next();
        reading.taken++;
        if (!done) continue;
        reading.read = value;
        open.delete(reading);
      }
    for (const { text, read } of readings) expect(read).toEqual(scan(text));
    expect(readings.map(({ taken }) => taken)).toEqual([4, 8, 1]);
  });

  it('is refused where it would be at once', () => {
    for (const text of [call(`${zeros(50_000)}]`), call(zeros(1_000_000)), call('[['.repeat(100))]) {
      const steps = scanInSteps(text);
      const all = (): void => {
        while (!steps.next().done);
      };
      let problem = '';
      try {
        scan(text);
      } catch (error) {
        problem = (error as ScanError).message;
      }
      expect(problem).not.toBe('');
      expect(all).toThrow(problem);
    }
  });
});
