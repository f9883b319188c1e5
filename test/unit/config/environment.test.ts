import { describe, expect, it } from 'vitest';
import { isLoopback } from '../../../src/config/index.js';
import {
  childEnvironment,
  INHERITED,
  INHERITED_WINDOWS,
  proxyFromEnvironment,
} from '../../../src/config/environment.js';
import { listenAddress } from '../../../src/config/listen.js';
import { tempFile } from '../../helpers/cli.js';
import { http } from './helpers.js';

describe('the environment of a child', () => {
  it('is pinned: these variables, LC_* and no others', () => {
    expect(INHERITED).toEqual([
      'HOME',
      'LOGNAME',
      'PATH',
      'SHELL',
      'TERM',
      'USER',
      'LANG',
      'TZ',
      'TMPDIR',
      'HTTP_PROXY',
      'HTTPS_PROXY',
      'NO_PROXY',
      'http_proxy',
      'https_proxy',
      'no_proxy',
      'SSL_CERT_FILE',
      'SSL_CERT_DIR',
      'NODE_EXTRA_CA_CERTS',
    ]);
    const names = [
      ...INHERITED,
      ...INHERITED_WINDOWS,
      'LC_ALL',
      'LC_TIME',
      'AWS_SECRET_ACCESS_KEY',
      'NODE_OPTIONS',
    ];
    const env = Object.fromEntries([...names, 'MCPSTEAD_BEARER_TOKEN'].map((name) => [name, 'x']));
    const child = childEnvironment(env, [], {}, 'linux');
    expect(Object.keys(child).sort()).toEqual([...INHERITED, 'LC_ALL', 'LC_TIME'].sort());
  });

  it('has what Windows programs need, there alone', () => {
    expect(childEnvironment({ SYSTEMROOT: 'C:\\Windows' }, [], {}, 'win32')).toEqual({
      SYSTEMROOT: 'C:\\Windows',
    });
    expect(childEnvironment({ SYSTEMROOT: 'C:\\Windows' }, [], {}, 'linux')).toEqual({});
  });

  it('takes what inherit_env names, and the own variables win', () => {
    expect(
      childEnvironment({ A: '1', B: '2', PATH: 'p' }, ['A', 'C'], { PATH: 'q', D: '' }, 'linux'),
    ).toEqual({
      A: '1',
      PATH: 'q',
      D: '',
    });
  });
});

describe('the proxy', () => {
  const env = { HTTP_PROXY: 'http://upper:1', https_proxy: 'http://lower:2', HTTPS_PROXY: 'http://upper:2' };

  it('is http_proxy for http and https_proxy for https, the lower case first', () => {
    expect(proxyFromEnvironment(new URL('http://h/'), env)).toBe('http://upper:1');
    expect(proxyFromEnvironment(new URL('https://h/'), env)).toBe('http://lower:2');
    expect(proxyFromEnvironment(new URL('https://h/'), { HTTP_PROXY: 'http://p' })).toBeUndefined();
  });

  it('is asked for loopback as well, unless NO_PROXY says otherwise', () => {
    expect(proxyFromEnvironment(new URL('http://127.0.0.1:3000/'), env)).toBe('http://upper:1');
    expect(
      proxyFromEnvironment(new URL('http://127.0.0.1:3000/'), { ...env, NO_PROXY: '127.0.0.1' }),
    ).toBeUndefined();
  });

  it.each([
    ['*', 'h', true],
    ['h.example', 'h.example', true],
    ['example', 'h.example', true],
    ['.example', 'h.example', true],
    ['*.example', 'h.example', true],
    ['example', 'hexample', false],
    ['H.EXAMPLE', 'h.example', true],
    ['a, b,h.example', 'h.example', true],
    ['a b h.example', 'h.example', true],
    ['h.example:3000', 'h.example', true],
    ['h.example:3001', 'h.example', false],
    ['10.0.0.0/8', '10.1.2.3', true],
    ['10.0.0.0/8', '11.1.2.3', false],
    ['10.0.0.0/99', '10.1.2.3', false],
    ['[::1]', '[::1]', true],
    ['::1', '[::1]', true],
    ['[::1]:3000', '[::1]', true],
    ['fd00::/8', '[fd12::1]', true],
    ['', 'h', false],
  ])('NO_PROXY=%s and %s', (list, host, exempt) => {
    for (const name of ['NO_PROXY', 'no_proxy']) {
      const proxy = proxyFromEnvironment(new URL(`http://${host}:3000/`), { ...env, [name]: list });
      expect(proxy === undefined).toBe(exempt);
    }
  });

  it('of one server may be none or its own', () => {
    expect(http({}, env).proxy).toBe('http://upper:1');
    expect(http({ proxy: 'none' }, env).proxy).toBeUndefined();
    expect(http({ proxy: 'https://own:1' }, { ...env, NO_PROXY: '*' }).proxy).toBe('https://own:1');
    expect(http({}, { HTTP_PROXY: 'proxy:3128' }).proxy).toBe('http://proxy:3128');
    expect(http({}, { HTTP_PROXY: 'socks5://u:secret@p:1' }).problem).toBe(
      'proxy: HTTP_PROXY is not the URL of an http proxy; fix it or set proxy: none',
    );
  });
});

