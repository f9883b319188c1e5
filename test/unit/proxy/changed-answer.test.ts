import { describe, expect, it } from 'vitest';
import { createBudget } from '../../../src/lib/budget.js';
import { Boundary } from '../../../src/observe/boundary.js';
import { silent } from '../../../src/observe/log.js';
import { Tally } from '../../../src/observe/stats.js';
import { NOBODY_TO_ASK, type Sink } from '../../../src/protocol/ports.js';
import { convertContent } from '../../../src/proxy/conversions.js';
import { ChangedAnswer } from '../../../src/proxy/changed-answer.js';

const MB = 1_048_576;

/** What goes on of an answer, and the turns of the event loop until it has. */
async function convert(
  text: string,
  meanwhile: (budget: ReturnType<typeof createBudget>) => void = () => undefined,
): Promise<{ out: string; turns: number; failed: string | undefined; left: number }> {
  const budget = createBudget(100 * MB);
  let turns = 0;
  let over = false;
  let out = '';
  let failed: string | undefined;
  const sink: Sink = {
    notify: () => true,
    ask: () => NOBODY_TO_ASK,
    start() {},
    write(chunk) {
      out += chunk.toString();
      return true;
    },
    end() {
      over = true;
    },
    cancelled() {},
    fail(error) {
      failed = error.message;
      over = true;
    },
  };
  const holding = {
    maxBytes: 64 * MB,
    budget,
    whose: { server: 's' },
    boundary: new Boundary(silent, new Tally()),
  };
  const holds = new ChangedAnswer(sink, holding, (whole) => convertContent(whole, '2025-03-26'));
  const whole = Buffer.from(text);
  holds.start({ kind: 'result', bytes: whole.length, value: 0, code: undefined });
  holds.write(whole);
  holds.end({ isError: false });
  meanwhile(budget);
  while (!over) {
    turns++;
    await new Promise(setImmediate);
  }
  return { out, turns, failed, left: budget.used };
}

const answer = (blocks: string, more = ''): string =>
  `{"jsonrpc":"2.0","id":1,"result":{"content":[${blocks}]${more}}}`;
const LINK = '{"type":"resource_link","uri":"file:///a","name":"a"}';
const TEXT = '{"type":"text","text":"file:///a"}';

describe('an answer that is changed as a whole', () => {
  it('goes on at once where it is small', async () => {
    expect(await convert(answer(LINK))).toEqual({
      out: answer(TEXT),
      turns: 0,
      failed: undefined,
      left: 0,
    });
  });

  it('is gone over a megabyte a turn', async () => {
    const zeros = `,"structuredContent":{"a":[${'0,'.repeat(2.5 * MB)}0]}`;
    const { out, turns, left } = await convert(answer(LINK, zeros));
    expect(out === answer(TEXT, zeros)).toBe(true);
    expect(turns).toBeGreaterThanOrEqual(9);
    expect(left).toBe(0);
  });

  it('of many values is gone over 20,000 of them a turn', async () => {
    const many = 100_000;
    const zeros = answer(`${'0,'.repeat(many)}0`);
    const { out, turns } = await convert(zeros);
    expect(out === zeros).toBe(true);
    // Each is an element, and looked at as a block.
    expect(turns).toBeGreaterThanOrEqual((2 * many) / 20_000);
  });

  it('that is no JSON goes on as it came', async () => {
    const broken = answer(LINK).slice(0, -3);
    expect((await convert(broken)).out).toBe(broken);
  });

  it('that has to give way meanwhile fails', async () => {
    const large = answer(LINK, `,"structuredContent":{"a":[${'0,'.repeat(2.5 * MB)}0]}`);
    const { failed, out, left } = await convert(large, (budget) => {
      budget.setLimit(budget.used);
      budget.holder({ server: 'other' }, () => undefined).take(MB);
    });
    expect(out).toHaveLength(0);
    expect(failed).toContain('limits.buffered_bytes');
    expect(left).toBe(MB);
  });
});
