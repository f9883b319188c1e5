import { describe, expect, it } from 'vitest';
import { alternativeName, clientOf, network } from '../../../src/auth/peer.js';
import type { ClientCertificate, Shown } from '../../../src/protocol/principal.js';
import { authenticator, shown } from '../../helpers/authenticator.js';

const proxy = {
  addresses: ['10.1.0.0/16', '2001:db8:1::/48'],
  user: 'x-forwarded-user',
  groups: 'x-forwarded-groups',
};
const PROXY = { remoteAddress: '10.1.2.3' };
const refused = (reason: string) => ({ status: 401, challenge: 'Bearer', reason });

describe('a user that a proxy names', () => {
  const { auth } = authenticator({ proxy });
  const ask = (headers: Record<string, string | string[]>, socket: Shown['socket'] = PROXY) =>
    auth.authenticate(shown(headers, socket), '/mcp');

  it('is admitted from a listed address, with groups, and keeps its principal', () => {
    const alice = ask({ 'X-Forwarded-User': 'alice', 'X-Forwarded-Groups': 'dev, ops,' });
    expect(alice).toMatchObject({ id: 'proxy:alice', kind: 'proxy', name: 'alice', groups: ['dev', 'ops'] });
    expect(ask({ 'X-Forwarded-User': 'alice', 'X-Forwarded-Groups': 'dev, ops,' })).toBe(alice);
    expect(ask({ 'X-Forwarded-User': 'alice' }, { remoteAddress: '::ffff:10.1.9.9' })).toMatchObject({
      groups: [],
    });
    expect(ask({ 'X-Forwarded-User': 'bob' }, { remoteAddress: '2001:db8:1:2::5' })).toMatchObject({
      id: 'proxy:bob',
    });
  });

  it.each(['10.2.0.1', '192.0.2.1', '::1', '::ffff:10.2.0.1', '2001:db8:2::1', undefined, 'nonsense'])(
    'is ignored from %s',
    (remoteAddress) => {
      expect(ask({ 'X-Forwarded-User': 'alice' }, { remoteAddress })).toEqual(refused('missing_header'));
      expect(ask({ 'X-Forwarded-User': ['alice', 'bob'] }, { remoteAddress })).toEqual(
        refused('missing_header'),
      );
    },
  );

  it.each([
    ['the user twice', { 'X-Forwarded-User': ['alice', 'alice'] }],
    ['the user twice, in another case', { 'X-Forwarded-User': 'mallory', 'x-forwarded-USER': 'alice' }],
    ['the groups twice', { 'X-Forwarded-User': 'alice', 'X-Forwarded-Groups': ['dev', 'ops'] }],
    ['too many groups', { 'X-Forwarded-User': 'alice', 'X-Forwarded-Groups': 'g,'.repeat(201) }],
    ['a long name', { 'X-Forwarded-User': 'a'.repeat(257) }],
    ['bytes that are not UTF-8', { 'X-Forwarded-User': 'al\u00ffce' }],
    ['a control character', { 'X-Forwarded-User': 'alice\u0085' }],
  ])('%s is bad_proxy', (_what, headers) => {
    expect(ask(headers)).toEqual(refused('bad_proxy'));
  });

  it('is not there if the header is empty, and does not count beside a credential', () => {
    expect(ask({ 'X-Forwarded-User': '' })).toEqual(refused('missing_header'));
    expect(ask({ 'X-Forwarded-User': 'alice', Authorization: 'Bearer wrong' })).toEqual(
      refused('wrong_token'),
    );
  });

  it('is read as UTF-8', () => {
    const latin = Buffer.from('Zoë').toString('latin1');
    expect(ask({ 'X-Forwarded-User': latin })).toMatchObject({ id: 'proxy:Zoë' });
  });

  it('is withdrawn with the proxy, or with its address', () => {
    const alice = ask({ 'X-Forwarded-User': 'alice' });
    if (!('kind' in alice)) throw new Error('refused');
    expect(authenticator({ proxy }).auth.current(alice)).toBeDefined();
    const elsewhere = { ...proxy, addresses: ['10.1.9.0/24'] };
    expect(authenticator({ proxy: elsewhere }).auth.current(alice)).toBeUndefined();
    expect(authenticator({ proxy: { ...proxy, user: undefined } }).auth.current(alice)).toBeUndefined();
    expect(authenticator({ keys_file: '/k' }).auth.current(alice)).toBeUndefined();
  });

  it('needs addresses that can be read', () => {
    for (const address of ['10.1.0.0/33', 'example.org', '10.1.0.0/8/8', '::/129', '1.2.3.4/x'])
      expect(() => authenticator({ proxy: { ...proxy, addresses: [address] } })).toThrow(`'${address}'`);
  });
});

