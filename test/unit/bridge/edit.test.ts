import { describe, expect, it } from 'vitest';
import { LEGACY_RESULT, modernResult } from '../../../src/bridge/edit.js';
import type { AnswerEdit } from '../../../src/protocol/ports.js';
import { splice } from '../../../src/wire/splice.js';

/** The edit of a whole answer, as its reader runs it: the tail keeps away from what the head has changed. */
function edited(edit: AnswerEdit, result: string): string {
  const open = '{"jsonrpc":"2.0","id":1,"result":';
  const whole = Buffer.from(`${open}${result}}`);
  const head = edit.head(whole, open.length);
  const from = Math.max(open.length, ...head.map(({ end }) => end));
  const tail = edit.tail?.(whole, whole.length - 2, from) ?? [];
  const text = splice(whole, [...head, ...tail]).toString();
  JSON.parse(text);
  return text.slice(open.length, -1);
}

describe('a result of a legacy upstream for a modern client', () => {
  const call = modernResult('tools/call');
  it('says that it is complete, before all else', () => {
    expect(edited(call, '{"content":[]}')).toBe('{"resultType":"complete","content":[]}');
    expect(edited(call, '{}')).toBe('{"resultType":"complete"}');
    expect(edited(call, '{ }')).toBe('{"resultType":"complete" }');
  });

  it('says how fresh it is where a resource was read: not at all', () => {
    expect(edited(modernResult('resources/read'), '{"contents":[]}')).toBe(
      '{"resultType":"complete","ttlMs":0,"cacheScope":"private","contents":[]}',
    );
  });

  it('is left alone where it says so itself, or is no object', () => {
    expect(edited(call, '{"resultType":"complete","content":[]}')).toBe(
      '{"resultType":"complete","content":[]}',
    );
    expect(edited(call, '[1]')).toBe('[1]');
  });

  it('never says that input is required: what such a server needs it asks', () => {
    expect(edited(call, '{"resultType" : "input_required","inputRequests":{}}')).toBe(
      '{"resultType" : "complete","inputRequests":{}}',
    );
  });
});

describe('a result of a modern upstream for a legacy client', () => {
  const legacy = (result: string): string => edited(LEGACY_RESULT, result);
  it('loses what only means something to a modern one, at its head and at its tail', () => {
    expect(legacy('{"resultType":"complete","content":[]}')).toBe('{"content":[]}');
    expect(legacy('{"content":[],"resultType":"complete"}')).toBe('{"content":[]}');
    expect(legacy('{"contents":[],"ttlMs":5,"cacheScope":"public","resultType":"complete"}')).toBe(
      '{"contents":[]}',
    );
    expect(legacy('{"resultType" : "complete" , "ttlMs":5, "contents":[]}')).toBe('{ "contents":[]}');
    expect(legacy('{"resultType":"complete"}')).toBe('{}');
    expect(legacy('{"resultType":"complete","ttlMs":5}')).toBe('{}');
  });

  it('keeps everything else, also where that stands behind', () => {
    expect(
      legacy(
        '{"content":[{"type":"text","text":"a"}],"isError":false,"resultType":"complete","_meta":{"a":1}}',
      ),
    ).toBe('{"content":[{"type":"text","text":"a"}],"isError":false,"_meta":{"a":1}}');
    expect(legacy('{"content":[],"resultType":"complete","isError":true,"n":1.50}')).toBe(
      '{"content":[],"isError":true,"n":1.50}',
    );
  });

  it('loses the name of the server that answered, wherever _meta stands, and nothing else of _meta', () => {
    const stamp = '"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}';
    const escaped = stamp.replace('/', '\\/');
    const content = '"content":[{"type":"text","text":"a"}]';
    for (const [came, goes] of [
      [`{${content},"resultType":"complete","_meta":{${stamp}}}`, `{${content}}`],
      [`{${content},"_meta":{${stamp}},"resultType":"complete"}`, `{${content}}`],
      [`{"_meta":{${stamp}},${content},"resultType":"complete"}`, `{${content}}`],
      [`{"resultType":"complete","_meta":{${stamp}},${content}}`, `{${content}}`],
      [`{"_meta" : { ${stamp} } , "resultType":"complete"}`, `{}`],
      [
        `{${content},"_meta":{"a":1,${stamp}},"isError":false}`,
        `{${content},"_meta":{"a":1},"isError":false}`,
      ],
      [`{${content},"_meta":{${stamp},"a":1}}`, `{${content},"_meta":{"a":1}}`],
      [
        `{"_meta":{${stamp}},"resultType":"complete","ttlMs":0,"cacheScope":"private",${content}}`,
        `{${content}}`,
      ],
      [`{"_meta":{${stamp},"a":1},"resultType":"complete",${content}}`, `{"_meta":{"a":1},${content}}`],
      [`{"isError":false,"resultType":"complete","_meta":{${stamp}}}`, `{"isError":false}`],
      [`{"_meta":{"b":{},${stamp},"a":1},${content}}`, `{"_meta":{"b":{},"a":1},${content}}`],
      [`{"_meta":{"a":1},"resultType":"complete","ttlMs":0,${content}}`, `{"_meta":{"a":1},${content}}`],
      [`{"_meta":{},"resultType":"complete"}`, `{"_meta":{}}`],
      [`{"_meta":{${escaped}},${content}}`, `{${content}}`],
      [`{${content},"_meta":{${escaped},"a":1}}`, `{${content},"_meta":{"a":1}}`],
    ] as const)
      expect(legacy(came)).toBe(goes);
  });

  it('takes nothing out of a text that only looks like it', () => {
    for (const text of [
      '{"content":[{"type":"text","text":"x,\\"resultType\\":\\"complete"}]}',
      '{"structuredContent":{"a":1,"resultType":"complete"}}',
      '{"content":"x,\\"resultType\\":\\"complete\\""}',
      '{"a":{"b":1,"ttlMs":5},"_meta":{"c":{"d":1,"ttlMs":7}}}',
      '{"content":[],"text":", \\"_meta\\":{}"}',
    ])
      expect(legacy(text)).toBe(text);
  });
});
