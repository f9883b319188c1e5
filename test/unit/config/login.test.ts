/** `mcp.auth.login`: every mistake in it is an error or a warning with its place and the way out. */
import { describe, expect, it } from 'vitest';
import {
  groupsNamed,
  issuerOfGateway,
  maskText,
  principalPrefix,
  resolveConfig,
  scopesNamed,
  secretsIn,
  shownConfig,
} from '../../../src/config/index.js';
import { loadConfig } from '../../../src/config/load.js';
import { load, problems } from './helpers.js';

interface Written {
  readonly login?: string;
  readonly auth?: string;
  readonly publicUrl?: string;
  readonly state?: string;
}

/** A file with a good `login`, to which `login` and `auth` add members. */
const file = ({ login = '', auth = '', publicUrl = 'https://gw.example', state = '/tmp/s' }: Written = {}) =>
  `servers: []
http: {public_url: ${publicUrl}}
state: {dir: ${state}}
mcp:
  auth:
    ${auth}
    login: {issuer: 'https://id.example/t', client_id: gw${login && `, ${login}`}}
`;
const withIssuer = (issuer: string, more = '') =>
  file().replace("'https://id.example/t'", `'${issuer}'`).replace('client_id: gw', `client_id: gw${more}`);
const login = async (text: string, env = {}, files = {}) =>
  (await load(text, env, files)).config.mcp.auth.login;

describe('login', () => {
  it('has defaults, and means that clients have to authenticate', async () => {
    const { config, warnings } = await load(file());
    expect(warnings).toEqual([]);
    expect(config.mcp.auth.mode).toBe('bearer');
    expect(config.mcp.auth.login).toEqual({
      issuer: 'https://id.example/t',
      client_id: 'gw',
      client_secret: undefined,
      scopes: ['openid', 'email', 'offline_access'],
      params: {},
      claims: { id: 'sub', name: 'preferred_username', groups: 'groups' },
      keep: [],
      allow: [],
      register: ['cimd', 'dcr'],
      redirects: ['*'],
      access_minutes: 10,
      refresh_days: 30,
    });
  });

  it('is off over stdio, and without a value', async () => {
    const { folder } = await load(file());
    expect(loadConfig(`${folder}/config.yaml`, {}, true).config.mcp.auth.login).toBeUndefined();
    const hash = 'a'.repeat(43);
    const { config, warnings } = await load(
      `servers: []\nmcp: {auth: {login: null, keys: [{name: a, sha256: [${hash}]}]}}\n`,
    );
    expect(config.mcp.auth.login).toBeUndefined();
    expect(warnings).toEqual([]);
  });

  it('without a value is warned of if everybody may use the gateway then', async () => {
    expect((await load('servers: []\nmcp: {auth: {login: }}\n')).warnings).toEqual([
      'config.yaml:2:14: mcp.auth.login has no value, and nothing else says who may use the gateway: everybody may (mode: bearer with MCPSTEAD_BEARER_TOKEN or keys, or mode: none if that is meant)',
    ]);
    expect((await load('servers: []\nmcp: {auth: {mode: none, login: }}\n')).warnings).toEqual([]);
  });

  it('is an error beside mode: none, and if it is misspelt', async () => {
    expect(await problems(file({ auth: 'mode: none' }))).toEqual([
      'config.yaml:6:11: mcp.auth.mode is none although keys, issuers, login, client_cert or proxy are configured: they would not be checked (mode: bearer)',
    ]);
    expect((await problems('servers: []\nmcp: {auth: {lgin: {}}}\n'))[0]).toContain(
      'mcp.auth.lgin: unknown key (did you mean login?)',
    );
  });

  it.each(['allow', 'register', 'redirects'])('with %s without a value is an error', async (key) => {
    for (const [value, at] of [
      ['', key],
      ['[null]', `${key}[0]`],
    ] as const)
      expect((await problems(file({ login: `${key}: ${value}` })))[0]).toContain(
        `mcp.auth.login.${at} has no value (write one, or remove the key)`,
      );
    expect(await problems(file({ login: `${key}: []` }))).toEqual([]);
  });

  it('with an entry of allow without a value is an error', async () => {
    expect((await problems(file({ login: 'allow: [{groups: }]' })))[0]).toContain(
      'mcp.auth.login.allow[0].groups has no value',
    );
  });
});

