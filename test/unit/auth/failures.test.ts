import { describe, expect, it } from 'vitest';
import { Failures, RefusalLog } from '../../../src/auth/failures.js';
import { createApiKey, hashApiKey } from '../../../src/lib/api-key.js';
import { silent, type LogFields } from '../../../src/observe/log.js';
import { authenticator, bearer, keyConfig, shown } from '../../helpers/authenticator.js';

const KEY = createApiKey();
const keys = [keyConfig({ sha256: [hashApiKey(KEY)] })];

describe('wrong credentials of an address', () => {
  it('are 429 after twenty, with the time to wait, and one is back each second', () => {
    const stage = authenticator({ keys });
    const wrong = () => stage.auth.authenticate(bearer('wrong'), '/mcp');
    for (let i = 0; i < 20; i++) expect(wrong()).toMatchObject({ status: 401, reason: 'wrong_token' });
    expect(wrong()).toEqual({ status: 429, reason: 'too_many', retryAfter: 1 });
    stage.pass(999);
    expect(wrong()).toMatchObject({ status: 429 });
    stage.pass(1);
    expect(wrong()).toMatchObject({ status: 401 });
    expect(wrong()).toMatchObject({ status: 429 });
    stage.pass(60_000);
    for (let i = 0; i < 20; i++) expect(wrong()).toMatchObject({ status: 401 });
    expect(wrong()).toMatchObject({ status: 429 });
  });

  it('lock out nobody else there: a right key is admitted, a missing one is 401', () => {
    const { auth } = authenticator({ keys, tokens: ['contract'] });
    for (let i = 0; i < 30; i++) void auth.authenticate(bearer('wrong'), '/mcp');
    expect(auth.authenticate(bearer(KEY), '/mcp')).toMatchObject({ id: 'key:ci' });
    expect(auth.authenticate(bearer('contract'), '/mcp')).toMatchObject({ id: 'bearer' });
    for (let i = 0; i < 30; i++) expect(auth.authenticate(shown(), '/mcp')).toMatchObject({ status: 401 });
    const elsewhere = { remoteAddress: '192.0.2.8' };
    expect(auth.authenticate(bearer('wrong', elsewhere), '/mcp')).toMatchObject({ status: 401 });
  });

  it('count by the first 64 bits of IPv6, and by the client behind a listed proxy', () => {
    const { auth } = authenticator({
      keys,
      proxy: { addresses: ['10.0.0.0/8'], user: undefined, groups: undefined },
    });
    const from = (remoteAddress: string, forwarded = '') =>
      auth.authenticate(
        shown(
          { authorization: 'Bearer wrong', ...(forwarded ? { 'x-forwarded-for': forwarded } : {}) },
          { remoteAddress },
        ),
        '/mcp',
      );
    for (let i = 0; i < 20; i++) void from(`2001:db8::${i + 1}`);
    expect(from('2001:db8:0:0:ffff::1')).toMatchObject({ status: 429 });
    expect(from('2001:db8:0:1::1')).toMatchObject({ status: 401 });
    for (let i = 0; i < 20; i++) void from('10.1.1.1', '203.0.113.9');
    expect(from('10.2.2.2', 'anything, 203.0.113.9, 10.3.3.3')).toMatchObject({ status: 429 });
    expect(from('10.1.1.1', '203.0.113.10')).toMatchObject({ status: 401 });
    // Somebody else cannot speak for a client.
    expect(from('203.0.113.77', '203.0.113.9')).toMatchObject({ status: 401 });
    expect(from('203.0.113.9')).toMatchObject({ status: 429 });
  });

  it('are remembered for a bounded number of addresses', () => {
    let now = 0;
    const failures = new Failures(() => now);
    for (let i = 0; i < 100_000; i++) failures.add(`a${i}`);
    expect(failures.size).toBe(8192);
    now = 5000;
    failures.add('fresh');
    expect(failures.size).toBe(1);
    for (let i = 0; i < 40; i++) failures.add('fresh');
    expect(failures.wait('fresh')).toBe(1);
    // A clock that is set back by a year makes nobody wait longer.
    now = -31_536_000_000;
    expect(failures.wait('fresh')).toBe(1);
  });
});

describe('the log of refusals', () => {
  it('has reason and address, at most ten lines in a second, then how many are missing', () => {
    let now = 0;
    const lines: (LogFields | undefined)[] = [];
    const log = new RefusalLog({ ...silent, info: (_message, fields) => lines.push(fields) }, () => now);
    for (let i = 0; i < 25; i++) log.write({ reason: 'expired', address: '192.0.2.1', issuer: 'corp' });
    expect(lines).toHaveLength(10);
    expect(lines[0]).toEqual({ reason: 'expired', address: '192.0.2.1', issuer: 'corp' });
    now = 1000;
    log.write({ reason: 'expired', address: '192.0.2.1' });
    expect(lines[10]).toMatchObject({ dropped: 15 });
  });

  it('does not have the credential', () => {
    const { auth, lines } = authenticator({ keys });
    const other = createApiKey();
    void auth.authenticate(bearer(other), '/mcp');
    expect(lines).toEqual([
      ['authentication refused', expect.objectContaining({ reason: 'unknown_key', address: '192.0.2.7' })],
    ]);
    expect(JSON.stringify(lines)).not.toContain(other);
  });
});
