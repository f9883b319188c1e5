import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../../../src/config/index.js';
import { tempDir } from '../../helpers/cli.js';
import { http, load, problems, resolve, stdio, wrong } from './helpers.js';

const URL_ = 'http://127.0.0.1:3000/mcp';

describe('a variable', () => {
  const env = { NAME: 'value', EMPTY: '', DOLLAR: 'a${NAME}b' };
  it.each([
    ['${NAME}', 'value'],
    ['a ${NAME} b ${NAME}', 'a value b value'],
    ['${env:NAME}', 'value'],
    ['${NAME:-other}', 'value'],
    ['${UNSET:-other}', 'other'],
    ['${EMPTY:-other}', 'other'],
    ['x${UNSET:-}y', 'xy'],
    ['${env:UNSET:-other}', 'other'],
    ['${UNSET:-${NAME}!}', 'value!'],
    ['$$', '$'],
    ['$${NAME}', '${NAME}'],
    ['$NAME $ 5$', '$NAME $ 5$'],
    ['${DOLLAR}', 'a${NAME}b'],
  ])('%s becomes %s', (written, value) => {
    expect(stdio({ args: [written] }, env).args).toEqual([value]);
  });

  it.each([
    ['${UNSET}', 'environment variable UNSET is not set'],
    ['${EMPTY}', 'environment variable EMPTY is empty'],
    ['${a b}', "'${a b}' is not understood; write $$ for a literal dollar"],
    ['${nope:token}', "'${nope:token}' is not understood"],
    ['${x%.*}', "'${x%.*}' is not understood"],
    ['${NAME', "'${' without '}'"],
    ['${file:/nowhere/x}', 'secret file /nowhere/x: no such file'],
    ['${UNSET:-${ALSO}}', 'environment variable ALSO is not set'],
  ])('%s is missing: %s', (written, why) => {
    expect(stdio({ args: [written] }, env).problem).toContain(`args.0: ${why}`);
  });

  it('is expanded wherever a string may hold a secret or an address', () => {
    const values = { A: 'aaa', P: '81' };
    expect(
      http({ url: 'http://${A}:${P}/mcp', headers: { H: 'Bearer ${A}' }, proxy: 'http://${A}:3128' }, values),
    ).toMatchObject({ url: 'http://aaa:81/mcp', headers: { H: 'Bearer aaa' }, proxy: 'http://aaa:3128' });
    expect(
      stdio({ command: '${A}', args: ['--${A}'], env: { K: '${A}' }, cwd: '/${A}' }, values),
    ).toMatchObject({
      command: 'aaa',
      args: ['--aaa'],
      env: { K: 'aaa' },
      cwd: '/aaa',
    });
    const config = resolve(
      {
        host: '${HOST}',
        http: { public_url: 'https://${A}', allowed_hosts: ['${A}:1'], allowed_origins: ['https://${A}'] },
      },
      { ...values, HOST: '::1' },
    );
    expect(config).toMatchObject({
      host: '::1',
      http: { public_url: 'https://aaa', allowed_hosts: ['aaa:1'], allowed_origins: ['https://aaa'] },
    });
  });

  it('that is unset in the keys of a server stops that server alone and names itself and its line', async () => {
    const { config, warnings } = await load(`servers:
  - name: bad
    url: http://h/
    headers:
      X-A: \${UNSET_A}
      X-B: \${UNSET_B}
  - name: good
    url: http://h/
`);
    const [bad, good] = config.servers;
    expect(bad?.problem).toMatch(
      /^headers\.X-A: environment variable UNSET_A is not set \(.*config\.yaml:5\); headers\.X-B: .*UNSET_B.*config\.yaml:6\)$/,
    );
    expect(good).not.toHaveProperty('problem');
    expect(warnings).toEqual([
      expect.stringMatching(
        /config\.yaml:5:7: servers\[0\]\.headers\.X-A: server 'bad' cannot start: .* UNSET_A is not set$/,
      ),
      expect.stringMatching(
        /config\.yaml:6:7: servers\[0\]\.headers\.X-B: server 'bad' cannot start: .* UNSET_B is not set$/,
      ),
    ]);
  });

  it('that is unset elsewhere is a problem of the file', async () => {
    expect(await problems('host: ${UNSET}\nhttp: {public_url: "https://${ALSO}"}\n')).toEqual([
      'config.yaml:1:7: host: environment variable UNSET is not set',
      'config.yaml:2:20: http.public_url: environment variable ALSO is not set',
    ]);
  });

  it('with an unusable value stops its server alone, and the value is not shown', () => {
    const env = { BAD: 'not a url', LINES: 'sec\r\nret' };
    const url = http({ url: '${BAD}' }, env);
    expect(url.problem).toBe('url: is not a URL');
    const header = http({ headers: { A: '${LINES}' } }, env);
    expect(header.problem).toBe('headers.A: is not a header value');
    expect(http({ auth: { type: 'bearer', token_env: 'LINES' } }, env).problem).toBe(
      'auth: the token has characters that a header cannot carry',
    );
  });
});

