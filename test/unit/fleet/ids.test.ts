import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { SessionIds } from '../../../src/fleet/ids.js';
import { makeReplicaId } from '../../../src/protocol/elsewhere.js';
import { FleetKeys } from '../../../src/fleet/keys.js';

const [OLD, NEW, OTHER] = [randomBytes(32), randomBytes(32), randomBytes(32)];

describe('ids of sessions', () => {
  it('have 43 characters, and lead to their replica', () => {
    const home = makeReplicaId();
    const ids = new SessionIds(new FleetKeys(OLD, []), home);
    const made = Array.from({ length: 1000 }, () => ids.make());
    expect(new Set(made).size).toBe(1000);
    for (const id of made) {
      expect(id).toMatch(/^[A-Za-z0-9_-]{43}$/);
      expect(ids.homeOf(id)).toBe(home);
    }
  });

  it('of another fleet, or changed in any bit, lead nowhere', () => {
    const ids = new SessionIds(new FleetKeys(OLD, []), makeReplicaId());
    const bytes = Buffer.from(ids.make(), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(ids.homeOf(changed.toString('base64url'))).toBeUndefined();
    }
    expect(new SessionIds(new FleetKeys(OTHER, []), makeReplicaId()).homeOf(ids.make())).toBeUndefined();
  });

  it('have one spelling', () => {
    const ids = new SessionIds(new FleetKeys(OLD, []), makeReplicaId());
    const id = ids.make();
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const last = alphabet.indexOf(id.at(-1) as string);
    // The last two bits do not count in base64url.
    for (const other of [1, 2, 3])
      expect(ids.homeOf(id.slice(0, -1) + (alphabet[last ^ other] as string))).toBeUndefined();
    for (const text of ['', `${id}=`, ` ${id}`, id.slice(1), `${id}A`, 'x'.repeat(43), '\0'.repeat(43)])
      expect(ids.homeOf(text)).toBeUndefined();
  });

  it('stay good while the state key is changed', () => {
    const home = makeReplicaId();
    const before = new SessionIds(new FleetKeys(OLD, []), home).make();
    const both = new SessionIds(new FleetKeys(OLD, [NEW]), home);
    const turned = new SessionIds(new FleetKeys(NEW, [OLD]), home);
    expect(both.homeOf(before)).toBe(home);
    expect(turned.homeOf(before)).toBe(home);
    expect(both.homeOf(turned.make())).toBe(home);
    expect(new SessionIds(new FleetKeys(NEW, []), home).homeOf(before)).toBeUndefined();
  });
});
