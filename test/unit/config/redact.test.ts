import { describe, expect, it } from 'vitest';
import { maskJson, maskSecrets, redactUrl, secretsOf } from '../../../src/config/redact.js';
import { http, load, stdio } from './helpers.js';

describe('a URL that is shown', () => {
  it.each([
    ['http://127.0.0.1:3000/mcp', 'http://127.0.0.1:3000/mcp'],
    ['https://user:pass@h.example/mcp', 'https://h.example/mcp'],
    ['https://user:p@ss@h/mcp', 'https://h/mcp'],
    ['https://token@h', 'https://h'],
    ['https://h/mcp?key=abc&flag&x=', 'https://h/mcp?key=***&***&x=***'],
    ['https://h/mcp?a=b?c=d', 'https://h/mcp?a=***'],
    ['https://h/a@b?x=1', 'https://h/a@b?x=***'],
    ['https://h/#token', 'https://h/'],
    ['https://u:p@h/mcp?key=${UNSET}', 'https://h/mcp?key=***'],
    ['not a url', 'not a url'],
    ['stdio:npx', 'stdio:npx'],
  ])('%s is %s', (url, shown) => {
    expect(redactUrl(url)).toBe(shown);
  });
});

it('masks every secret in a text, the longer before what it holds', () => {
  expect(maskSecrets('a abcd-efgh b abcd $&', ['abcd', 'abcd-efgh'])).toBe('a *** b *** $&');
  expect(maskSecrets('plain', [''])).toBe('plain');
});

it('masks the strings of a JSON value, however they are written, and nothing else', () => {
  const masked = (json: string, ...secrets: string[]): string =>
    maskJson(Buffer.from(json), secrets).toString();
  const error = '{"code":-32000,"message":"no \\"abcd\\" ","data":{"abcd": ["abcd",12345678,"x\\u0061bcd"]}}';
  expect(masked(error, 'abcd', '12345678')).toBe(
    '{"code":-32000,"message":"no \\"***\\" ","data":{"abcd": ["***",12345678,"x***"]}}',
  );
  expect(masked(error, 'efgh')).toBe(error);
  expect(masked('{"message":"a\\"b\\n"}', 'a"b')).toBe('{"message":"***\\n"}');
});

describe('the secrets of a server', () => {
  it('are its token and what it sends as credentials, from 4 characters', () => {
    const env = { T: 'tok4' };
    expect(secretsOf(http({ auth: { type: 'bearer', token_env: 'T' } }, env))).toEqual(['tok4']);
    expect(secretsOf(http({ headers: { Authorization: 'Bearer in-1' } })).sort()).toEqual([
      'Bearer in-1',
      'in-1',
    ]);
    expect(secretsOf(http({ url: 'https://u:pa%40s@h/' })).sort()).toContain(
      Buffer.from('u:pa@s').toString('base64'),
    );
    expect(secretsOf(http({ proxy: 'http://u:pa%40s@h:1' }))).toEqual(['pa%40s', 'pa@s']);
    expect(
      secretsOf(stdio({ args: ['postgres://u:pass@h/db'], env: { DB: 'postgres://u:word@h/db' } })),
    ).toEqual(['word', 'pass']);
  });

  it.each([
    'API_KEY',
    'KEY',
    'GITHUB_TOKEN',
    'githubToken',
    'PGPASSWORD',
    'DB_PASS',
    'CLIENT_SECRET',
    'AUTH',
    'OPENAI_APIKEY',
  ])('are what is called %s, from 4 characters', (name) => {
    expect(secretsOf(stdio({ env: { [name]: 'abcd' } }))).toEqual(['abcd']);
    expect(secretsOf(stdio({ env: { [name]: 'abc' } }))).toEqual([]);
  });

  it.each(['MODE', 'MONKEY', 'AUTHOR', 'KEYBOARD', 'PWD', 'COMPASS', 'LOG_LEVEL', 'TOKENIZER'])(
    'are not what stands in the file and is called %s',
    (name) => {
      expect(secretsOf(stdio({ env: { [name]: 'prompts-of-mine' } }))).toEqual([]);
    },
  );

  it('are what comes from variables, from 8 characters, but not those of the system', () => {
    const env = { LONG: 'from-env', SHORT: 'from-en', HOME: '/home/alice', HTTPS_PROXY: 'http://u:p@proxy' };
    const given = { MODE: '${LONG}', B: '${SHORT}', C: '${HOME}', D: '${NONE:-literal-default}' };
    expect(secretsOf(stdio({ env: given, args: ['${HTTPS_PROXY}'] }, env)).sort()).toEqual([
      'from-env',
      'http://u:p@proxy',
    ]);
  });

  it('are what comes from files', async () => {
    const { config } = await load(
      'servers: [{name: x, command: node, args: ["${file:key}"]}]',
      {},
      { key: 'of-a-file\n' },
    );
    expect(config.servers.map(secretsOf)).toEqual([['of-a-file']]);
  });

  it('are headers and the query of the url, from 8 characters', () => {
    const url = 'https://h/mcp?q=12345678&r=1234567&key=1234';
    expect(
      secretsOf(http({ url, headers: { A: 'header-1', B: 'header-', 'X-Api-Key': 'abcd' } })).sort(),
    ).toEqual(['1234', '12345678', 'abcd', 'header-1']);
  });

  it('are never where the server is', () => {
    const env = {
      HOST: 'Search.example.com',
      AT: 'search.example.com:8443',
      PATH_: '/v1/mcp/endpoint',
      WHOLE: 'https://search.example.com:8443/v1/mcp/endpoint?q=12345678',
      QUERY: '12345678',
    };
    const url = 'https://${HOST}:8443${PATH_}?q=${QUERY}';
    expect(secretsOf(http({ url, headers: { 'X-Host': '${AT}' } }, env))).toEqual(['12345678']);
    expect(secretsOf(http({ url: '${WHOLE}' }, env))).toEqual(['12345678']);
  });
});
