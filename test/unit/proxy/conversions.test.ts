import { describe, expect, it } from 'vitest';
import * as conversions from '../../../src/proxy/conversions.js';
import type { LegacyRevision } from '../../../src/protocol/revisions.js';

const { mayNeedConversion } = conversions;
function all(work: Generator<number, Buffer>): Buffer {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}
const convertContent = (whole: Buffer, revision: LegacyRevision): Buffer =>
  all(conversions.convertContent(whole, revision));
const convertStructured = (whole: Buffer): Buffer => all(conversions.convertStructured(whole));

const answer = (result: string): Buffer => Buffer.from(`{"jsonrpc":"2.0","id":1,"result":${result}}`);
const resultOf = (whole: Buffer): string =>
  whole.toString().slice('{"jsonrpc":"2.0","id":1,"result":'.length, -1);

describe('a structured result that is no object', () => {
  const structured = (result: string): string => resultOf(convertStructured(answer(result)));

  it('stands in one under "result", with its own bytes', () => {
    expect(
      structured('{"content":[{"type":"text","text":"x"}], "structuredContent" : [1.50, 1e2] ,"n":1.0}'),
    ).toBe('{"content":[{"type":"text","text":"x"}], "structuredContent" : {"result":[1.50, 1e2]} ,"n":1.0}');
  });

  it.each([
    ['null', '{"content":[{"type":"text","text":"x"}],"structuredContent":null}', 'null'],
    ['a number', '{"content":[{"type":"text","text":"x"}],"structuredContent":-1.0}', '-1.0'],
    [
      'an object of a schema that allows others',
      '{"content":[{"type":"text","text":"x"}],"structuredContent":{"a":1}}',
      '{"a":1}',
    ],
    [
      'the result of a failure',
      '{"isError":true,"content":[{"type":"text","text":"x"}],"structuredContent":[]}',
      '[]',
    ],
  ])('is wrapped too if it is %s', (_, result, value) => {
    expect(structured(result)).toBe(result.replace(`:${value}}`, `:{"result":${value}}}`));
  });

  it.each([
    [
      'none',
      '{"content":[],"structuredContent":["é\\u0041"]}',
      '{"content":[{"type":"text","text":"[\\"é\\\\u0041\\"]"}],"structuredContent":{"result":["é\\u0041"]}}',
    ],
    [
      'an image alone',
      '{"structuredContent":7,"content":[ {"type":"image","data":"","mimeType":"image/png"} ]}',
      '{"structuredContent":{"result":7},"content":[ {"type":"image","data":"","mimeType":"image/png"},{"type":"text","text":"7"} ]}',
    ],
    [
      'no list',
      '{"structuredContent":true,"a":1}',
      '{"structuredContent":{"result":true},"content":[{"type":"text","text":"true"}],"a":1}',
    ],
  ])('is said as text as well where the content has %s', (_, result, expected) => {
    expect(structured(result)).toBe(expected);
  });

  it('is not said as text where it is large', () => {
    const value = `[${'0,'.repeat(600_000)}0]`;
    expect(structured(`{"structuredContent":${value}}`)).toBe(
      `{"structuredContent":{"result":${value}},"content":[{"type":"text","text":"[structuredContent of ${value.length} bytes]"}]}`,
    );
  });

  it('that is not there changes nothing', () => {
    for (const result of ['{"content":[]}', '[]', 'null', '{"_meta":{"structuredContent":[1]}}'])
      expect(structured(result)).toBe(result);
    const error = Buffer.from(
      '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m","structuredContent":[]}}',
    );
    expect(convertStructured(error)).toBe(error);
  });
});

describe('content', () => {
  const content = (block: string, revision: LegacyRevision): unknown => {
    const read = JSON.parse(resultOf(convertContent(answer(`{"content":[${block}]}`), revision))) as {
      content: unknown[];
    };
    return read.content[0];
  };
  const LINK = '{"type":"resource_link","uri":"file:///a","name":"a"}';
  const AUDIO = '{"type":"audio","data":"AAAA","mimeType":"audio/wav"}';

  it('that a revision does not know becomes text', () => {
    expect(content(LINK, '2025-03-26')).toEqual({ type: 'text', text: 'file:///a' });
    expect(content(AUDIO, '2024-11-05')).toEqual({
      type: 'text',
      text: '[audio (audio/wav): not known to revision 2024-11-05]',
    });
    expect(content('{"type":"table","rows":[]}', '2025-03-26')).toEqual({
      type: 'text',
      text: '[table: not known to revision 2025-03-26]',
    });
    expect(content('{"type":"markdown","text":"*a*"}', '2025-03-26')).toEqual({ type: 'text', text: '*a*' });
    expect(content('{"type":"constructor"}', '2025-03-26')).toEqual({
      type: 'text',
      text: '[constructor: not known to revision 2025-03-26]',
    });
  });

  it.each([
    [LINK, '2025-06-18'],
    [AUDIO, '2025-03-26'],
    ['{"type":"resource","resource":{"uri":"file:///a","text":"x"}}', '2024-11-05'],
    ['{"type":"image","data":"AAAA","mimeType":"image/png"}', '2024-11-05'],
    ['{"type":"text","text":"a","n":1.0}', '2024-11-05'],
    ['{"no":"type"}', '2024-11-05'],
    ['7', '2024-11-05'],
  ] as [string, LegacyRevision][])('that it knows keeps its bytes: %s for %s', (block, revision) => {
    const whole = answer(`{"content":[${block}]}`);
    expect(convertContent(whole, revision)).toBe(whole);
  });

  it('of a prompt is converted as that of a tool is', () => {
    const prompt = answer(
      `{"messages":[{"role":"user","content":${LINK}},{"role":"user","content":{"type":"text","text":"x"}}]}`,
    );
    expect(resultOf(convertContent(prompt, '2025-03-26'))).toBe(
      '{"messages":[{"role":"user","content":{"type":"text","text":"file:///a"}},{"role":"user","content":{"type":"text","text":"x"}}]}',
    );
  });

  it('is looked at for the revisions that lack something, and nowhere else', () => {
    expect(mayNeedConversion('2025-03-26', 'tools/call')).toBe(true);
    expect(mayNeedConversion('2024-11-05', 'prompts/get')).toBe(true);
    expect(mayNeedConversion('2024-11-05', 'resources/read')).toBe(false);
    expect(mayNeedConversion('2025-06-18', 'tools/call')).toBe(false);
  });
});
