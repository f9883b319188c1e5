import { describe, expect, it } from 'vitest';
import { maskSecrets, redactUrl, secretsOf } from '../../../src/config/redact.js';
import { http, stdio } from './helpers.js';

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

it('the secrets of a server are the values of its env and headers, its token and what its URL holds', () => {
  const env = { T: 'token-1' };
  expect(
    secretsOf(
      http(
        {
          url: 'https://u:pass-1@h/?k=query-1',
          headers: { A: 'head-1', B: 'x' },
          auth: { type: 'bearer', token_env: 'T' },
        },
        env,
      ),
    ).sort(),
  ).toEqual(['head-1', 'query-1', 'token-1']);
  expect(secretsOf(http({ headers: { Authorization: 'Bearer inner-1' } })).sort()).toEqual([
    'Bearer inner-1',
    'inner-1',
  ]);
  expect(secretsOf(stdio({ env: { A: 'value-1', B: 'abc' }, args: ['arg-1'] }))).toEqual(['value-1']);
});