describe('loopback', () => {
  it.each([
    '127.0.0.1',
    '127.255.0.9',
    '::1',
    '[::1]',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    'localhost',
    'LOCALHOST',
  ])('is %s', (host) => {
    expect(isLoopback(host)).toBe(true);
  });
  it.each([
    '0.0.0.0',
    '::',
    '128.0.0.1',
    '::ffff:10.0.0.1',
    'localhost.example',
    'h',
    '',
    '127.0.0.1.nip.io',
  ])('is not %s', (host) => {
    expect(isLoopback(host)).toBe(false);
  });
});

describe('the address for a health check', () => {
  const plain = { tls: false, clientCert: false };

  it('is that of the config, whatever else is wrong with it', async () => {
    const path = await tempFile('c.yaml', 'host: "${H:-::1}"\nport: 9000\nservers: 5\n');
    expect(listenAddress(path, {})).toEqual({ host: '::1', port: 9000, ...plain });
    expect(listenAddress(path, { MCPSTEAD_HOST: '0.0.0.0', MCPSTEAD_PORT: '1' })).toEqual({
      host: '0.0.0.0',
      port: 1,
      ...plain,
    });
  });

  it('speaks TLS if the port does, and is that for operators if there is one', async () => {
    const tls = 'http: {tls: {cert_file: a, key_file: b, client_cert: required}}\n';
    const secured = { tls: true, clientCert: true };
    const main = await tempFile('c.yaml', `port: 9000\n${tls}`);
    expect(listenAddress(main, {})).toEqual({ host: '127.0.0.1', port: 9000, ...secured });
    const admin = await tempFile('c.yaml', `port: 9000\nadmin: {port: 9001}\n${tls}`);
    expect(listenAddress(admin, {})).toEqual({ host: '127.0.0.1', port: 9001, ...plain });
    const open = await tempFile('c.yaml', `admin: {port: 9001, host: "::"}\n${tls}`);
    expect(listenAddress(open, {})).toEqual({ host: '::', port: 9001, ...secured });
    // Its number is not known.
    const any = await tempFile('c.yaml', 'port: 9000\nadmin: {port: 0}\n');
    expect(listenAddress(any, {})).toEqual({ host: '127.0.0.1', port: 9000, ...plain });
  });

  it('says why a file could not be read', async () => {
    const said: string[] = [];
    const broken = await tempFile('c.json', '{');
    for (const path of ['/nowhere', broken]) listenAddress(path, {}, (why) => said.push(why));
    expect(said).toEqual([
      "cannot read config '/nowhere': no such file",
      expect.stringContaining(`${broken}:1:2: not valid JSON`),
    ]);
  });

  it('is the default where there is none to be had', async () => {
    const fallback = { host: '127.0.0.1', port: 8766, ...plain };
    expect(listenAddress(undefined, {})).toEqual(fallback);
    expect(listenAddress('/nowhere', {})).toEqual(fallback);
    expect(listenAddress(await tempFile('c.yaml', ': ['), {})).toEqual(fallback);
    expect(listenAddress(await tempFile('c.yaml', 'host: [1]\nport: x'), {})).toEqual(fallback);
  });
});