describe('the client of X-Forwarded-For', () => {
  const listed = (address: string) => address.startsWith('10.');
  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['1.1.1.1, 203.0.113.9', '203.0.113.9'],
    ['1.1.1.1,203.0.113.9,10.2.2.2 , 10.3.3.3', '203.0.113.9'],
    ['203.0.113.9:4711', '203.0.113.9'],
    ['[2001:db8::1]:4711', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['10.2.2.2, 10.3.3.3', '10.2.2.2'],
    ['203.0.113.9, unknown', '10.9.9.9'],
    ['203.0.113.9, nonsense, 10.3.3.3', '10.3.3.3'],
    ['', '10.9.9.9'],
    [',', '10.9.9.9'],
    [`203.0.113.9${', 10.3.3.3'.repeat(100)}`, '10.3.3.3'],
  ])('%s', (header, client) => {
    expect(clientOf(header, '10.9.9.9', listed)).toBe(client);
  });

  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['2001:DB8::1', '2001:db8:0:0::/64'],
    ['2001:db8:0:0:1:2:3:4', '2001:db8:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['nonsense', 'nonsense'],
  ])('%s counts as %s', (address, group) => {
    expect(network(address)).toBe(group);
  });
});

describe('the names in a certificate', () => {
  it.each([
    ['URI:spiffe://a/b, DNS:c', 'URI', 'spiffe://a/b'],
    ['URI:spiffe://a/b, DNS:c', 'DNS', 'c'],
    ['DNS:"c, URI:spiffe://evil", URI:spiffe://a', 'URI', 'spiffe://a'],
    ['DNS:"c\\", URI:spiffe://evil", URI:spiffe://a', 'URI', 'spiffe://a'],
    ['email:a@b.example, email:c@d.example', 'email', 'a@b.example'],
    ['IP Address:10.0.0.1, DNS:c', 'DNS', 'c'],
    ['DNS:c', 'URI', undefined],
    ['', 'URI', undefined],
    ['DNS:"unclosed, URI:spiffe://evil', 'URI', undefined],
    ['DNS:"bad \\x", URI:spiffe://evil', 'URI', undefined],
    ['DNS:"c"URI:spiffe://evil', 'URI', undefined],
  ] as const)('%s: %s', (text, type, name) => {
    expect(alternativeName(text, type)).toBe(name);
  });

  const certificate: ClientCertificate = {
    subject: { CN: 'robot' },
    subjectaltname: 'URI:spiffe://corp/robot, DNS:robot.example',
    fingerprint256: 'AA:BB',
    valid_to: 'Nov  2 00:00:00 2026 GMT',
  };
  const over = (
    more: Partial<Shown['socket']> = {},
    named: ClientCertificate = certificate,
  ): Shown['socket'] => ({
    remoteAddress: '192.0.2.7',
    authorized: true,
    getPeerCertificate: () => named,
    ...more,
  });
  const config = (id: 'san_uri' | 'san_email' | 'san_dns' | 'cn') => ({
    client_cert: { id, groups: ['robots'] },
  });
  const options = { clientAuthorities: 'PEM' };

  it.each([
    ['san_uri', 'spiffe://corp/robot'],
    ['san_dns', 'robot.example'],
    ['cn', 'robot'],
  ] as const)('%s becomes the id', (id, name) => {
    const { auth } = authenticator(config(id), options);
    const socket = over();
    const principal = auth.authenticate(shown({}, socket), '/mcp');
    expect(principal).toMatchObject({
      id: `cert:${name}`,
      kind: 'cert',
      groups: ['robots'],
      expires: Date.UTC(2026, 10, 2),
    });
    expect(auth.authenticate(shown({}, socket), '/mcp')).toBe(principal);
  });

  it('are refused without the name that is asked for, or with one that cannot be an id', () => {
    const { auth } = authenticator(config('san_email'), options);
    expect(auth.authenticate(shown({}, over()), '/mcp')).toEqual(refused('bad_format'));
    const cn = authenticator(config('cn'), options);
    for (const CN of ['', 'a\nb', 'x'.repeat(300)])
      expect(cn.auth.authenticate(shown({}, over({}, { ...certificate, subject: { CN } })), '/mcp')).toEqual(
        refused('bad_format'),
      );
  });

  it('do not count if the certificate is not verified, there is none, or it expired since the handshake', () => {
    const stage = authenticator(config('cn'), options);
    const ask = (socket: Shown['socket']) => stage.auth.authenticate(shown({}, socket), '/mcp');
    expect(ask(over({ authorized: false }))).toEqual(refused('missing_header'));
    expect(ask(over({}, {}))).toEqual(refused('missing_header'));
    const socket = over();
    expect(ask(socket)).toMatchObject({ id: 'cert:robot' });
    stage.pass(86_400_000);
    expect(ask(socket)).toEqual({ ...refused('expired'), named: true });
  });

  it('do not make up for a wrong token', () => {
    const { auth } = authenticator({ ...config('cn'), tokens: ['right'] }, options);
    const wrong = shown({ Authorization: 'Bearer wrong' }, over());
    expect(auth.authenticate(wrong, '/mcp')).toEqual(refused('wrong_token'));
  });

  it('are withdrawn with the CA or with client_cert', () => {
    const stage = authenticator(config('cn'), options);
    const robot = stage.auth.authenticate(shown({}, over()), '/mcp');
    if (!('kind' in robot)) throw new Error('refused');
    expect(stage.auth.current(robot)).toBeDefined();
    expect(authenticator(config('cn'), { clientAuthorities: 'another' }).auth.current(robot)).toBeUndefined();
    expect(authenticator(config('cn')).auth.current(robot)).toBeUndefined();
    expect(authenticator({ keys_file: '/k' }, options).auth.current(robot)).toBeUndefined();
  });
});