describe('the issuer of login', () => {
  it.each(['https://id.example', 'http://127.0.0.1:9/x', 'http://localhost', 'http://[::1]:1/'])(
    'may be %s',
    async (issuer) => {
      expect(await problems(withIssuer(issuer))).toEqual([]);
    },
  );

  it.each([
    'http://id.example',
    'id.example',
    'https://u@id.example',
    'https://id.example/?a',
    'https://id.example/#a',
    'https://id.example/?',
    'ftp://127.0.0.1',
  ])('cannot be %s', async (issuer) => {
    expect(await problems(withIssuer(issuer))).toEqual([
      'config.yaml:7:21: mcp.auth.login.issuer must be an https URL, or an http one on loopback, without user, query and fragment (the value of `issuer` in its metadata)',
    ]);
  });

  it.each<[string, string, string]>([
    ['https://accounts.google.com', 'accounts.google.com', 'hd: example.com'],
    ['https://accounts.google.com/', 'accounts.google.com', 'hd: example.com'],
    ['https://ACCOUNTS.google.com.', 'accounts.google.com', 'hd: example.com'],
    ...['common', 'organizations', 'consumers', 'Common', '9188040d-6c67-4c5b-b112-36a304b66dad'].map(
      (tenant): [string, string, string] => [
        `https://login.microsoftonline.com/${tenant}/v2.0`,
        'login.microsoftonline.com',
        'tid: 00000000-0000-0000-0000-000000000000',
      ],
    ),
    ['https://login.microsoftonline.com/common', 'login.microsoftonline.com', 'tid: '],
    ['https://gitlab.com', 'gitlab.com', 'email: ada@example.com'],
  ])('%s needs allow', async (issuer, host, example) => {
    const [line = '', ...others] = await problems(withIssuer(issuer));
    expect(others).toEqual([]);
    expect(line).toContain(
      `config.yaml:7:5: mcp.auth.login: anybody with an account at ${host} could sign in: set allow, such as [{claims: {${example}`,
    );
    expect(await problems(withIssuer(issuer, ', allow: [{claims: {hd: example.com}}]'))).toEqual([]);
  });

  it.each([
    'https://login.microsoftonline.com/1b2c/v2.0',
    'https://login.microsoftonline.com/commons/v2.0',
    'https://gitlab.com/group',
    'https://accounts.google.com.example',
  ])('%s does not', async (issuer) => {
    expect(await problems(withIssuer(issuer))).toEqual([]);
  });
});

describe('the claim with the id', () => {
  const twice = (id: string) =>
    `issuers: [{name: corp, issuer: 'https://id.example/t', claims: {id: ${id}}}]`;

  it('is that of the same issuer in issuers', async () => {
    expect(await problems(file({ auth: twice('sub') }))).toEqual([]);
    expect(await problems(file({ auth: twice('oid'), login: 'claims: {id: oid}' }))).toEqual([]);
    expect(await problems(file({ auth: twice('oid'), login: 'claims: {id: sub}' }))).toEqual([
      "config.yaml:7:73: mcp.auth.login.claims.id is 'sub', but 'oid' in the entry 'corp' of mcp.auth.issuers, which is about the same people: ids could be forged (claims: {id: oid} in both)",
    ]);
    // The default is compared, too.
    expect(await problems(file({ auth: twice('oid') }))).toHaveLength(1);
    expect(await problems(file({ auth: twice('oid').replace('/t', '/other') }))).toEqual([]);
  });

  it.each(['email', 'preferred_username', 'upn'])('%s is warned of', async (id) => {
    expect((await load(file({ login: `claims: {id: ${id}}` }))).warnings).toEqual([
      `config.yaml:7:69: mcp.auth.login.claims.id is '${id}', which a person may change, and which may be another person's later (a claim that stays, such as sub; for Entra oid)`,
    ]);
  });
});

