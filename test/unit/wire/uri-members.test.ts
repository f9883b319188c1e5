import { describe, expect, it } from 'vitest';
import { UriMarks, UriMembers } from '../../../src/wire/uri-members.js';

const MARKS = new UriMarks(['ui', 'skill'], 'a+/');

function inPieces(input: Buffer, size: number): string {
  const uris = new UriMembers(MARKS);
  let out = '';
  for (let i = 0; i < input.length; i += size)
    out += uris.push(Buffer.from(input.subarray(i, i + size))).toString('latin1');
  return out + uris.end().toString('latin1');
}

/** The output for this input, whole and cut at each byte, which must be the same. */
function output(json: string): string {
  const input = Buffer.from(json, 'latin1');
  const whole = MARKS.splice(input).toString('latin1');
  for (let size = 1; size <= input.length; size++) expect(inPieces(input, size)).toBe(whole);
  for (let cut = 0; cut <= input.length; cut++) {
    const uris = new UriMembers(MARKS);
    const out = [uris.push(input.subarray(0, cut)), uris.push(input.subarray(cut)), uris.end()];
    expect(Buffer.concat(out).toString('latin1')).toBe(whole);
  }
  return whole;
}

const SPACES = ' '.repeat(300);
const FILL = `"${'x'.repeat(300)}"`;

describe('URIs of members', () => {
  it.each([
    ['{"uri":"ui://b/c"}', '{"uri":"ui://a+/b/c"}'],
    ['{"uri":"skill://b"}', '{"uri":"skill://a+/b"}'],
    ['{"uri":"ui:\\/\\/b"}', '{"uri":"ui:\\/\\/a+/b"}'],
    ['{"uri":"ui:/\\/b"}', '{"uri":"ui:/\\/a+/b"}'],
    ['{"uri":"\\u0075i:\\/\\/other+/page"}', '{"uri":"\\u0075i:\\/\\/a+/other+/page"}'],
    ['{"uri":"s\\u006B\\u0069ll\\u003a\\u002F\\/b"}', '{"uri":"s\\u006B\\u0069ll\\u003a\\u002F\\/a+/b"}'],
    ['{"\\u0075r\\u0069":"ui://b"}', '{"\\u0075r\\u0069":"ui://a+/b"}'],
    ['{"ui\\/resource\\u0055ri":"ui://b"}', '{"ui\\/resource\\u0055ri":"ui://a+/b"}'],
    [`{"uri"${SPACES}\n:${SPACES}"ui://b"}`, `{"uri"${SPACES}\n:${SPACES}"ui://a+/b"}`],
    [`{"x":${FILL},"uri":"ui://b"}`, `{"x":${FILL},"uri":"ui://a+/b"}`],
    [`{"\\\\":"${'\\'.repeat(70)}","uri":"ui://b"}`, `{"\\\\":"${'\\'.repeat(70)}","uri":"ui://a+/b"}`],
  ])('are qualified: %s', (json, expected) => {
    expect(output(json)).toBe(expected);
  });

  it.each([
    '{"url":"ui://b"}',
    '{"uri":["ui://b"]}',
    '{"uri":"ui:/b","resourceUri":" ui://b","ui/resourceUri":"xui://b"}',
    '{"uri":"UI://b"}',
    '{"ui://b":"uri"}',
    '{"text":"{\\"uri\\":\\"ui://b\\"}"}',
    '{"text":"<a href=\\"ui://b\\">ui://b</a>"}',
    '{"u ri":"ui://b"}',
    `{"u${SPACES}ri":"ui://b"}`,
    '{"uri ":"ui://b"}',
    '{"x\\"uri":"ui://b"}',
    '{"x\\\\\\"uri":"ui://b"}',
    '{"\\\\uri":"ui://b"}',
    '{"\\\\\\u0075ri":"ui://b"}',
    '{"\\\\u0075ri":"ui://b"}',
    '{"uri":"\\\\u0075i://b"}',
    '{"uri":"\\u0175i://b"}',
    '{"uri":"u\\i://b"}',
  ])('are not other strings: %s', (json) => {
    expect(output(json)).toBe(json);
  });

  it('are passed on in the same buffer where nothing changes', () => {
    const uris = new UriMembers(MARKS);
    const chunk = Buffer.from(`{"text":"ui:// ${'skill: \\u0075'.repeat(1000)}"`);
    expect(uris.push(chunk)).toBe(chunk);
    expect(MARKS.splice(chunk)).toBe(chunk);
  });

  it('are left alone before an offset', () => {
    const json = '{"uri":"ui://b","result":{"uri":"ui://c"}}';
    const expected = '{"uri":"ui://b","result":{"uri":"ui://a+/c"}}';
    const from = json.indexOf('{"uri":"ui://c');
    expect(MARKS.splice(Buffer.from(json), from).toString()).toBe(expected);
    expect(MARKS.splice(Buffer.from(`${json}${SPACES}`), from).toString()).toBe(`${expected}${SPACES}`);
  });

  it('do not hold back more than the scheme of one', () => {
    const uris = new UriMembers(MARKS);
    expect(uris.push(Buffer.from('{"uri":"\\u0073kill:')).toString()).toBe('{"uri":');
    expect(uris.held).toBe(12);
    expect(uris.push(Buffer.from('\\u002f')).length).toBe(0);
    expect(uris.push(Buffer.from('/b')).toString()).toBe('"\\u0073kill:\\u002f/a+/b');
    expect(uris.held).toBe(0);
  });
});
