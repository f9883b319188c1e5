import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import { ConfigError, diffConfig, loadConfig } from '../../../src/config/index.js';
import { keepFixed } from '../../../src/config/diff.js';
import { checkFleet, hasReusePort, readStore } from '../../../src/config/fleet.js';
import { maskText } from '../../../src/config/masked-text.js';
import { Findings, noSource } from '../../../src/config/problems.js';
import { secretsIn, shownConfig } from '../../../src/config/shown.js';
import type { Config } from '../../../src/config/index.js';
import { tempFile } from '../../helpers/cli.js';
import { load, problems, resolve } from './helpers.js';

const KEY = Buffer.alloc(32, 7).toString('base64url');
const STORE = 'redis://127.0.0.1:6379';
const fleetOf = (fleet: object, env: NodeJS.ProcessEnv = {}): Config['fleet'] =>
  resolve({ servers: [], fleet }, { MCPSTEAD_STATE_KEY: KEY, ...env }).fleet;
const whyNot = (fleet: object, env: NodeJS.ProcessEnv = {}): string => {
  try {
    fleetOf(fleet, env);
    return '';
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
};

describe('the URL of a store', () => {
  it.each([
    ['redis://h', { kind: 'single', tls: false, nodes: [{ host: 'h', port: 6379 }], db: 0 }],
    ['valkey://h:7000/3', { nodes: [{ host: 'h', port: 7000 }], db: 3 }],
    ['REDISS://h/', { kind: 'single', tls: true, db: 0 }],
    ['valkeys://h', { tls: true }],
    ['redis://[::1]:6380', { nodes: [{ host: '::1', port: 6380 }] }],
    ['redis://u:p%40%2F%3A@h', { username: 'u', password: 'p@/:' }],
    ['redis://:p:q@h', { username: undefined, password: 'p:q' }],
    ['redis://p@h', { username: undefined, password: 'p' }],
    ['redis://u:@h', { username: 'u', password: undefined }],
    [
      'redis+sentinel://a,b:1/main/2',
      {
        kind: 'sentinel',
        name: 'main',
        db: 2,
        nodes: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 1 },
        ],
      },
    ],
    ['rediss+sentinel://a/main', { kind: 'sentinel', tls: true, db: 0 }],
    ['redis+cluster://a,b', { kind: 'cluster', nodes: [{ port: 6379 }, { port: 6379 }] }],
    ['rediss+cluster://a/0', { kind: 'cluster', tls: true }],
  ])('%s', (url, parts) => {
    expect(readStore(url)).toMatchObject(parts);
  });

  it.each([
    ['', 'must be a URL with one of the schemes'],
    ['127.0.0.1:6379', 'must be a URL with one of the schemes'],
    ['redis:/h', 'must be a URL with one of the schemes'],
    ['hunter2://h', 'must be a URL with one of the schemes'],
    ['hunter://h', 'has an unknown scheme: known are valkey'],
    ['redis://', 'has a host that is not host or host:port'],
    ['redis://hunter/2@h', 'has a user or a password with one of @ / ? #'],
    ['redis://:hunter?2@h', 'has a user or a password with one of @ / ? #'],
    ['redis://:hunter@2@h', 'has a user or a password with one of @ / ? #'],
    ['redis://:hunter%2@h', 'has a user or a password that is not percent-encoded UTF-8'],
    ['redis://:hunter%FF@h', 'has a user or a password that is not percent-encoded UTF-8'],
    ['redis://:hunter\ud800@h', 'has a user or a password that is not percent-encoded UTF-8'],
    ['redis://h?db=1', 'must not have a query or a fragment'],
    ['redis://h/0#x', 'must not have a query or a fragment'],
    ['redis://h:0', 'has a host that is not host or host:port'],
    ['redis://h:65536', 'has a host that is not host or host:port'],
    ['redis://h:hunter2', 'has a host that is not host or host:port'],
    ['redis://::1', 'has a host that is not host or host:port'],
    ['redis://[::::]:1', 'has a host that is not host or host:port'],
    ['redis://300.1.1.1', 'has a host that is not host or host:port'],
    ['redis+cluster://a,,b', 'has a host that is not host or host:port'],
    ['redis://a,b', 'names several hosts'],
    [`redis+cluster://${'a,'.repeat(64)}b`, 'names more than 64 hosts'],
    ['redis://h/one', 'must end with the number of a database'],
    ['redis://h/1/2', 'must end with the number of a database'],
    ['redis+sentinel://h', 'does not name the service'],
    ['redis+sentinel://h/', 'does not name the service'],
    ['redis+sentinel://h/my%20main', 'has a service name that is not 1 to 128'],
    ['redis+sentinel://h/main/one', 'must end with the number of a database'],
    ['redis+sentinel://h/main/1/2', 'must end with the number of a database'],
    ['redis+cluster://h/1', 'has a database other than 0'],
  ])('%s: %s', (url, why) => {
    const found = readStore(url);
    expect(found).toContain(why);
    expect(found).not.toContain('hunter');
  });

  it('is reported at its place, without what it holds', async () => {
    expect(
      await problems('servers: []\nfleet:\n  store: redis://:hunter2@h/x\n', { MCPSTEAD_STATE_KEY: KEY }),
    ).toEqual([
      'config.yaml:3:3: fleet.store must end with the number of a database, or with nothing (valkey://127.0.0.1:6379)',
    ]);
    expect(whyNot({}, { MCPSTEAD_FLEET_STORE: 'redis://:hunter2@h/x' })).toBe(
      'MCPSTEAD_FLEET_STORE must end with the number of a database, or with nothing (valkey://127.0.0.1:6379)',
    );
  });

  it('may refer to variables; a missing one is the only problem', () => {
    expect(fleetOf({ store: 'redis://:${PASSWORD}@h' }, { PASSWORD: 'hunter2' })?.store).toMatchObject({
      password: 'hunter2',
    });
    expect(whyNot({ store: '${URL}' })).toBe('fleet.store: environment variable URL is not set');
  });

  it('of the environment overrides that of the file; a file that the environment names overrides both', async () => {
    const path = await tempFile('store', 'redis://c\n');
    const host = (env: NodeJS.ProcessEnv): string | undefined =>
      fleetOf({ store: 'redis://a' }, env)?.store.nodes[0]?.host;
    expect(host({})).toBe('a');
    expect(host({ MCPSTEAD_FLEET_STORE: ' redis://b ' })).toBe('b');
    expect(host({ MCPSTEAD_FLEET_STORE: 'redis://b', MCPSTEAD_FLEET_STORE_FILE: path })).toBe('c');
    expect(host({ MCPSTEAD_FLEET_STORE: '' })).toBe('a');
    expect(whyNot({}, { MCPSTEAD_FLEET_STORE_FILE: '/nowhere' })).toMatch(
      /^MCPSTEAD_FLEET_STORE_FILE: secret file \/nowhere/,
    );
  });
});