describe('redirects', () => {
  it.each([
    '*',
    'loopback',
    'claude.ai',
    '*.example.com',
    'app?.example',
    '127.0.0.1',
    '[2001:db8::1]',
    'localhost',
    'zed:',
    'com.example.app:',
    'vscode-insiders:',
  ])('may name %s', async (entry) => {
    expect(await problems(file({ login: `redirects: ['${entry}']` }))).toEqual([]);
  });

  it.each([
    ...['javascript:', 'data:', 'file:', 'blob:', 'vbscript:', 'about:', 'view-source:', 'ws:', 'wss:'],
    ...['JavaScript:', 'filesystem:'],
  ])('cannot name %s', async (scheme) => {
    expect(await problems(file({ login: `redirects: ['${scheme}', 'ok.example']` }))).toEqual([
      `config.yaml:7:72: mcp.auth.login: redirects[0]: '${scheme.toLowerCase()}' is not allowed`,
    ]);
  });

  it.each(['http:', 'https:'])('cannot name %s as a scheme', async (scheme) => {
    expect((await problems(file({ login: `redirects: [ok.example, '${scheme}']` })))[0]).toContain(
      `mcp.auth.login: redirects[1]: '${scheme}' is not allowed (a host, or loopback)`,
    );
  });

  it.each([
    'https://a.example',
    'a.example/cb',
    'a.example:8443',
    'zed://',
    '1x:',
    'a b',
    '',
    'exämple.com',
    '-a.example',
    'a.example#x',
    'u@a.example',
    'javascript:alert(1)',
    'java\\tscript:',
    '\\u0000',
  ])('cannot be %j', async (entry) => {
    expect((await problems(file({ login: `redirects: ["${entry}"]` })))[0]).toMatch(
      /^config\.yaml:7:72: mcp\.auth\.login: redirects\[0\]: '.*' is not a host, a scheme, loopback or \* \(a host without port and path such as '\*\.example\.com', or a scheme with its colon such as 'zed:'\)$/,
    );
  });

  it('are compared in lower case', async () => {
    expect((await login(file({ login: 'redirects: [Claude.AI, "Zed:"]' })))?.redirects).toEqual([
      'claude.ai',
      'zed:',
    ]);
  });
});

describe('what the identity provider is asked', () => {
  it('has openid among its scopes', async () => {
    expect(await problems(file({ login: 'scopes: [email]' }))).toEqual([
      'config.yaml:7:68: mcp.auth.login.scopes must contain openid: without it there is no ID token (scopes: [openid, email, offline_access])',
    ]);
    expect((await problems(file({ login: 'scopes: [openid, "a b"]' })))[0]).toContain(
      'mcp.auth.login.scopes[1] must be one scope',
    );
  });

  it.each([
    ...['client_id', 'client_secret', 'redirect_uri', 'response_type', 'response_mode', 'state', 'nonce'],
    ...['code_challenge', 'code_challenge_method', 'scope', 'request', 'request_uri', 'STATE'],
  ])('is not changed by params: %s', async (name) => {
    expect(await problems(file({ login: `params: {prompt: consent, ${name}: x}` }))).toEqual([
      `config.yaml:7:86: mcp.auth.login.params.${name} is a parameter that the gateway itself sets (remove it)`,
    ]);
  });
});

