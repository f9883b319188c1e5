import { describe, expect, it } from 'vitest';
import { LOCAL } from '../../../src/auth/authenticate.js';
import { prepare, toLegacy, toModern } from '../../../src/bridge/envelope.js';
import { readMessages, type Message } from '../../../src/protocol/message.js';
import type { Caller, View } from '../../../src/protocol/ports.js';
import { splice } from '../../../src/wire/splice.js';

const caller: Caller = {
  principal: LOCAL,
  client: 'c',
  alone: true,
  era: 'legacy',
  revision: '2025-11-25',
  capabilities: {},
  clientInfo: '{"name":"me","version":"1"}',
  level: undefined,
  view: {} as View,
};
const ENVELOPE =
  '"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/clientInfo":{"name":"me","version":"1"}';

const read = (text: string): Message => readMessages(Buffer.from(text)) as Message;
const legacy = (params: string): string => {
  const message = read(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`);
  const text = splice(message.body, toLegacy(message)).toString();
  return text.slice(text.indexOf('"params":') + 9, -1);
};
const modern = (params: string | undefined, more = '', from = caller): string => {
  const tail = params === undefined ? '' : `,"params":${params}`;
  const message = read(`{"jsonrpc":"2.0","id":1,"method":"tools/call"${tail}}`);
  const text = splice(message.body, toModern(message, prepare('{"roots":{}}', from), more)).toString();
  JSON.parse(text);
  return text.slice(text.indexOf('"params":') + 9, -1);
};

describe('a modern request for a legacy upstream', () => {
  it('loses its envelope and nothing else, wherever its members stand', () => {
    const own = '"io.modelcontextprotocol/protocolVersion":"2026-07-28"';
    const level = '"io.modelcontextprotocol/logLevel":"info"';
    expect(legacy(`{"name":"x","_meta":{${own}, ${level}}}`)).toBe('{"name":"x","_meta":{}}');
    expect(legacy(`{"_meta":{${own},"a":1.50,${level}},"name":"x"}`)).toBe('{"_meta":{"a":1.50},"name":"x"}');
    expect(legacy(`{"_meta":{"a":1, ${own} ,${level},"b" : [2]},"name":"x"}`)).toBe(
      '{"_meta":{"a":1 ,"b" : [2]},"name":"x"}'.replace('1 ,', '1,'),
    );
    expect(legacy(`{"_meta":{ ${own} , ${level} , "progressToken":7},"name":"x"}`)).toBe(
      '{"_meta":{ "progressToken":7},"name":"x"}',
    );
  });

  it('loses what belongs to its rounds', () => {
    expect(legacy('{"requestState":"s","name":"x","inputResponses":{"a":{}},"_meta":{"k":1}}')).toBe(
      '{"name":"x","_meta":{"k":1}}',
    );
    expect(legacy('{"requestState":"s"}')).toBe('{}');
  });

  it('can be given a member for the start of its params', () => {
    const message = read('{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"x"}}');
    expect(splice(message.body, toLegacy(message, '"task":{}')).toString()).toContain(
      '"params":{"task":{},"name":"x"}',
    );
  });
});

describe('a legacy request for a modern upstream', () => {
  it('gets an envelope where there is a _meta, where there is none, and where there are no params', () => {
    expect(modern('{"name":"x","_meta":{"progressToken":1}}')).toBe(
      `{"name":"x","_meta":{${ENVELOPE},"progressToken":1}}`,
    );
    expect(modern('{"name":"x","_meta":{}}')).toBe(`{"name":"x","_meta":{${ENVELOPE}}}`);
    expect(modern('{"name":"x","big":12345678901234567890}')).toBe(
      `{"_meta":{${ENVELOPE}},"name":"x","big":12345678901234567890}`,
    );
    expect(modern('{}')).toBe(`{"_meta":{${ENVELOPE}}}`);
    expect(modern(undefined)).toBe(`{"_meta":{${ENVELOPE}}}`);
    expect(modern('{"_meta":null,"name":"x"}')).toBe(`{"_meta":{${ENVELOPE}},"name":"x"}`);
  });

  it('names a log level where its session has one, and no client that did not say who it is', () => {
    const { clientInfo: _, ...anonymous } = caller;
    expect(modern('{}', '', { ...anonymous, clientInfo: undefined, level: 'error' })).toBe(
      '{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/logLevel":"error"}}',
    );
  });

  it('loses the task it asked for: tasks of the other era are asked for in another way', () => {
    expect(modern('{"task":{"ttl":1},"name":"x"}')).toBe(`{"_meta":{${ENVELOPE}},"name":"x"}`);
    expect(modern('{"task":{"ttl":1}}')).toBe(`{"_meta":{${ENVELOPE}}}`);
  });

  it('becomes a retry by what is put first', () => {
    const more = '"inputResponses":{"a":{"action":"accept"}},"requestState":"s",';
    for (const params of ['{"name":"x","_meta":{"k":1}}', '{"name":"x"}', '{"_meta":{}}', '{"_meta":null}']) {
      const parsed = JSON.parse(modern(params, more)) as Record<string, unknown>;
      expect(parsed['inputResponses']).toEqual({ a: { action: 'accept' } });
      expect(parsed['requestState']).toBe('s');
      expect(parsed['_meta']).toHaveProperty(['io.modelcontextprotocol/protocolVersion'], '2026-07-28');
    }
  });
});