describe('without a store', () => {
  it('there is no fleet, whatever else is set', () => {
    expect(fleetOf({ name: 'a', listen: { host: '0.0.0.0' } })).toBeUndefined();
  });

  it('a gateway on stdio starts, although the file of the store is missing', async () => {
    const path = await tempFile('config.yaml', `servers: []\nfleet: {store: '${STORE}'}\n`);
    const env = { MCPSTEAD_FLEET_STORE_FILE: '/nowhere' };
    expect(loadConfig(path, env, true).config.fleet).toBeUndefined();
  });
});

describe('a fleet', () => {
  it('needs a state key', () => {
    expect(whyNot({ store: STORE }, { MCPSTEAD_STATE_KEY: '' })).toMatch(
      /^MCPSTEAD_STATE_KEY is required with fleet\.store/,
    );
  });

  it('has defaults: loopback, plain, the name of the host', () => {
    expect(fleetOf({ store: STORE })).toMatchObject({
      prefix: 'mcpstead',
      name: hostname(),
      listen: { host: '127.0.0.1', port: 0, tls: 'off' },
      address: undefined,
    });
  });

  it.each([
    [{ listen: { host: '10.0.0.5' } }, 'psk'],
    [{ listen: { host: 'gateway-1.internal' } }, 'psk'],
    [{ listen: { host: 'localhost' } }, 'off'],
    [{ listen: { host: '::1' } }, 'off'],
    [{ listen: { tls: 'psk' } }, 'psk'],
    [{ listen: { host: '10.0.0.5', tls: 'off' } }, 'off'],
    [{ listen: { host: '0.0.0.0' }, address: '10.0.0.5:8770' }, 'psk'],
    // The loopback port is the end of a port mapping.
    [{ address: '10.0.0.5:8770' }, 'psk'],
    [{ address: '[::1]:8770' }, 'off'],
  ])('%j: %s', (keys, tls) => {
    expect(fleetOf({ store: STORE, ...keys })?.listen.tls).toBe(tls);
  });

  it.each(['0.0.0.0', '::', '[::]', '0:0::0', '::0.0.0.0', '::ffff:0.0.0.0'])(
    'must not tell others the address %s',
    (host) => {
      expect(whyNot({ store: STORE, listen: { host } })).toContain('which other replicas cannot connect to');
      expect(fleetOf({ store: STORE, listen: { host }, address: '10.0.0.5:8770' })?.address).toBe(
        '10.0.0.5:8770',
      );
      const told = host.includes(':') ? `[${host.replace(/[[\]]/g, '')}]:1` : `${host}:1`;
      expect(whyNot({ store: STORE, address: told })).toContain('which other replicas cannot connect to');
    },
  );

  it.each(['10.0.0.5', '10.0.0.5:0', '10.0.0.5:', ':1', 'a b:1', 'http://h:1', '[::1]', '10.0.0.5:65536'])(
    'refuses the address %s',
    (address) => {
      expect(whyNot({ store: STORE, address })).toBe('fleet.address must be host:port (10.0.0.5:8770)');
    },
  );

  it('takes the address of its pod from the environment', () => {
    const keys = { store: STORE, listen: { host: '${POD_IP}', port: 8770 } };
    expect(fleetOf(keys, { POD_IP: '10.1.2.3' })?.listen).toEqual({
      host: '10.1.2.3',
      port: 8770,
      tls: 'psk',
    });
    expect(whyNot(keys)).toBe('fleet.listen.host: environment variable POD_IP is not set');
    expect(whyNot(keys, { POD_IP: 'a b' })).toContain("fleet.listen.host: invalid bind address 'a b'");
  });

  it('has a name that fits on a line', () => {
    expect(fleetOf({ store: STORE, name: '${NAME}' }, { NAME: 'a' })?.name).toBe('a');
    for (const name of ['a\nb', 'a'.repeat(129), 'a\u2028b'])
      expect(whyNot({ store: STORE, name: '${NAME}' }, { NAME: name })).toContain(
        'fleet.name must be 1 to 128',
      );
    expect(whyNot({ store: STORE, prefix: 'a:b' })).toContain('must be 1 to 64 of');
  });
});

