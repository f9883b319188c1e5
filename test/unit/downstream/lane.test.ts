import { describe, expect, test } from 'vitest';
import { Lane, type Outlet } from '../../../src/downstream/lane.js';
import { createBudget } from '../../../src/lib/budget.js';

/** An outlet that takes `room` writes and then says that it is full. */
function outlet(room = Infinity) {
  const out = {
    text: '',
    room,
    drained: () => undefined as void,
    event: (message: Buffer) => write(`[${message.toString()}]`),
    begin: () => void write('<', false),
    chunk: (bytes: Buffer) => write(bytes.toString()),
    finish: () => void write('>', false),
    cut: () => void write('!', false),
    end: () => void write('.', false),
    destroy: () => undefined,
  };
  function write(text: string, counts = true): boolean {
    out.text += text;
    return counts ? --out.room > 0 : true;
  }
  return out satisfies Outlet & object;
}

const LARGE = 'x'.repeat(70_000);
const small = (text: string): Buffer => Buffer.from(text);
const short = (text: string): string => text.replaceAll(LARGE, 'X');
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a lane', () => {
  test('sends small messages whole when they end, a large one as it comes', () => {
    const out = outlet();
    const lane = new Lane(out, createBudget(1e9), () => undefined);
    const a = lane.message(() => undefined);
    const b = lane.message(() => undefined);
    expect(a.write(small('a1'))).toBe(true);
    expect(b.write(small(LARGE))).toBe(true);
    expect(lane.send(small('n'))).toBe(false);
    a.write(small('a2'));
    a.end();
    b.write(small('b2'));
    b.end();
    expect(short(out.text)).toBe('<Xb2>[n][a1a2]');
    expect(lane.waiting).toBe(0);
  });

  test('lets one large message wait for the other, and resumes it in its turn', async () => {
    const out = outlet();
    const lane = new Lane(out, createBudget(1e9), () => undefined);
    const resumed: string[] = [];
    const a = lane.message(() => void resumed.push('a'));
    const b = lane.message(() => void resumed.push('b'));
    expect(a.write(small(LARGE))).toBe(true);
    expect(b.write(small(LARGE))).toBe(false);
    expect(lane.waiting).toBe(LARGE.length);
    a.end();
    expect(resumed).toEqual([]);
    await settle();
    expect(resumed).toEqual(['b']);
    b.end();
    expect(short(out.text)).toBe('<X><X>');
  });

  test('stops who writes while the client does not read', async () => {
    const out = outlet(2);
    const lane = new Lane(out, createBudget(1e9), () => undefined);
    const resumed: string[] = [];
    expect(lane.send(small('1'), () => void resumed.push('1'))).toBe(true);
    expect(lane.send(small('2'), () => void resumed.push('2'))).toBe(false);
    expect(lane.send(small('3'), () => void resumed.push('3'))).toBe(false);
    await settle();
    expect([out.text, resumed]).toEqual(['[1][2]', []]);
    out.room = 9;
    out.drained();
    await settle();
    expect([out.text, resumed]).toEqual(['[1][2][3]', ['2', '3']]);
  });

  test('cuts what will not be whole, whether it flows or waits', () => {
    const out = outlet();
    const budget = createBudget(1e9);
    const lane = new Lane(out, budget, () => undefined);
    const [a, b, c] = ['a', 'b', 'c'].map(() => lane.message(() => undefined)) as [
      ReturnType<Lane['message']>,
      ReturnType<Lane['message']>,
      ReturnType<Lane['message']>,
    ];
    a.write(small(LARGE));
    b.write(small(LARGE));
    c.write(small('c'));
    b.cut();
    a.cut();
    c.cut();
    lane.send(small('n'));
    expect(short(out.text)).toBe('<X![n]');
    expect([lane.waiting, budget.used]).toEqual([0, 0]);
  });

  test('ends after all that waits', () => {
    const out = outlet(1);
    const lane = new Lane(out, createBudget(1e9), () => undefined);
    lane.send(small('1'));
    lane.send(small('2'));
    lane.end();
    expect(out.text).toBe('[1]');
    out.room = 9;
    out.drained();
    expect(out.text).toBe('[1][2].');
    expect(lane.send(small('3'))).toBe(true);
    expect(out.text).toBe('[1][2].');
  });

  test('gives up a client when too much is buffered in all', () => {
    const out = outlet(1);
    const budget = createBudget(10);
    let overflows = 0;
    const lane = new Lane(out, budget, () => overflows++);
    lane.send(small('1'));
    lane.send(small('12345'));
    expect(budget.used).toBe(5);
    lane.send(small('123456'));
    lane.send(small('1'));
    expect([overflows, budget.used, lane.waiting]).toEqual([1, 0, 0]);
  });
});
