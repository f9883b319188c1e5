/** Redirect URIs: whatever is allowed is written as `URL` writes it, and has a scheme that the configuration names. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isWellFormed, matches, Redirects } from '../../src/authorization-server/redirects.js';
import { isForbiddenScheme } from '../../src/config/redirect-schemes.js';

const LISTS = [['*'], ['*', 'zed:', 'javascript:'], ['loopback', 'zed:'], ['*.example', 'http:'], []];
const LOOPBACK = ['127.0.0.1', '[::1]', 'localhost'];

const piece = fc.oneof(
  fc.constantFrom(
    ...['https:', 'http:', 'cursor:', 'zed:', 'javascript:', 'JAVASCRIPT:', 'data:', 'file:', 'blob:', 'ws:'],
    ...[
      '//',
      '/',
      '\\',
      '@',
      ':',
      '?',
      '#',
      '.',
      '..',
      '%2e',
      '%2f',
      '%5c',
      '%00',
      '\t',
      '\n',
      ' ',
      ':443',
      ':80',
    ],
    ...[
      'a.example',
      'A.example',
      '127.0.0.1',
      '127.1',
      'localhost',
      '[::1]',
      '[::ffff:7f00:1]',
      'xn--',
      '。',
      'ａ',
    ],
  ),
  fc.string({ maxLength: 6 }),
);
const nearlyGood = fc
  .tuple(
    fc.constantFrom('https://', 'http://', 'cursor://', 'zed://', 'cursor:/', 'javascript://', 'HTTPS://'),
    fc.constantFrom('a.example', 'b.test', 'localhost', '127.0.0.1', '[::1]', 'A.example', 'a.example.', ''),
    fc.constantFrom('', '', ':8443', ':443', ':0', ':'),
    fc.array(piece, { maxLength: 2 }),
    fc.webPath(),
  )
  .map(([scheme, host, port, pieces, path]) => scheme + host + port + pieces.join('') + path);
const uri = fc.oneof(
  { arbitrary: nearlyGood, weight: 4 },
  fc.array(piece, { maxLength: 9 }).map((pieces) => pieces.join('')),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.webUrl({ withQueryParameters: true, withFragments: true }),
);

it('an allowed one means the same to every parser, and leads where the list says', () => {
  fc.assert(
    fc.property(uri, fc.constantFrom(...LISTS), (text, list) => {
      const redirects = new Redirects(list);
      if (!redirects.allows(text)) return;
      expect(isWellFormed(text)).toBe(true);
      const url = new URL(text);
      const bare = url.pathname === '/' ? `${url.protocol}//${url.host}${url.search}` : url.href;
      expect([url.href, bare]).toContain(text);
      expect([url.username, url.password, url.hash]).toEqual(['', '', '']);
      expect(text).toMatch(/^[\x21-\x5b\x5d-\x7e]{1,512}$/);
      expect(isForbiddenScheme(url.protocol)).toBe(false);
      if (url.protocol === 'http:') {
        expect(LOOPBACK).toContain(url.hostname);
        expect(list.includes('*') || list.includes('loopback')).toBe(true);
      } else if (url.protocol === 'https:') {
        expect(list.includes('*') || url.hostname.endsWith('.example')).toBe(true);
      } else
        expect([list.includes('*') && url.protocol === 'cursor:', list.includes(url.protocol)]).toContain(
          true,
        );
      expect(redirects.problem(text)).toBeUndefined();
    }),
    { numRuns: 3000 },
  );
});

it('one of a request is the registered one but for the port of a loopback URI', () => {
  const host = fc.constantFrom('127.0.0.1', '[::1]', 'localhost', 'a.example', '127.0.0.2', 'localhost.evil');
  const port = fc.option(
    fc.integer({ min: 1, max: 65_535 }).filter((number) => number !== 80 && number !== 443),
  );
  const path = fc.constantFrom('', '/', '/cb', '/cb/', '/cb?x', '?x');
  const parts = fc.tuple(fc.constantFrom('http:', 'https:'), host, port, path);
  const text = ([scheme, name, number, rest]: [string, string, number | null, string]) =>
    `${scheme}//${name}${number === null ? '' : `:${number}`}${rest}`;
  fc.assert(
    fc.property(parts, parts, (registered, asked) => {
      const [a, b] = [text(registered), text(asked)];
      const same =
        registered[0] === 'http:' &&
        asked[0] === 'http:' &&
        LOOPBACK.includes(registered[1]) &&
        registered[1] === asked[1] &&
        registered[3] === asked[3];
      expect(matches(a, b)).toBe(a === b || same);
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(uri, (text) => {
      if (matches('http://localhost/cb', text)) expect(new URL(text).hostname).toBe('localhost');
    }),
  );
});