describe('a reload', () => {
  const config = (fleet: object): Config => resolve({ servers: [], fleet }, { MCPSTEAD_STATE_KEY: KEY });

  it.each([
    { store: 'redis://other' },
    { store: null },
    { prefix: 'other' },
    { name: 'other' },
    { listen: { port: 1 } },
    { listen: { tls: 'psk' } },
    { address: 'h:1' },
  ])('names the fleet as a whole for %j, and keeps it', (change) => {
    const old = config({ store: STORE });
    const next = config({ store: STORE, ...change });
    expect(diffConfig(old, next).restartRequired).toEqual(['fleet']);
    expect(keepFixed(old, next).fleet).toEqual(old.fleet);
    expect(diffConfig(next, old).restartRequired).toEqual(['fleet']);
    expect(keepFixed(next, old).fleet).toEqual(next.fleet);
  });

  it('says that watch needs a restart, and connects a server again for another placement', () => {
    const of = (rest: object, server: object = {}): Config =>
      resolve({ servers: [{ name: 'x', command: 'node', ...server }], ...rest });
    expect(diffConfig(of({}), of({ watch: true })).restartRequired).toEqual(['watch']);
    expect(diffConfig(of({}), of({}, { placement: 'fleet' })).restarted).toEqual(['x']);
  });
});

