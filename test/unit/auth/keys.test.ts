import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createApiKey, hashApiKey, isApiKey } from '../../../src/lib/api-key.js';
import { authenticator, bearer, keyConfig, shown } from '../../helpers/authenticator.js';

const KEY = createApiKey();
const OTHER = createApiKey();
const DAY = 86_400_000;
const wrong = (reason: string) => ({ status: 401, challenge: 'Bearer', reason });
const ci = (more = {}) => keyConfig({ sha256: [hashApiKey(KEY)], ...more });

describe('the form of a key', () => {
  it('is what scanners look for, with a checksum by the definition of CRC-32', () => {
    expect(KEY).toMatch(/^mcps_[0-9A-Za-z]{36}$/);
    // The bits of the polynomial, one by one: an independent reading of the definition.
    let crc = 0xffffffff;
    for (const byte of Buffer.from(KEY.slice(5, 35))) {
      crc ^= byte;
      for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    let value = 0n;
    const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
    for (const digit of KEY.slice(35)) value = value * 62n + BigInt(digits.indexOf(digit));
    expect(value).toBe(BigInt((crc ^ 0xffffffff) >>> 0));
  });

  it('is not that of a key with another character, length or prefix', () => {
    const swapped = KEY.slice(0, 10) + (KEY[10] === 'a' ? 'b' : 'a') + KEY.slice(11);
    for (const text of [swapped, `${KEY}x`, KEY.slice(0, -1), KEY.toUpperCase(), ` ${KEY}`, `${KEY}\n`])
      expect([text, isApiKey(text)]).toEqual([text, false]);
    expect(isApiKey(KEY)).toBe(true);
  });

  it('has a hash of 43 characters of base64url', () => {
    expect(hashApiKey(KEY)).toBe(createHash('sha256').update(KEY).digest('base64url'));
  });
});

describe('keys', () => {
  it('admit their holder, with groups, scopes, what these imply, and the profile', () => {
    const { auth } = authenticator({
      keys: [ci({ groups: ['dev'], scopes: ['admin'], profile: 'support' })],
      implies: { admin: ['write'], write: ['read', 'admin'] },
    });
    const principal = auth.authenticate(bearer(KEY), '/mcp');
    expect(principal).toMatchObject({
      id: 'key:ci',
      kind: 'key',
      name: 'ci',
      groups: ['dev'],
      scopes: ['admin', 'write', 'read'],
      profile: 'support',
      expires: undefined,
    });
    expect(auth.authenticate(bearer(KEY), '/servers/a/mcp')).toBe(principal);
    expect(JSON.stringify(principal)).not.toContain(KEY);
  });

  it.each([
    ['an unknown key', OTHER, 'unknown_key'],
    ['a wrong checksum', `${KEY.slice(0, -1)}${KEY.endsWith('0') ? '1' : '0'}`, 'bad_format'],
    ['a key that is too long', `${KEY}0`, 'bad_format'],
    ['the prefix alone', 'mcps_', 'bad_format'],
    ['another token', 'something-else', 'wrong_token'],
    ['a JWT, without issuers', 'eyJh.eyJi.c', 'wrong_token'],
  ])('%s is refused with the bare challenge', (_what, token, reason) => {
    const { auth } = authenticator({ keys: [ci()], tokens: ['contract'] });
    expect(auth.authenticate(bearer(token), '/mcp')).toEqual(wrong(reason));
  });

  it('stand beside contract tokens', () => {
    const { auth } = authenticator({ keys: [ci()], tokens: ['contract'] });
    expect(auth.authenticate(bearer('contract'), '/mcp')).toMatchObject({ id: 'bearer', kind: 'bearer' });
    expect(auth.authenticate(shown(), '/mcp')).toEqual(wrong('missing_header'));
    expect(auth.authenticate(shown({ Authorization: '' }), '/mcp')).toEqual(wrong('missing_header'));
    expect(auth.authenticate(shown({ Authorization: `Basic ${KEY}` }), '/mcp')).toEqual(wrong('bad_format'));
  });

  it('are refused from the moment they expire, and stay accepted for their sessions', () => {
    const stage = authenticator({ keys: [ci({ expires: Date.UTC(2026, 10, 2) })] });
    const principal = stage.auth.authenticate(bearer(KEY), '/mcp');
    if (!('kind' in principal)) throw new Error('refused');
    expect(stage.auth.isFresh(principal)).toBe(true);
    stage.pass(DAY - 1);
    expect(stage.auth.authenticate(bearer(KEY), '/mcp')).toBe(principal);
    stage.pass(1);
    expect(stage.auth.authenticate(bearer(KEY), '/mcp')).toEqual({ ...wrong('expired'), named: true });
    expect([stage.auth.isFresh(principal), stage.auth.current(principal) !== undefined]).toEqual([
      false,
      true,
    ]);
  });

  it('are withdrawn by a reload without them, or with another hash, and not by a second one', () => {
    const stage = authenticator({ keys: [ci(), keyConfig({ name: 'b', sha256: [hashApiKey(OTHER)] })] });
    const principal = stage.auth.authenticate(bearer(KEY), '/mcp');
    const other = stage.auth.authenticate(bearer(OTHER), '/mcp');
    if (!('kind' in principal) || !('kind' in other)) throw new Error('refused');
    const b = keyConfig({ name: 'b', sha256: [hashApiKey(OTHER)] });
    const accepts = (keys: ReturnType<typeof ci>[]) => {
      const { auth } = stage.reload({ keys, keys_file: '/keys.yaml' });
      return [auth.current(principal) !== undefined, auth.current(other) !== undefined];
    };
    expect(accepts([ci({ sha256: [hashApiKey(createApiKey()), hashApiKey(KEY)] }), b])).toEqual([true, true]);
    expect(accepts([ci({ sha256: [hashApiKey(createApiKey())] }), b])).toEqual([false, true]);
    expect(accepts([ci({ disabled: true }), b])).toEqual([false, true]);
    expect(accepts([ci({ name: 'renamed' }), b])).toEqual([false, true]);
    expect(accepts([])).toEqual([false, false]);
    expect(stage.reload({ mode: 'none' }).auth.current(principal)).toBeUndefined();
    expect(stage.reload({ tokens: ['x'] }).auth.current(principal)).toBeUndefined();
  });

  it('that are disabled are unknown, and a keys_file without keys still checks for them', () => {
    const off = authenticator({ keys: [ci({ disabled: true })] });
    expect(off.auth.authenticate(bearer(KEY), '/mcp')).toEqual(wrong('unknown_key'));
    const empty = authenticator({ keys_file: '/keys.yaml' });
    expect(empty.auth.authenticate(bearer(KEY), '/mcp')).toEqual(wrong('unknown_key'));
  });

  it('leave no register and no metadata, and the step-up is the bare challenge', () => {
    const { auth } = authenticator({ keys: [ci()] });
    expect(auth.discovery.oauth).toBe('off');
    expect(auth.discovery.metadata(shown(), '/.well-known/oauth-protected-resource/mcp')).toBeUndefined();
    expect(auth.stepUp(shown(), '/mcp', ['a'])).toBe('Bearer');
  });
});

describe('without any of the new keys', () => {
  it('wrong tokens are refused without end, and not logged', () => {
    const { auth, lines } = authenticator({ tokens: ['contract', KEY] });
    for (let i = 0; i < 50; i++)
      expect(auth.authenticate(bearer('wrong'), '/mcp')).toEqual(wrong('wrong_token'));
    expect(lines).toEqual([]);
    expect(auth.authenticate(bearer(KEY), '/mcp')).toMatchObject({ id: 'bearer' });
  });
});