describe('login needs', () => {
  const URL_TEXT = 'mcp.auth.login needs http.public_url: https, or http on loopback';

  it.each([
    'null',
    'http://gw.example',
    "'https://gw.example/?a'",
    "'https://gw.example/#'",
    'https://u:p@gw.example',
  ])('http.public_url, not %s', async (publicUrl) => {
    const [line = '', ...others] = await problems(file({ publicUrl }));
    expect(line).toBe(
      `config.yaml:7:5: ${URL_TEXT} (http: {public_url: https://gateway.example.com}, without user, query and fragment)`,
    );
    expect(others).toEqual([]);
  });

  it.each(['https://gw.example/a/b/', 'http://127.0.0.1:8080', 'http://localhost:1'])(
    'http.public_url, such as %s',
    async (publicUrl) => {
      expect(await problems(file({ publicUrl }))).toEqual([]);
    },
  );

  it('one error for a variable in http.public_url that is not set', async () => {
    expect(await problems(file({ publicUrl: "'${UNSET}'" }))).toEqual([
      'config.yaml:2:20: http.public_url: environment variable UNSET is not set',
    ]);
  });

  it('a folder for its state', async () => {
    const text = file().replace(/^state:.*\n/m, '');
    expect(await problems(text)).toEqual([
      'config.yaml:6:5: mcp.auth.login needs a store that lasts: set state.dir (state: {dir: /var/lib/mcpstead})',
    ]);
    expect(await problems(text, { STATE_DIRECTORY: '/var/lib/x' })).toEqual([]);
  });

  it('no folder where the store of a fleet has its state', async () => {
    const text = `${file().replace(/^state:.*\n/m, '')}\nfleet: { store: 'valkey://127.0.0.1' }\n`;
    const key = { MCPSTEAD_STATE_KEY: Buffer.alloc(32, 7).toString('base64url') };
    expect(await problems(text, key)).toEqual([]);
  });

  it('names and issuers that are its own', async () => {
    const issuers = (name: string, issuer: string) =>
      file({ auth: `issuers: [{name: ${name}, issuer: '${issuer}'}]` });
    expect(await problems(issuers('login', 'https://b.example'))).toEqual([
      "config.yaml:6:22: mcp.auth.issuers: the name 'login' is reserved (choose another name)",
    ]);
    expect((await problems(issuers('self', 'https://gw.example')))[0]).toContain(
      'mcp.auth.issuers[0].issuer is http.public_url, which is the issuer of the tokens of mcp.auth.login',
    );
  });
});

describe('the client secret of the gateway', () => {
  const SECRET = 'tops3cret-value';

  it('is read from a file or a variable', async () => {
    const fromFile = await login(file({ login: 'client_secret_file: s' }), {}, { s: `${SECRET}\n` });
    expect(fromFile).toMatchObject({ client_secret: SECRET });
    expect(fromFile).not.toHaveProperty('client_secret_file');
    const fromEnv = await login(file({ login: 'client_secret_env: IDP' }), { IDP: SECRET });
    expect(fromEnv).toMatchObject({ client_secret: SECRET });
    expect(fromEnv).not.toHaveProperty('client_secret_env');
  });

  it('that is missing is an error', async () => {
    expect((await problems(file({ login: 'client_secret_file: gone' })))[0]).toMatch(
      /^config\.yaml:7:80: mcp\.auth\.login\.client_secret_file: secret file gone: no such file/,
    );
    expect((await problems(file({ login: 'client_secret_file: s' }), {}, { s: '' }))[0]).toContain(
      'secret file s is empty',
    );
    const [unset, ...others] = await problems(file({ login: 'client_secret_env: IDP' }));
    expect(unset).toBe(
      'config.yaml:7:79: mcp.auth.login.client_secret_env: environment variable IDP is not set',
    );
    expect(others).toEqual([]);
    expect((await problems(file({ login: 'client_secret_env: IDP' }), { IDP: '' }))[0]).toContain('is empty');
  });

  it('has one source', async () => {
    const text = file({ login: 'client_secret_file: s, client_secret_env: IDP' });
    expect(await problems(text, { IDP: SECRET }, { s: SECRET })).toEqual([
      'config.yaml:7:83: mcp.auth.login.client_secret_env: client_secret_file is there, too: the secret would have two sources (remove one of them)',
    ]);
  });

  it('is masked wherever the configuration is shown', async () => {
    const text = file({ login: 'client_secret_file: s, params: {note: "is tops3cret-value"}' });
    const { config } = await load(text, {}, { s: SECRET });
    expect(secretsIn(config)).toContain(SECRET);
    const shown = shownConfig(config);
    expect(JSON.stringify(shown)).not.toContain(SECRET);
    expect(shown).toMatchObject({ mcp: { auth: { login: { client_id: 'gw', client_secret: '***' } } } });
    const masked = maskText(`${text}# ${SECRET}\n`, 'config.yaml', secretsIn(config));
    expect(masked).not.toContain(SECRET);
    expect(masked).toContain('client_secret_file: s');
    const { config: open } = await load(file());
    expect(JSON.stringify(shownConfig(open))).not.toContain('client_secret');
    // Shorter than what is looked for in texts.
    const { config: short } = await load(text, {}, { s: 'ab' });
    expect(shownConfig(short)).toMatchObject({ mcp: { auth: { login: { client_secret: '***' } } } });
  });

  it('is an error in the file itself, which does not repeat it', async () => {
    const [line = ''] = await problems(file({ login: `client_secret: ${SECRET}` }));
    expect(line).toContain('mcp.auth.login.client_secret: unknown key (did you mean client_secret_');
    expect(line).not.toContain(SECRET);
    expect(maskText(file({ login: `client_secret: ${SECRET}` }), 'config.yaml', [])).not.toContain(SECRET);
  });
});

