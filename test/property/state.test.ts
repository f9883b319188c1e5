import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { silent } from '../../src/observe/log.js';
import { openFolder } from '../../src/state/folder.js';
import { Sealer, type StateRecord } from '../../src/state/sealed.js';
import { fixedKeys } from '../../src/state/state-key.js';
import { scratchFolder } from '../helpers/state.js';

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
const record: fc.Arbitrary<StateRecord> = fc.record({
  generation: fc.nat(),
  expires: fc.nat(),
  value: fc
    .dictionary(fc.string(), fc.jsonValue())
    .map((value) => JSON.parse(JSON.stringify(value)) as object),
});

describe('sealed records', () => {
  it('open as they were sealed, under their own key and name alone', () => {
    fc.assert(
      fc.property(bytes32, bytes32, fc.string(), fc.string(), record, (key, other, name, another, value) => {
        const file = Buffer.from(new Sealer(key).seal(name, value));
        expect(new Sealer(key).open(name, file)).toEqual(value);
        if (!other.equals(key)) expect(new Sealer(other).open(name, file)).toBeUndefined();
        if (another !== name) expect(new Sealer(key).open(another, file)).toBeUndefined();
      }),
    );
  });

  it('never open once a byte is changed, removed or added', () => {
    const key = Buffer.alloc(32, 7);
    fc.assert(
      fc.property(
        record,
        fc.nat(),
        fc.integer({ min: 0, max: 255 }),
        fc.nat(2),
        (value, where, byte, how) => {
          const sealer = new Sealer(key);
          const file = Buffer.from(sealer.seal('pin:a', value));
          const at = where % file.length;
          const changed = Buffer.concat([
            file.subarray(0, at),
            how === 2 ? Buffer.alloc(0) : Buffer.from([byte]),
            file.subarray(how === 0 ? at : at + 1),
          ]);
          const opened = sealer.open('pin:a', changed);
          if (changed.equals(file)) expect(opened).toEqual(value);
          else expect(opened).toBeUndefined();
        },
      ),
    );
  });

  it('are refused for any bytes', () => {
    const sealer = new Sealer(Buffer.alloc(32, 7));
    const tails = fc.oneof(
      fc.string(),
      fc.base64String(),
      fc.uint8Array().map((b) => Buffer.from(b).toString('base64url')),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array().map((bytes) => Buffer.from(bytes)),
          tails.map((tail) => Buffer.from(`mcpstead.cred.1.${tail}`)),
        ),
        (bytes) => {
          expect(sealer.open('pin:a', bytes)).toBeUndefined();
        },
      ),
    );
  });
});

describe('the files of a folder', () => {
  it('may hold any bytes: a record is what was written, or missing', async () => {
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      // What another file of the folder holds.
      fc.constant('swap' as const),
      fc.constant('cut' as const),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(content, { minLength: 1, maxLength: 4 }), async (contents) => {
        const dir = join(scratchFolder(), 'state');
        mkdirSync(dir, { mode: 0o700 });
        const keys = fixedKeys({ current: Buffer.alloc(32, 7), older: [] });
        const state = await openFolder({ dir, keys, log: silent });
        await state.put('pin:a', { of: 'a' }, 0);
        await state.put('pin:b', { of: 'b' }, 0);
        const folder = join(dir, 'pins');
        const names = readdirSync(folder).sort();
        const originals = names.map((name) => readFileSync(join(folder, name)));
        for (const [index, bytes] of contents.entries()) {
          const at = index % names.length;
          const original = originals[at] as Buffer;
          const next = originals[(at + 1) % names.length] as Buffer;
          const written = bytes === 'swap' ? next : bytes === 'cut' ? original.subarray(0, -5) : bytes;
          writeFileSync(join(folder, names[at] as string), written);
        }
        const fresh = await openFolder({ dir, keys, log: silent });
        for (const name of ['a', 'b']) {
          const read = await fresh.get(`pin:${name}`);
          expect([undefined, { of: name }]).toContainEqual(read?.value);
          expect(await fresh.put(`pin:${name}`, { of: name, again: true }, read?.generation ?? 0)).toBe(true);
          expect((await fresh.get(`pin:${name}`))?.value).toEqual({ of: name, again: true });
        }
        const listed: string[] = [];
        for await (const key of fresh.keys('pin')) listed.push(key);
        expect(listed.sort()).toEqual(['pin:a', 'pin:b']);
      }),
      { numRuns: 40 },
    );
  });
});
