/** What the store may answer where a lease should be: nothing that a replica of the fleet did not seal counts, and nothing throws. */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FleetKeys } from '../../src/fleet/keys.js';
import { answerIn, LEASE_MS, leaseNames, readLease, sealLease } from '../../src/fleet/lease-values.js';

const keys = new FleetKeys(randomBytes(32), [randomBytes(32)]);
const [name = ''] = leaseNames(keys, 'p', 's', '{}');
const lease = { number: 1_700_000_000_000, owner: 'aaaaaaaaaa', at: 1_700_000_000_001 };
const good = sealLease(keys, name, lease);
const mutated = fc
  .tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }))
  .map(([at, by]) => Buffer.from(good.map((byte, index) => (index === at ? byte ^ by : byte))));

it('values that nobody sealed', () => {
  expect(readLease(keys, name, good)).toEqual(lease);
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
        fc.tuple(fc.nat(), fc.string()).map(([number, text]) => Buffer.from(`${number}:aaaaaaaaaa:${text}`)),
        fc.nat(good.length - 1).map((length) => good.subarray(0, length)),
        mutated,
      ),
      (value) => {
        expect(readLease(keys, name, value)).toBeUndefined();
      },
    ),
  );
});

it('values of another server, and what is sealed reads back', () => {
  const stored = fc.record({
    number: fc.nat(),
    owner: fc.constantFrom('', 'aaaaaaaaaa', '0123456789'),
    at: fc.nat(),
  });
  fc.assert(
    fc.property(stored, fc.string(), (written, server) => {
      const other = leaseNames(keys, 'p', `s${server}`, '{}')[0] ?? '';
      expect(readLease(keys, other, sealLease(keys, other, written))).toEqual(written);
      fc.pre(other !== name);
      expect(readLease(keys, name, sealLease(keys, other, written))).toBeUndefined();
    }),
  );
});

it('answers of the script', () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.array(fc.anything())), (answer) => {
      const read = answerIn(answer);
      if (typeof read === 'string') return;
      expect(read.left).toBeGreaterThanOrEqual(0);
      expect(read.left).toBeLessThanOrEqual(LEASE_MS);
      expect(Buffer.isBuffer(read.value)).toBe(true);
    }),
  );
});