describe('a secret file', () => {
  it('is read without its last newline, relative to the folder of the config', async () => {
    const { config } = await load(
      `servers:
  - name: x
    url: ${URL_}
    auth: {type: bearer, token_file: token}
    headers: {X-A: 'a \${file:a} b'}
`,
      {},
      { token: 's3cret\n', a: 'x\r\n' },
    );
    expect(config.servers[0]).toMatchObject({
      auth: { type: 'bearer', token: 's3cret' },
      headers: { 'X-A': 'a x b' },
    });
  });

  it('that is missing or empty stops its server alone', async () => {
    const { config } = await load(
      `servers:
  - {name: a, url: '${URL_}', auth: {type: bearer, token_file: nope}}
  - {name: b, url: '${URL_}', auth: {type: bearer, token_file: empty}}
  - {name: c, url: '${URL_}', tls: {ca_file: nope.pem}}
  - {name: d, url: '${URL_}'}
`,
      {},
      { empty: '\n' },
    );
    const [a, b, c, d] = config.servers.map(({ problem }) => problem);
    expect(a).toMatch(/^auth\.token_file: secret file nope: no such file \(.*:2\)$/);
    expect(b).toMatch(/^auth\.token_file: secret file empty is empty/);
    expect(c).toMatch(/^tls\.ca_file: file .*nope\.pem: no such file/);
    expect(d).toBeUndefined();
  });
});

describe('the token for an upstream', () => {
  it('comes from the variable that token_env names', () => {
    const auth = { type: 'bearer', token_env: 'T' };
    expect(http({ auth }, { T: 'tok' }).auth).toEqual({ type: 'bearer', token: 'tok' });
    expect(http({ auth }, {}).problem).toBe('auth.token_env: environment variable T is not set');
    expect(http({ auth }, { T: '' }).problem).toBe('auth.token_env: environment variable T is empty');
  });

  it('is not needed for auth: none and auth: {type: none}', () => {
    expect(http({ auth: 'none' }).auth).toEqual({ type: 'none' });
    expect(http({ auth: { type: 'none' } }).auth).toEqual({ type: 'none' });
  });

  it.each([
    [{ token: 's3cret' }, 'upstream auth token field is not allowed; use token_env'],
    [{ type: 'bearer', token: 's3cret' }, 'upstream auth token field is not allowed; use token_env'],
    [{ type: 'bearer' }, "bearer auth for server 'x' requires token_env"],
    ['bearer', "bearer auth for server 'x' requires token_env"],
    ['basic', 'servers[0].auth.type must be auto or none or bearer or oauth'],
    [{ type: 'bearer', token_env: 'A', token_file: 'b' }, 'has both token_env and token_file'],
    [{ token_env: 'A' }, 'has a token but is not of type bearer'],
    [5, 'servers[0].auth must be a mapping of keys to values'],
  ])('is refused as %j', (auth, expected) => {
    const message = wrong({ url: URL_, auth });
    expect(message).toContain(expected);
    expect(message).not.toContain('s3cret');
  });
});

