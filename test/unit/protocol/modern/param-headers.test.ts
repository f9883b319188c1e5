import { describe, expect, it } from 'vitest';
import {
  checkParamHeaders,
  decodeHeaderValue,
  encodeHeaderValue,
  paramHeaders,
} from '../../../../src/protocol/modern/param-headers.js';
import type { ParamHeader } from '../../../../src/protocol/schema.js';

describe('the value of a header', () => {
  // The examples of 2026-07-28, basic/transports/streamable-http, "Value Encoding", and some at the edges.
  it.each([
    ['us-west1', 'us-west1'],
    ['a b', 'a b'],
    ['Hello, 世界', '=?base64?SGVsbG8sIOS4lueVjA==?='],
    [' padded ', '=?base64?IHBhZGRlZCA=?='],
    ['line1\nline2', '=?base64?bGluZTEKbGluZTI=?='],
    ['=?base64?literal?=', '=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?='],
    ['=?base64?=', '=?base64?PT9iYXNlNjQ/PQ==?='],
    ['=?base64?SGVsbG8=', '=?base64?SGVsbG8='],
    ['=?BASE64?SGVsbG8=?=', '=?BASE64?SGVsbG8=?='],
    ['', '=?base64??='],
    ['tab\there', '=?base64?dGFiCWhlcmU=?='],
    ['\u007f', '=?base64?fw==?='],
  ])('for %j is %j, and reads as it again', (text, value) => {
    expect(encodeHeaderValue(text)).toBe(value);
    expect(decodeHeaderValue(value)).toBe(text);
  });

  it('is read without the white space around it', () => {
    expect(decodeHeaderValue(' \t a b\t')).toBe('a b');
    expect(decodeHeaderValue(' =?base64?IGE=?= ')).toBe(' a');
    expect(decodeHeaderValue('')).toBe('');
  });

  it.each([
    ['a line break', 'a\r\nb'],
    ['a NUL', 'a\0'],
    ['a character above ASCII', 'caf\u00e9'],
    ['no padding', '=?base64?SGVsbG8?='],
    ['characters of no Base64', '=?base64?SGVs!!!bG8=?='],
    ['the other alphabet', '=?base64?_-8=?='],
    ['bits that mean nothing', '=?base64?QR==?='],
    ['bytes that are no UTF-8', '=?base64?/w==?='],
    ['half a frame', '=?base64?='],
  ])('with %s cannot be read', (_, value) => {
    expect(decodeHeaderValue(value)).toBeUndefined();
  });
});

const HEADERS: ParamHeader[] = [
  { header: 'mcp-param-region', path: ['region'], type: 'string' },
  { header: 'mcp-param-count', path: ['page', 'count'], type: 'integer' },
  { header: 'mcp-param-dry', path: ['page', 'dry'], type: 'boolean' },
];

function bodyOf(args: string | undefined): [Buffer, { start: number; end: number } | undefined] {
  if (args === undefined) return [Buffer.from('{"params":{}}'), undefined];
  const head = '{"params":{"arguments":';
  const start = Buffer.byteLength(head);
  return [Buffer.from(`${head}${args}}}`), { start, end: start + Buffer.byteLength(args) }];
}
const sent = (args: string | undefined) => paramHeaders(HEADERS, ...bodyOf(args));
const wrong = (args: string | undefined, headers: Record<string, string>) =>
  checkParamHeaders(HEADERS, ...bodyOf(args), (name) => headers[name]);

describe('the headers of a call', () => {
  it('carry the values that stand at the paths of its tool', () => {
    expect(sent('{"other":[1], "page":{"dry":false,"count":42},"region":"us west"}')).toEqual([
      ...['mcp-param-region', 'us west', 'mcp-param-count', '42', 'mcp-param-dry', 'false'],
    ]);
  });

  it.each([
    ['"region":"\\u4e16"', ['mcp-param-region', '=?base64?5LiW?=']],
    ['"region":null', []],
    ['"\\u0072egion":"x"', ['mcp-param-region', 'x']],
    ['"region":"first","region":"last"', ['mcp-param-region', 'last']],
    ['"page":{"count":-7}', ['mcp-param-count', '-7']],
    ['"page":{"count":42.0}', ['mcp-param-count', '42']],
    ['"page":{"count":1e3}', ['mcp-param-count', '1000']],
    ['"page":{"count":-0}', ['mcp-param-count', '0']],
    ['"page":{"count":9007199254740991}', ['mcp-param-count', '9007199254740991']],
    ['"page":{"count":9007199254740992}', []],
    ['"page":{"count":1e400}', []],
    // The server says what becomes of a value that its schema did not want.
    ['"page":{"count":"5"}', ['mcp-param-count', '5']],
    ['"page":{"count":1.5}', ['mcp-param-count', '1.5']],
    ['"page":{"count":[1]}', []],
    ['"page":{"count":{}}', []],
    ['"page":[{"count":1}]', []],
    ['"page":"count"', []],
    ['"page":null', []],
    ['"region":{"region":"x"}', []],
  ])('for {%s} are %j', (members, expected) => {
    expect(sent(`{${members}}`)).toEqual(expected);
  });

  it('are none without arguments', () => {
    expect(sent(undefined)).toEqual([]);
    expect(sent('{}')).toEqual([]);
    expect(sent('[]')).toEqual([]);
    expect(sent('"region"')).toEqual([]);
  });
});

