import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splice, withoutLineBreaks } from '../../../src/wire/splice.js';

describe('splice', () => {
  it('puts patches in, in any order, and keeps every other byte', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 40 }),
        fc.array(fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 6 })), { maxLength: 5 }),
        fc.boolean(),
        (bytes, wanted, reversed) => {
          const buf = Buffer.from(bytes);
          const edges = wanted.map(([at]) => at % (buf.length + 1)).sort((a, b) => a - b);
          const patches = [];
          let expected = Buffer.alloc(0);
          let read = 0;
          for (let i = 0; i + 1 < edges.length; i += 2) {
            const [start, end] = [edges[i] as number, edges[i + 1] as number];
            const put = Buffer.from(wanted[i]?.[1] ?? []);
            patches.push({ start, end, bytes: put });
            expected = Buffer.concat([expected, buf.subarray(read, start), put]);
            read = end;
          }
          expected = Buffer.concat([expected, buf.subarray(read)]);
          // Insertions at one place keep the order they were given in: turned round they would not.
          const unique = new Set(patches.map(({ start }) => start)).size === patches.length;
          const result = splice(buf, reversed && unique ? [...patches].reverse() : patches);
          expect(result.equals(expected)).toBe(true);
        },
      ),
    );
  });

  it('cuts a part out', () => {
    const result = splice(Buffer.from('0123456789'), [{ start: 4, end: 5, bytes: Buffer.from('ab') }], 2, 8);
    expect(result.toString()).toBe('23ab567');
  });
});

describe('a message for a line', () => {
  it('has a space for every line break between its tokens', () => {
    expect(withoutLineBreaks(Buffer.from('{\r\n"a":\n1\r}')).toString()).toBe('{  "a": 1 }');
  });

  it('is the same buffer where there are none, and the original stays as it was', () => {
    const plain = Buffer.from('{"a":"\\n"}');
    expect(withoutLineBreaks(plain)).toBe(plain);
    const broken = Buffer.from('{\n}');
    withoutLineBreaks(broken);
    expect(broken.toString()).toBe('{\n}');
  });
});