describe('the token of clients', () => {
  const bearer = { mcp: { auth: { mode: 'bearer' } } };

  it('comes from MCPSTEAD_BEARER_TOKEN', () => {
    expect(resolve(bearer, { MCPSTEAD_BEARER_TOKEN: 'abc' }).mcp.auth.tokens).toEqual(['abc']);
  });

  it('must be there under mode bearer', () => {
    expect(() => resolve(bearer)).toThrow('MCPSTEAD_BEARER_TOKEN is required when mcp.auth.mode=bearer');
    expect(() => resolve(bearer, { MCPSTEAD_BEARER_TOKEN: '' })).toThrow('MCPSTEAD_BEARER_TOKEN is required');
  });

  it('comes from MCPSTEAD_BEARER_TOKEN_FILE, several, one a line', async () => {
    const path = join(await tempDir(), 'tokens');
    await writeFile(path, 'new\r\n\n  old  \nnew\n');
    const env = { MCPSTEAD_BEARER_TOKEN_FILE: path };
    expect(resolve(bearer, env).mcp.auth.tokens).toEqual(['new', 'old']);
    const { config, warnings } = resolveConfig(bearer, { ...env, MCPSTEAD_BEARER_TOKEN: 'other' });
    expect(config.mcp.auth.tokens).toEqual(['new', 'old']);
    expect(warnings).toContainEqual(expect.stringContaining('MCPSTEAD_BEARER_TOKEN is ignored'));
    await writeFile(path, '\n\n');
    expect(() => resolve(bearer, env)).toThrow('MCPSTEAD_BEARER_TOKEN_FILE: secret file');
    expect(() => resolve(bearer, { MCPSTEAD_BEARER_TOKEN_FILE: '/nowhere' })).toThrow(
      'MCPSTEAD_BEARER_TOKEN_FILE: secret file /nowhere: no such file (one token a line)',
    );
  });

  it('without mode bearer is a warning', () => {
    const { config, warnings } = resolveConfig({ servers: [] }, { MCPSTEAD_BEARER_TOKEN: 'abc' });
    expect(config.mcp.auth).toMatchObject({ mode: 'none', tokens: [] });
    expect(warnings).toEqual([expect.stringContaining('requests are not checked')]);
  });
});

describe('the key of the state that clients carry', () => {
  const bytes = Buffer.from('0123456789abcdef0123456789abcde\u00ff', 'latin1');
  const key = bytes.toString('base64url');

  it('comes from MCPSTEAD_STATE_KEY, with or without padding', () => {
    expect(resolve({}, { MCPSTEAD_STATE_KEY: key }).mcp.state_key).toEqual(bytes);
    expect(resolve({}, { MCPSTEAD_STATE_KEY: `${key}=` }).mcp.state_key).toEqual(bytes);
    expect(resolve({}, { MCPSTEAD_STATE_KEY: '' }).mcp.state_key).toBeUndefined();
    expect(resolve({}).mcp.state_key).toBeUndefined();
  });

  it('comes from MCPSTEAD_STATE_KEY_FILE, which wins, with a warning', async () => {
    const path = join(await tempDir(), 'key');
    await writeFile(path, `${key}\n`);
    const env = { MCPSTEAD_STATE_KEY_FILE: path };
    expect(resolve({}, env).mcp.state_key).toEqual(bytes);
    const { config, warnings } = resolveConfig({ servers: [] }, { ...env, MCPSTEAD_STATE_KEY: 'other' });
    expect(config.mcp.state_key).toEqual(bytes);
    expect(warnings).toEqual([
      'MCPSTEAD_STATE_KEY is ignored: MCPSTEAD_STATE_KEY_FILE is used (unset one of them)',
    ]);
    await writeFile(path, '\n');
    expect(() => resolve({}, env)).toThrow(`MCPSTEAD_STATE_KEY_FILE: secret file ${path} is empty`);
  });

  it.each([
    ['too short', key.slice(0, 42)],
    ['too long', `${key}AAAA`],
    ['in the other alphabet', Buffer.alloc(32, 0xff).toString('base64')],
    ['no Base64', 'my secret words, which are no key at all!!!'],
    ['bytes with a rest', `${key.slice(0, 42)}9`],
  ])('that is %s is refused, and not shown', (_, text) => {
    let message = '';
    try {
      resolve({}, { MCPSTEAD_STATE_KEY: text });
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(/^MCPSTEAD_STATE_KEY must be 32 bytes in base64url \(as from: node -p /);
    expect(message).not.toContain(text.slice(0, 12));
  });
});
