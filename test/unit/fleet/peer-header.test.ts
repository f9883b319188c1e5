import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { FleetKeys } from '../../../src/fleet/keys.js';
import { PeerHeaders } from '../../../src/fleet/peer-header.js';
import type { Principal } from '../../../src/protocol/ports.js';

const [A, B, C] = ['aaaaaaaaaa', 'bbbbbbbbbb', 'cccccccccc'];
const ALICE: Principal = {
  id: 'token:https://issuer|alice',
  kind: 'token',
  name: 'alice',
  groups: ['admins'],
  scopes: ['tools'],
  claims: { email: 'alice@example.com' },
  credential: 'fingerprint',
  expires: 4_102_444_800_000,
  profile: 'support',
};

function setup(key = randomBytes(32)) {
  const clock = { now: 1_000_000 };
  const keys = new FleetKeys(key, []);
  const of = (self: string, own = keys): PeerHeaders =>
    new PeerHeaders({ keys: own, self, now: () => clock.now });
  return { clock, of };
}

describe('the header that introduces a client', () => {
  it('gives the whole principal, as one object for one header', () => {
    const { of } = setup();
    const text = of(A).make(B, ALICE);
    const reader = of(B);
    expect(reader.open(text)).toMatchObject({ from: A, principal: ALICE, headers: {} });
    expect(reader.open(text)?.principal).toBe(reader.open(text)?.principal);
    expect(text).not.toContain('alice');
  });

  it('is made once a minute for a receiver, and good for five', () => {
    const { of, clock } = setup();
    const writer = of(A);
    const reader = of(B);
    const first = writer.make(B, ALICE);
    expect(writer.make(B, ALICE)).toBe(first);
    expect(writer.make(C, ALICE)).not.toBe(first);
    clock.now += 61_000;
    const second = writer.make(B, ALICE);
    expect(second).not.toBe(first);
    expect(reader.open(first)).toBeDefined();
    clock.now += 240_000;
    expect(reader.open(first)).toBeUndefined();
    expect(reader.open(second)).toBeDefined();
  });

  it('is for one replica of one fleet', () => {
    const { of } = setup();
    const text = of(A).make(B, ALICE);
    expect(of(C).open(text)).toBeUndefined();
    expect(of(B, new FleetKeys(randomBytes(32), [])).open(text)).toBeUndefined();
    for (const wrong of [undefined, '', 'x', text.slice(1), `${text}A`.slice(0, -2), 'A'.repeat(500)])
      expect(of(B).open(wrong)).toBeUndefined();
  });

  it('has the headers of one request', () => {
    const { of } = setup();
    const writer = of(A);
    const text = writer.make(B, ALICE, { 'x-token': 'secret' });
    expect(of(B).open(text)?.headers).toEqual({ 'x-token': 'secret' });
    expect(of(B).open(writer.make(B, ALICE))?.headers).toEqual({});
  });
});
