/** What others write into headers, and addresses, in any form. */
import fc from 'fast-check';
import { isIP } from 'node:net';
import { expect, it } from 'vitest';
import { readChallenge } from '../../src/protocol/challenge.js';
import { isSpecial } from '../../src/upstream/http/guarded-fetch.js';

const TOKEN = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/);
const QUOTED = fc.stringMatching(/^[\t\x20-\x7e]{0,30}$/);
const SPACES = fc.stringMatching(/^[ \t]{0,2}$/);
const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

const param = fc.tuple(TOKEN, QUOTED, SPACES, SPACES).map(([name, value, a, b]) => ({
  name: name.toLowerCase(),
  value,
  text: `${name}${a}=${b}${quoted(value)}`,
}));
const challenge = fc
  .tuple(TOKEN, fc.uniqueArray(param, { minLength: 1, maxLength: 4, selector: ({ name }) => name }))
  .map(([scheme, params]) => ({
    scheme: scheme.toLowerCase(),
    params,
    text: `${scheme} ${params.map(({ text }) => text).join(', ')}`,
  }));
const token68 = fc
  .tuple(TOKEN, fc.stringMatching(/^[A-Za-z0-9._~+/-]{1,20}={0,2}$/))
  .map(([scheme, value]) => ({ scheme: scheme.toLowerCase(), params: [], text: `${scheme} ${value}` }));
const other = fc.oneof(challenge, token68).filter(({ scheme }) => scheme !== 'bearer');

it('finds a Bearer challenge among others, with what it says', () => {
  fc.assert(
    fc.property(
      fc.array(other, { maxLength: 3 }),
      QUOTED,
      QUOTED,
      fc.array(other, { maxLength: 2 }),
      (a, url, error, b) => {
        const own = `Bearer resource_metadata=${quoted(url)}, error=${quoted(error)}`;
        const read = readChallenge(
          [...a.map(({ text }) => text), own, ...b.map(({ text }) => text)].join(', '),
        );
        expect(read).toMatchObject({ resourceMetadata: url, error });
      },
    ),
  );
});

it('never throws, whatever a header says', () => {
  const pieces = fc.constantFrom(
    'Bearer',
    'bearer ',
    '=',
    '"',
    '\\',
    ',',
    ' ',
    'scope',
    'a==',
    '/',
    ';',
    'resource_metadata="',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces, { maxLength: 60 }).map((all) => all.join('')),
      ),
      (header) => {
        readChallenge(header);
      },
    ),
  );
});

it('reads long headers that try to make it search again and again', () => {
  // A search that went back over all it has read would not end before the time limit of the test.
  for (const unit of ['a ', 'a=', '=', '"\\', 'Bearer a', 'a/', '\t', ',', 'a="'])
    for (let i = 0; i < 200; i++) readChallenge(`x ${unit.repeat(100_000)}!`);
});

const SPECIAL4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];
const number4 = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
const text4 = (n: number): string => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255].join('.');
const inNet4 = (n: number): boolean =>
  SPECIAL4.some(
    ([net, bits]) => Math.floor(n / 2 ** (32 - bits)) === Math.floor(number4(net) / 2 ** (32 - bits)),
  );

/** Forms of one address that systems and `URL` write. */
function forms(n: number): string[] {
  const [high, low] = [Math.floor(n / 65_536).toString(16), (n % 65_536).toString(16)];
  const written = new URL(`http://[::ffff:${text4(n)}]/`).hostname.slice(1, -1);
  return [text4(n), `::ffff:${text4(n)}`, `::FFFF:${high}:${low}`, written];
}

it('an IPv4 address is special if a listed net has it, mapped or not', () => {
  const near = fc
    .constantFrom(...SPECIAL4)
    .chain(([net, bits]) =>
      fc.integer({ min: -1, max: 2 ** (32 - bits) }).map((by) => (number4(net) + by + 2 ** 32) % 2 ** 32),
    );
  fc.assert(
    fc.property(fc.oneof(near, fc.integer({ min: 0, max: 2 ** 32 - 1 })), (n) => {
      for (const form of forms(n)) expect([form, isSpecial(form)]).toEqual([form, inNet4(n)]);
    }),
    { numRuns: 2000 },
  );
});

const SPECIAL6: readonly (readonly [bigint, bigint])[] = [
  [0x2001n << 112n, 23n],
  [0x20010db8n << 96n, 32n],
  [0x2002n << 112n, 16n],
  [0x3fffn << 112n, 20n],
];
const text6 = (n: bigint): string =>
  Array.from({ length: 8 }, (_, i) => ((n >> BigInt(112 - 16 * i)) & 0xffffn).toString(16)).join(':');

it('an IPv6 address is public if it is in 2000::/3 and in no listed net', () => {
  const all = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n });
  const near = fc.tuple(fc.constantFrom(...SPECIAL6), all).map(([[net, bits], by]) => net | (by >> bits));
  const unicast = all.map((n) => (n >> 3n) | (1n << 125n));
  fc.assert(
    fc.property(fc.oneof(near, unicast, all), (n) => {
      const isPublic = n >> 125n === 1n && !SPECIAL6.some(([net, bits]) => (n ^ net) >> (128n - bits) === 0n);
      // ::ffff:0:0/96 are IPv4 addresses.
      if (n >> 32n === 0xffffn) return;
      expect(isIP(text6(n))).toBe(6);
      expect([text6(n), isSpecial(text6(n))]).toEqual([text6(n), !isPublic]);
    }),
    { numRuns: 2000 },
  );
});