describe('what the authorization server is told', () => {
  const resolved = (more: object = {}, auth: object = {}) =>
    resolveConfig(
      {
        servers: [],
        http: { public_url: 'https://GW.example:443/pre/' },
        state: { dir: '/tmp/s' },
        mcp: { auth: { login: { issuer: 'https://id.example', client_id: 'gw' }, ...auth } },
        ...more,
      },
      {},
    ).config;

  it('the issuer: http.public_url, normalised as in the resources', () => {
    expect(issuerOfGateway(resolved())).toBe('https://gw.example/pre');
    expect(issuerOfGateway(resolved({ http: { public_url: 'https://gw.example//' } }))).toBe(
      'https://gw.example',
    );
    expect(() => issuerOfGateway(resolveConfig({ servers: [] }, {}).config)).toThrow('needs http.public_url');
  });

  it('the beginning of ids: the name of the same issuer in issuers', () => {
    expect(principalPrefix(resolved().mcp.auth)).toBe('login');
    const named = (issuer: string) =>
      principalPrefix(resolved({}, { issuers: [{ name: 'corp', issuer }] }).mcp.auth);
    expect(named('https://id.example')).toBe('corp');
    expect(named('https://id.example/')).toBe('login');
  });

  it('scopes that mean something', () => {
    const config = resolved(
      { policy: { rules: [{ name: 'r', needs: ['write'], allow: [{}] }] } },
      { scopes: ['read'], implies: { admin: ['read', 'files'] } },
    );
    expect([...scopesNamed(config)].sort()).toEqual(['admin', 'files', 'read', 'write']);
    expect(scopesNamed(resolved()).size).toBe(0);
  });

  it('groups that mean something', () => {
    const rule = (name: string, group: string) => ({ name, who: { groups: [group] }, per_second: 1 });
    const login = { issuer: 'https://id.example', client_id: 'gw', allow: [{ groups: ['a'] }, {}] };
    const config = resolved(
      {
        policy: { rules: [{ name: 'r', who: { groups: ['b', 'team-*'] }, allow: [{}] }] },
        limits: { rules: [rule('l', 'c')] },
      },
      { login, admins: [{ groups: ['d'] }], viewers: [{ groups: ['e'] }, { ids: ['x'] }] },
    );
    expect([...groupsNamed(config)].sort()).toEqual(['a', 'b', 'c', 'd', 'e', 'team-*']);
    expect(groupsNamed(resolved()).size).toBe(0);
  });

  it.each([
    ['"ops" in principal.groups', true],
    ['principal["groups"].size() > 1', true],
    ['principal . groups.exists(g, g.startsWith("x"))', true],
    ['principal.id == "a" && principal.claims.hd == "b" && "s" in principal.scopes', false],
    ['args.principal_name == "groups"', false],
  ])('groups of a condition: %s', (when, all) => {
    const config = resolved({ policy: { rules: [{ name: 'r', deny: [{ when }] }] } });
    expect(groupsNamed(config).has('*')).toBe(all);
  });
});