describe('a call is refused for its headers', () => {
  it.each([
    ['nothing is wanted', undefined, {}],
    ['all agree', '{"region":"a","page":{"count":1,"dry":true}}', ['a', '1', 'true']],
    ['a number is written another way', '{"page":{"count":42}}', [undefined, '42.0']],
    ['a number stands in Base64', '{"page":{"count":42}}', [undefined, '=?base64?NDI=?=']],
    ['the value is null', '{"region":null,"page":{"dry":null}}', []],
    ['a text comes in Base64 without need', '{"region":"Hello"}', ['=?base64?SGVsbG8=?=']],
    ['a text only looks like Base64', '{"region":"=?base64?SGVsbG8="}', ['=?base64?SGVsbG8=']],
    ['white space stands around it', '{"region":"a"}', [' a\t']],
    [
      'a number is too large to be compared, and the same',
      '{"page":{"count":9007199254740993}}',
      [undefined, '9007199254740993'],
    ],
    ['no header can carry a number', '{"page":{"count":9007199254740993}}', []],
  ] as [string, string | undefined, (string | undefined)[]][])('not when %s', (_, args, values) => {
    expect(wrong(args, named(values))).toBeUndefined();
  });

  it.each([
    [
      'is missing',
      '{"region":"a"}',
      [],
      'header mcp-param-region is missing, although the body has a value at "region"',
    ],
    ['is missing for an empty text', '{"region":""}', [], 'mcp-param-region is missing'],
    [
      'is missing for false',
      '{"page":{"dry":false}}',
      [],
      'mcp-param-dry is missing, although the body has a value at "page.dry"',
    ],
    [
      'differs',
      '{"region":"a"}',
      ['b'],
      'header mcp-param-region says "b", the body something else at "region"',
    ],
    ['differs in case', '{"region":"a"}', ['A'], 'says "A"'],
    ['is another number', '{"page":{"count":42}}', [undefined, '43'], 'says "43"'],
    [
      'is nearly the number',
      '{"page":{"count":9007199254740991}}',
      [undefined, '9007199254740991.4'],
      'says',
    ],
    ['is a number in another base', '{"page":{"count":16}}', [undefined, '0x10'], 'says "0x10"'],
    ['is empty for a number', '{"page":{"count":0}}', [undefined, ''], 'says ""'],
    ['says True', '{"page":{"dry":true}}', [undefined, undefined, 'True'], 'says "True"'],
    [
      'is there without a value',
      '{}',
      ['a'],
      'header mcp-param-region is there, although the body has no value at "region"',
    ],
    ['is there for null', '{"region":null}', ['null'], 'although the body has no value'],
    ['is there for an object', '{"region":{}}', ['[object Object]'], 'the body something else'],
    ['has bad Base64', '{"region":"Hello"}', ['=?base64?SGVsbG8?='], 'cannot be read'],
    ['has characters above ASCII', '{"region":"é"}', ['\u00c3\u00a9'], 'cannot be read'],
  ] as [string, string, (string | undefined)[], string][])('when one %s', (_, args, values, why) => {
    expect(wrong(args, named(values))).toContain(why);
  });

  it('with a text that is cut where it is shown', () => {
    expect(wrong('{"region":"a"}', { 'mcp-param-region': 'x'.repeat(5000) })?.length).toBeLessThan(250);
  });

  function named(values: (string | undefined)[] | object): Record<string, string> {
    const entries = HEADERS.map(({ header }, i) => [header, (values as string[])[i]] as const);
    return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== undefined));
  }
});
