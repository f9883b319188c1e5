import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReplyGuard } from '../../src/fleet/reply-guard.js';

type Reply = string | number | Buffer | null | readonly Reply[];

function encoded(reply: Reply): Buffer {
  if (reply === null) return Buffer.from('$-1\r\n');
  if (typeof reply === 'string') return Buffer.from(`+${reply}\r\n`);
  if (typeof reply === 'number') return Buffer.from(`:${reply}\r\n`);
  if (Buffer.isBuffer(reply))
    return Buffer.concat([Buffer.from(`$${reply.length}\r\n`), reply, Buffer.from('\r\n')]);
  const items = reply;
  return Buffer.concat([Buffer.from(`*${items.length}\r\n`), ...items.map(encoded)]);
}

const reply = fc.letrec<{ reply: Reply }>((tie) => ({
  reply: fc.oneof(
    { maxDepth: 4 },
    fc.stringMatching(/^[ -~]{0,20}$/),
    fc.maxSafeInteger(),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.constant(null),
    fc.array(tie('reply'), { maxLength: 4 }),
  ),
})).reply;

/** Pieces of random lengths. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length));
}

describe('the guard of replies', () => {
  test('replies pass in any pieces, and one more than was asked for does not', () => {
    fc.assert(
      fc.property(fc.array(reply, { minLength: 1, maxLength: 5 }), fc.array(fc.nat()), (replies, cuts) => {
        const guard = new ReplyGuard();
        for (const _ of replies) guard.expect();
        const bytes = Buffer.concat(replies.map(encoded));
        expect(pieces(bytes, cuts).every((piece) => guard.accept(piece))).toBe(true);
        expect(guard.accept(Buffer.from('+OK\r\n'))).toBe(false);
      }),
    );
  });

  test('any bytes are judged the same in any pieces', () => {
    const hostile = fc.array(
      fc.oneof(
        fc.constantFrom(
          '*1\r\n',
          '$3\r\n',
          '+',
          '-MOVED 1 ',
          '>2\r\n',
          '\r',
          '\n',
          ':1\r\n',
          '$-1\r\n',
          '*-1\r\n',
        ),
        fc.string({ maxLength: 5 }),
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(hostile, fc.array(fc.nat()), (parts, cuts) => {
        const bytes = Buffer.from(parts.join(''), 'latin1');
        const guards = [new ReplyGuard(), new ReplyGuard()] as const;
        for (let sent = 0; sent < 3; sent++) for (const guard of guards) guard.expect();
        const whole = guards[0].accept(bytes);
        expect(pieces(bytes, cuts).every((piece) => guards[1].accept(piece))).toBe(whole);
      }),
    );
  });
});
