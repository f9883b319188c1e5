import { describe, expect, it } from 'vitest';
import { classify } from '../../../src/protocol/classify.js';
import {
  find,
  idKey,
  MessageError,
  param,
  readMessages,
  type Message,
} from '../../../src/protocol/message.js';
import { isLegacyRevision, isModernRevision } from '../../../src/protocol/revisions.js';

const single = (text: string): Message => {
  const message = readMessages(Buffer.from(text));
  if (Array.isArray(message)) throw new Error('a batch');
  return message;
};
const refusal = (text: string): MessageError => {
  try {
    readMessages(Buffer.from(text));
  } catch (error) {
    if (error instanceof MessageError) return error;
  }
  throw new Error(`taken: ${text}`);
};

describe('a message', () => {
  it('is a request, a notification or a response', () => {
    expect(single('{"jsonrpc":"2.0","id":1,"method":"ping"}').kind).toBe('request');
    expect(single('{"jsonrpc":"2.0","method":"notifications/x"}').kind).toBe('notification');
    expect(single('{"jsonrpc":"2.0","id":1,"result":{}}').kind).toBe('response');
    expect(single('{"jsonrpc":"2.0","id":1,"error":{}}').kind).toBe('response');
  });

  it('keeps its id as bytes and where everything stands', () => {
    const text =
      '{"params":{"name":"n","_meta":{"progressToken":7.0}},"id" : 1.0,"method":"m\\u0065","jsonrpc":"2.0"}';
    const message = single(text);
    expect(message.id).toBe('1.0');
    expect(message.method).toBe('me');
    expect(param(message, 'name')).toBe('n');
    expect(param(message, 'absent')).toBeUndefined();
    const token = find(message.meta, 'progressToken');
    expect(text.slice(token?.start, token?.end)).toBe('7.0');
    expect(text.slice(message.idSpan?.start, message.idSpan?.end)).toBe('1.0');
    expect(text.slice(message.paramsSpan?.start, message.paramsSpan?.end)).toBe(
      '{"name":"n","_meta":{"progressToken":7.0}}',
    );
  });

  it('may have members of its own that are large or strange', () => {
    single('{"jsonrpc":"2.0","id":1,"method":"ping","x":1,"x":2,"__proto__":{}}');
    single(
      '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"Names":1,"a":1,"a":2,"arguments":{"name":1,"name":2}}}',
    );
  });
});

/** Members that a reader behind the gateway could take for another one. */
const AMBIGUOUS = [
  '{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}',
  '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
  '{"jsonrpc":"2.0","id":1,"\\u0069d":2,"method":"ping"}',
  '{"jsonrpc":"2.0","id":1,"ID":2,"method":"ping"}',
  '{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"x"}',
  '{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}',
  '{"jsonrpc":"2.0","id":1,"method":"ping","Params":{}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","n\\u0061me":"b"}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{},"arguments":{}}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"uri":"a","URI":"b"}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{},"_meta":{}}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{},"_Meta":{}}}',
];

describe('what is no message', () => {
  it.each(AMBIGUOUS)('%s', (text) => {
    const error = refusal(text);
    expect(error.code).toBe('invalid_request');
    expect(error.message).toMatch(/twice|in case alone/);
  });

  it('says which id it had, where that can be read', () => {
    expect(refusal('{"jsonrpc":"1.0","id":"x","method":"m"}').id).toBe('"x"');
    expect(refusal('{"jsonrpc":"2.0","id":{},"method":"m"}').id).toBe('null');
    expect(refusal('{"jsonrpc":"2.0"').id).toBe('null');
  });

  it.each([
    ['{"jsonrpc":"2.0","id":1}', 'method is required'],
    ['{"id":1,"method":"m"}', "jsonrpc must be '2.0'"],
    ['{"jsonrpc":"2.0","id":1,"method":null}', 'method must be a string'],
    ['{"jsonrpc":"2.0","id":1,"method":"m","params":5}', 'params must be an object'],
    ['{"jsonrpc":"2.0","id":null,"method":"m"}', 'id must be a string or a number'],
    ['"text"', 'request must be an object'],
  ])('%s: %s', (text, message) => {
    expect(refusal(text).message).toBe(message);
  });
});

describe('a batch', () => {
  it('has a message or an error for each element, with spans of its own', () => {
    const read = readMessages(
      Buffer.from('[ {"jsonrpc":"2.0","id":1,"method":"a"} , 5,{"jsonrpc":"2.0","method":"b"},[]]'),
    );
    if (!Array.isArray(read)) throw new Error('no batch');
    expect(read.map((one) => (one instanceof MessageError ? one.code : one.method))).toEqual([
      'a',
      'invalid_request',
      'b',
      'invalid_request',
    ]);
    const [first] = read as [Message];
    expect(first.body.subarray(first.idSpan?.start, first.idSpan?.end).toString()).toBe('1');
  });
});

it('ids that are the same value have one key', () => {
  expect(idKey('"\\u0061"')).toBe(idKey('"a"'));
  expect(idKey('1')).not.toBe(idKey('"1"'));
});

describe('the era of a request', () => {
  const era = (text: string, header?: string): string => classify(header, single(text));
  const META = 'io.modelcontextprotocol';
  const withMeta = (key: string): string =>
    `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"${key}":1}}}`;

  it('is modern by the header, the envelope or the method', () => {
    expect(era('{"jsonrpc":"2.0","id":1,"method":"m"}', '2026-07-28')).toBe('modern');
    expect(era('{"jsonrpc":"2.0","id":1,"method":"m"}', '2030-01-01')).toBe('modern');
    for (const key of ['protocolVersion', 'clientCapabilities', 'clientInfo'])
      expect(era(withMeta(`${META}/${key}`))).toBe('modern');
    expect(era(withMeta(`${META}/\\u0063lientInfo`))).toBe('modern');
    for (const method of ['server/discover', 'subscriptions/listen'])
      expect(era(`{"jsonrpc":"2.0","id":1,"method":"${method}"}`)).toBe('modern');
  });

  it('is legacy otherwise', () => {
    expect(era('{"jsonrpc":"2.0","id":1,"method":"initialize"}')).toBe('legacy');
    expect(era('{"jsonrpc":"2.0","id":1,"method":"m"}', '2025-11-25')).toBe('legacy');
    expect(era('{"jsonrpc":"2.0","id":1,"method":"m"}', '2026-07-28x')).toBe('legacy');
    expect(era(withMeta(`${META}/related-task`))).toBe('legacy');
    expect(era(withMeta('progressToken'))).toBe('legacy');
  });
});

it('the revisions are these', () => {
  for (const version of ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25']) {
    expect(isLegacyRevision(version)).toBe(true);
    expect(isModernRevision(version)).toBe(false);
  }
  for (const version of ['2024-10-07', '2025-11-26', '', 'latest'])
    expect(isLegacyRevision(version)).toBe(false);
  expect(isModernRevision('2026-07-28')).toBe(true);
  expect(isModernRevision('2026-07-27')).toBe(false);
});
