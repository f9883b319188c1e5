/** Keys that decide who may do what: whatever is wrong with them is an error, never a reason to allow more. */
import { describe, expect, it } from 'vitest';
import { load, problems } from './helpers.js';

const HASH = 'a'.repeat(43);

describe('a key without a value', () => {
  it.each([
    ['http: {tls: }', '1:8: http.tls'],
    [`mcp: {auth: {keys: [{name: a, sha256: [${HASH}], expires: }]}}`, 'mcp.auth.keys[0].expires'],
    [`mcp: {auth: {keys: [{name: a, sha256: [${HASH}], disabled: }]}}`, 'mcp.auth.keys[0].disabled'],
    ['mcp: {auth: {issuers: [{name: a, issuer: "https://a", clients: }]}}', 'mcp.auth.issuers[0].clients'],
    ['policy:', 'policy'],
    ['policy: {rules: [{name: a, allow: [{tools: }]}]}', 'policy.rules[0].allow[0].tools'],
  ])('is an error where it would mean more rights: %s', async (text, at) => {
    const [line = ''] = await problems(`${text}\nservers: []\n`);
    expect(line).toContain(`${at} has no value (write one, or remove the key)`);
  });

  it('is no error elsewhere', async () => {
    const { config } = await load(
      `mcp: {auth: {keys: [{name: a, sha256: [${HASH}], profile: null, owner: null}]}}\nservers: []\n`,
    );
    expect(config.mcp.auth.keys[0]).not.toHaveProperty('profile');
  });
});

describe('an unknown key', () => {
  it('in an entry about access is one error, with its place and what was meant', async () => {
    const text = `servers: []
mcp: {auth: {keys: [{name: a, sha256: [${HASH}], grups: [x]}]}}
policy:
  rules:
    - {name: r, allow: [{tolls: [x]}], who: {grups: [a]}}
`;
    expect(await problems(text)).toEqual([
      `config.yaml:2:86: mcp.auth.keys[0].grups: unknown key (did you mean groups?)`,
      'config.yaml:5:26: policy.rules[0].allow[0].tolls: unknown key (did you mean tools?)',
      'config.yaml:5:46: policy.rules[0].who.grups: unknown key (did you mean groups?)',
    ]);
  });

  it('that looks like one without which everybody may do everything is an error, any other a warning', async () => {
    expect(await problems('servers: []\npolcy: {}\n')).toEqual([
      'config.yaml:2:1: polcy: unknown key (did you mean policy?)',
    ]);
    expect(await problems('servers: []\nmcp: {auth: {isuers: []}}\n')).toEqual([
      'config.yaml:2:14: mcp.auth.isuers: unknown key (did you mean issuers?)',
    ]);
    expect((await load('servers: []\nloging: {}\nmcp: {auth: {mod: none}}\n')).warnings).toEqual([
      'config.yaml:2:1: loging: unknown key, ignored (did you mean logging?)',
      'config.yaml:3:14: mcp.auth.mod: unknown key, ignored (did you mean mode?)',
    ]);
  });
});

describe('keys_file', () => {
  const text = 'servers: []\nmcp: {auth: {keys_file: keys.yaml}}\n';

  it.each(['', '\n', '# none\n', 'null\n'])('that is empty is an error: %j', async (content) => {
    expect((await problems(text, {}, { 'keys.yaml': content }))[0]).toMatch(
      /^config\.yaml:2:\d+: mcp\.auth\.keys_file: .*keys\.yaml is empty, .* \(write \[\] if there are none\)$/,
    );
  });

  it('may have no keys if it says so', async () => {
    expect((await load(text, {}, { 'keys.yaml': '[]\n' })).config.mcp.auth.keys).toEqual([]);
  });

  it('has the same errors as mcp.auth.keys, at their places', async () => {
    const content = `- {name: a, sha256: [${HASH}], expires: }\n- {name: b, sha256: [${HASH}], grups: [x]}\n`;
    const found = await problems(text, {}, { 'keys.yaml': content });
    expect(found.join('\n')).toContain('keys.yaml:1:68: [0].expires has no value');
    expect(found.join('\n')).toContain('keys.yaml:2:68: [1].grups: unknown key (did you mean groups?)');
  });
});

describe('issuers', () => {
  const issuers = (...urls: string[]) =>
    `servers: []\nmcp: {auth: {issuers: [${urls.map((url, i) => `{name: i${i}, issuer: "${url}"}`).join(', ')}]}}\n`;

  it('with the same URL are an error', async () => {
    expect(await problems(issuers('https://a', 'https://b', 'https://a'))).toEqual([
      "config.yaml:2:109: mcp.auth.issuers[2].issuer is also that of 'i0': its tokens would have two meanings (write one entry for each issuer)",
    ]);
  });

  it('need public_url where the gateway is open to the network, whatever names its address', async () => {
    const said = 'mcp.auth.issuers needs http.public_url: tokens are for a URL';
    expect((await problems(issuers('https://a'), { MCPSTEAD_HOST: '0.0.0.0' }))[0]).toContain(said);
    expect((await problems(`host: 0.0.0.0\n${issuers('https://a')}`))[0]).toContain(said);
    expect(await problems(`host: 0.0.0.0\n${issuers('https://a')}`, { MCPSTEAD_HOST: '127.0.0.1' })).toEqual(
      [],
    );
  });
});

describe('admin.host', () => {
  it('is an address with or without brackets', async () => {
    expect((await load("servers: []\nadmin: {port: 1, host: '[::1]'}\n")).config.admin.host).toBe('::1');
    expect((await problems('servers: []\nadmin: {port: 1, host: "a b"}\n'))[0]).toMatch(
      /^config\.yaml:2:24: admin\.host: invalid bind address 'a b' \(an IP address such as/,
    );
  });
});
