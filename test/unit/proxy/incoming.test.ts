import { describe, expect, it } from 'vitest';
import { LOCAL } from '../../../src/auth/authenticate.js';
import { GatewayError } from '../../../src/errors.js';
import { Calls } from '../../../src/observe/calls.js';
import { readMessages, type Message } from '../../../src/protocol/message.js';
import type { Caller, Target } from '../../../src/protocol/ports.js';
import { answer, Incoming, refused, type Origin } from '../../../src/proxy/incoming.js';
import type { Session } from '../../../src/session/store.js';
import { linkOf, sinkOf } from './stage.js';
import { routeTo } from '../../../src/proxy/route.js';

const origin: Origin = {
  principal: LOCAL,
  route: routeTo({}),
  sessionId: undefined,
  version: undefined,
  era: 'legacy',
  headers: undefined,
};
const messageOf = (message: object): Message =>
  readMessages(Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }))) as Message;

function begin(message: object = { id: 1, method: 'tools/call', params: { name: 't' } }) {
  const calls = new Calls();
  const told: string[] = [];
  calls.add({
    opened: () => told.push('opened'),
    asked: (_call, method) => told.push(`asked ${method}`),
    over: ({ result, reason, outcome, sent }) =>
      told.push(`${result} ${reason ?? '-'} ${outcome}${sent ? ' sent' : ''}`),
  });
  return { told, incoming: new Incoming({ calls }, origin, messageOf(message), sinkOf([])) };
}

describe('a message', () => {
  it('is over once: the first end counts', () => {
    const { incoming, told } = begin();
    incoming.markSent({ link: linkOf('s'), label: 't' } as Target);
    incoming.asked('roots/list');
    incoming.over('error', 'cancelled', 'client gone');
    incoming.over('success');
    expect(told).toEqual(['opened', 'asked roots/list', 'error cancelled client gone sent']);
    expect(incoming).toMatchObject({ result: 'error', reason: 'cancelled', outcome: 'client gone' });
    expect(incoming.ms).toBeGreaterThanOrEqual(0);
  });

  it('that ends without a reason of its own has the one that was found before', () => {
    const { incoming, told } = begin();
    incoming.reason = 'upstream_disconnected';
    incoming.over('error');
    expect(told).toEqual(['error upstream_disconnected ']);
  });

  it('counts under a method of a closed set', () => {
    const method = (message: object): string => begin(message).incoming.method;
    expect(method({ id: 1, method: 'tools/call', params: {} })).toBe('tools/call');
    expect(method({ id: 1, method: 'my/own' })).toBe('unknown');
    expect(method({ id: 1, method: 'constructor' })).toBe('unknown');
    expect(method({ id: 1, result: {} })).toBe('invalid');
  });

  it('has no caller before it is admitted, and no key without a session', () => {
    const { incoming } = begin();
    expect(() => incoming.caller).toThrow('before it is admitted');
    expect([incoming.key, incoming.sessionId]).toEqual([undefined, undefined]);
    const caller = {} as Caller;
    incoming.admit(caller, { id: 'session' } as Session);
    expect(incoming.caller).toBe(caller);
    expect([incoming.key, incoming.sessionId]).toEqual(['1', 'session']);
    expect(incoming.merged).toBe(true);
  });
});

describe('an answer', () => {
  it('has the id as the client wrote it', () => {
    for (const id of [1, 'a"b', -1, '']) {
      const { bytes } = answer(messageOf({ id, method: 'ping' }), '{}') as { bytes: Buffer };
      expect(JSON.parse(bytes.toString())).toEqual({ jsonrpc: '2.0', id, result: {} });
    }
  });

  it('can be given in parts', () => {
    const parts = [Buffer.from('{"a":'), Buffer.from('"é"}')];
    const { bytes } = answer(messageOf({ id: 'x', method: 'ping' }), parts) as { bytes: Buffer };
    expect(JSON.parse(bytes.toString())).toEqual({ jsonrpc: '2.0', id: 'x', result: { a: 'é' } });
  });

  it('to a response that is refused has no id: that belongs to a request of a server', () => {
    const error = new GatewayError('invalid_request', 'no');
    expect(refused(messageOf({ id: 7, result: {} }), error)).toMatchObject({ id: 'null' });
    expect(refused(messageOf({ id: 7, method: 'ping' }), error)).toMatchObject({ id: '7' });
  });
});