describe('what operators see', () => {
  it('is the store without its password, however the file spells it', async () => {
    const text = [
      '# was redis://:p%40ss%2Fword@old',
      'servers: []',
      'fleet:',
      '  store: redis://user:p%40ss%2Fword@h',
      '',
    ].join('\n');
    const { config } = await load(text, { MCPSTEAD_STATE_KEY: KEY });
    const shown = JSON.stringify(shownConfig(config));
    expect(shown).not.toContain('p@ss/word');
    expect(shown).not.toContain(KEY);
    expect(shownConfig(config)['fleet']).toMatchObject({ store: { username: 'user', password: '***' } });
    expect(maskText(text, 'config.yaml', secretsIn(config))).not.toMatch(/word/);
  });
});

describe('http.reuse_port', () => {
  it.each([
    ['linux', '20.19.0', false],
    ['linux', '22.11.0', false],
    ['linux', '22.12.0', true],
    ['linux', '23.0.0', false],
    ['linux', '23.1.0', true],
    ['linux', '24.0.0', true],
    ['darwin', '24.0.0', false],
    ['win32', '24.0.0', false],
  ] as const)('on %s with Node.js %s: %s', (platform, version, known) => {
    expect(hasReusePort(platform, version)).toBe(known);
  });

  it('is refused where it would silently do nothing', () => {
    const config = resolve({ servers: [] });
    const findings = new Findings(noSource);
    checkFleet({ ...config, http: { ...config.http, reuse_port: true } }, findings);
    expect(findings.problems.map(({ message }) => message)).toEqual(
      hasReusePort(process.platform, process.versions.node)
        ? []
        : [expect.stringMatching(/^needs Linux and Node\.js 22\.12 or later/)],
    );
  });
});

describe('placement', () => {
  const placed = (server: object, store: string | null = STORE): string => {
    try {
      resolve({ servers: [{ name: 'x', ...server }], fleet: { store } }, { MCPSTEAD_STATE_KEY: KEY });
      return '';
    } catch (error) {
      if (error instanceof ConfigError) return error.message;
      throw error;
    }
  };

  it('may be on the host for a command alone', () => {
    expect(placed({ command: 'node' })).toBe('');
    expect(placed({ command: 'node', placement: 'host' })).toBe('');
    expect(placed({ url: 'http://127.0.0.1:1/mcp', placement: 'each' })).toBe('');
    expect(placed({ url: 'http://127.0.0.1:1/mcp', placement: 'host' })).toContain('which needs a command');
  });

  it('may be in the fleet for a command that all clients share', () => {
    const fleet = { placement: 'fleet' };
    expect(placed({ command: 'node', ...fleet })).toBe('');
    expect(placed({ command: 'node', ...fleet }, null)).toBe('');
    expect(placed({ url: 'http://127.0.0.1:1/mcp', ...fleet })).toContain('needs a command');
    expect(placed({ command: 'node', session: 'per-client', ...fleet })).toMatch(
      /server 'x' .*placement: fleet.*session: per-client.*placement: each/s,
    );
    const auth = { type: 'key', per: 'user', env: 'TOKEN' };
    expect(placed({ command: 'node', session: 'per-client', auth, ...fleet })).toContain('auth.per: user');
  });
});
