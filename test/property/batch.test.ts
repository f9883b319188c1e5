import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBudget } from '../../src/lib/budget.js';
import { EventReader } from '../../src/upstream/calls/event-reader.js';
import { Cookies } from '../../src/upstream/http/cookies.js';
import { batchOf, MAX_BATCH_BYTES } from '../../src/wire/batch.js';

describe('a batch', () => {
  const space = fc.constantFrom('', ' ', '\n\t', '\r\n');

  it('is cut into the elements that JSON.parse finds', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { maxLength: 100 }), space, (values, s) => {
        const text = `${s}[${s}${values.map((value) => JSON.stringify(value)).join(`${s},${s}`)}${s}]${s}`;
        expect(batchOf(Buffer.from(text))?.map((each) => JSON.parse(each.toString()) as unknown)).toEqual(
          JSON.parse(text),
        );
      }),
    );
  });

  it('that is cut, changed or over its bounds is none, and nothing throws', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { minLength: 1 }), fc.nat(), fc.nat(255), (values, at, byte) => {
        const bytes = Buffer.from(JSON.stringify(values));
        expect(batchOf(bytes.subarray(0, at % bytes.length))).toBeUndefined();
        expect(batchOf(Buffer.concat([bytes, Buffer.from('x')]))).toBeUndefined();
        bytes[at % bytes.length] = byte;
        batchOf(bytes);
      }),
    );
    expect(batchOf(Buffer.from(`[${new Array(101).fill('0').join(',')}]`))).toBeUndefined();
    expect(batchOf(Buffer.from(`["${'x'.repeat(MAX_BATCH_BYTES)}"]`))).toBeUndefined();
  });
});

describe('arrays within arrays', () => {
  it('of any depth are no messages, on a stream of a call and on one that all share', () => {
    const deep = Buffer.from(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
    const message = '{"jsonrpc":"2.0","method":"notifications/x"}';
    const heard: string[] = [];
    const budget = createBudget(1 << 30);
    const limits = { messageBytes: 1 << 26, questionBytes: 1 << 26, budget };
    const reader = EventReader.shared((bytes) => heard.push(bytes.toString()), limits, false);
    for (const data of [deep.toString(), `[[${message}],${message}]`, message])
      reader.push(Buffer.from(`data: ${data}\n\n`));
    expect(heard).toEqual([message, message]);
    expect(budget.used).toBe(0);
  });
});

describe('cookies', () => {
  const origin = 'http://a.test';

  it('of whatever a server sets make a header, and are bounded', () => {
    const line = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.tuple(fc.string({ minLength: 1 }), fc.string()).map(([name, value]) => `${name}=${value}; Path=/`),
      fc.nat(10_000).map((length) => `n${length}=${'v'.repeat(length)}`),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 60 }), (lines) => {
        const cookies = new Cookies();
        cookies.take(lines, origin);
        const header = cookies.header(origin);
        expect(header).toMatch(/^[\x20-\x7e]*$/);
        expect(header.split('; ').length).toBeLessThanOrEqual(16);
        expect(header.length).toBeLessThanOrEqual(16 * 4098);
      }),
    );
  });

  it('are replaced by name, end when they say so, and go to no other origin', () => {
    const cookies = new Cookies();
    expect(cookies.take('lb=one; Path=/; HttpOnly', origin)).toBe(true);
    expect(cookies.take('lb=one', origin)).toBe(false);
    expect(cookies.take(['a=1', 'lb=two; SameSite=Lax'], origin)).toBe(true);
    expect(cookies.header(origin)).toBe('a=1; lb=two');
    cookies.take(['a=; Max-Age=0', 'b=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT', 'c=3; Secure'], origin);
    expect(cookies.header(origin)).toBe('lb=two');
    cookies.take('d=4; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT', origin);
    expect(cookies.header(origin)).toBe('lb=two; d=4');
    expect(cookies.header('http://b.test')).toBe('');
    cookies.take('e=5; Secure', 'https://a.test');
    expect([cookies.header('https://a.test'), cookies.header(origin)]).toEqual(['e=5', '']);
  });
});
