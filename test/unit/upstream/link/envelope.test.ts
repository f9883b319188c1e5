import { describe, expect, it } from 'vitest';
import { ownHeaders, withEnvelope } from '../../../../src/upstream/link/envelope.js';

const facts = {
  revision: '2026-07-28',
  capabilities: { roots: {} },
  clientInfo: { name: 'g', version: '1' },
};
const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'g', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': { roots: {} },
};

describe('a request of the gateway itself', () => {
  it('carries the envelope, whatever its params are', () => {
    expect(JSON.parse(withEnvelope(undefined, facts))).toEqual({ _meta: META });
    expect(JSON.parse(withEnvelope('{}', facts))).toEqual({ _meta: META });
    expect(JSON.parse(withEnvelope('{"cursor":"x"}', facts))).toEqual({ cursor: 'x', _meta: META });
    expect(JSON.parse(withEnvelope('{"_meta":{}}', facts))).toEqual({ _meta: META });
    expect(withEnvelope('{"n":1.0,"big":12345678901234567890}', facts)).toContain(
      '"n":1.0,"big":12345678901234567890',
    );
  });

  it('keeps what its _meta says already', () => {
    const given = { 'io.modelcontextprotocol/clientCapabilities': {}, progressToken: 1 };
    expect(JSON.parse(withEnvelope(JSON.stringify({ taskId: 't', _meta: given }), facts))).toEqual({
      taskId: 't',
      _meta: { ...META, ...given },
    });
    expect(JSON.parse(withEnvelope(JSON.stringify({ _meta: META }), facts))).toEqual({ _meta: META });
  });

  it('names what it is about in a header where its method has one', () => {
    expect(ownHeaders('tasks/get', '{"taskId":"é"}')).toEqual(['mcp-name', '=?base64?w6k=?=']);
    expect(ownHeaders('tools/list', undefined)).toBeUndefined();
  });
});
