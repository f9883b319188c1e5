/** What peers, clients and the store may send a replica: nothing that was not sealed or signed by the fleet counts, and nothing throws. */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SessionIds } from '../../src/fleet/ids.js';
import { makeReplicaId } from '../../src/protocol/elsewhere.js';
import { FleetKeys } from '../../src/fleet/keys.js';
import { PeerHeaders } from '../../src/fleet/peer-header.js';
import { SessionRecords } from '../../src/fleet/records.js';
import type { FleetStore } from '../../src/fleet/store.js';
import { eventIdOf } from '../../src/session/event-ids.js';
import type { Session } from '../../src/session/store.js';

const keys = new FleetKeys(randomBytes(32), [randomBytes(32)]);
const ids = new SessionIds(keys, makeReplicaId());
const mutated = (good: Buffer) =>
  fc
    .tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }))
    .map(([at, by]) => Buffer.from(good.map((byte, index) => (index === at ? byte ^ by : byte))));

it('ids that nobody signed', () => {
  const good = Buffer.from(ids.make(), 'base64url');
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc
          .uint8Array({ minLength: 32, maxLength: 32 })
          .map((bytes) => Buffer.from(bytes).toString('base64url')),
        mutated(good).map((bytes) => bytes.toString('base64url')),
      ),
      (id) => {
        expect(ids.homeOf(id)).toBeUndefined();
      },
    ),
  );
});

it('introductions that nobody sealed', () => {
  const headers = new PeerHeaders({ keys, self: 'aaaaaaaaaa', now: () => 1_000_000 });
  const other = new PeerHeaders({ keys, self: 'bbbbbbbbbb', now: () => 1_000_000 });
  const principal = {
    id: 'x',
    kind: 'anonymous',
    name: '',
    groups: [],
    scopes: [],
    claims: {},
    credential: '',
    expires: undefined,
  } as const;
  const good = Buffer.from(other.make('aaaaaaaaaa', principal), 'base64url');
  expect(headers.open(good.toString('base64url'))).toBeDefined();
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        mutated(good).map((bytes) => bytes.toString('base64url')),
      ),
      (text) => {
        expect(headers.open(text)).toBeUndefined();
      },
    ),
  );
});

it('records that nobody sealed', async () => {
  let value: Buffer | undefined;
  const store = { get: () => Promise.resolve(value) } as unknown as FleetStore;
  let strangers = 0;
  const records = new SessionRecords({
    ...{ store, keys, prefix: 'p', ttlMs: 1 },
    stranger: () => strangers++,
  });
  let written: Buffer = Buffer.alloc(0);
  (store as { run: FleetStore['run'] }).run = (_script, _keys, args) => {
    written = args[3] as Buffer;
    return Promise.resolve(1);
  };
  const kept = { principal: 'x', route: '/mcp', revision: '2025-11-25', capabilities: {} };
  await records.put('id', { generation: 3, owner: 'aaaaaaaaaa', kept });
  value = written;
  expect(await records.read('id')).toMatchObject({ generation: 3, owner: 'aaaaaaaaaa', kept });
  // Under the name of another session.
  expect(await records.read('other')).toBe('strange');
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
        mutated(written),
        fc.nat(written.length - 1).map((end) => written.subarray(0, end)),
      ),
      async (bytes) => {
        value = bytes;
        const before = strangers;
        expect(await records.read('id')).toBe('strange');
        expect(strangers).toBeGreaterThan(before);
      },
    ),
  );
});

it('ids of events that clients make up', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.tuple(fc.nat(), fc.nat(), fc.nat(), fc.base64String()).map((parts) => parts.join('-')),
      ),
      fc.option(fc.integer({ min: 1, max: 1000 }), { nil: undefined }),
      (text, generation) => {
        const event = eventIdOf({ generation } as Session, text);
        if (event?.isOlder && event.number > 0)
          expect(['string', 'number']).toContain(typeof JSON.parse(event.rawId));
      },
    ),
  );
});
