import { describe, expect, it } from 'vitest';
import { lostByError, lostByStatus } from '../../../../src/upstream/calls/lost-session.js';

/** The session texts, in any case, and the reason each one counts as. */
const TEXTS: [text: string, reason: string][] = [
  ['unknown mcp session', 'unknown_session'],
  ['Unknown MCP Session: abc', 'unknown_session'],
  ['Session expired', 'expired'],
  ['the SESSION EXPIRED a while ago', 'expired'],
  ['session terminated', 'terminated'],
  ['Session not found', 'unknown_session'],
  ['Bad Request: No valid session ID provided', 'unknown_session'],
];

describe('an HTTP status', () => {
  it.each(TEXTS)('400, 401, 403, 404 or 410 with %j is a lost session: %s', (text, reason) => {
    for (const status of [400, 401, 403, 404, 410])
      expect(lostByStatus(status, `{"error":"${text}"}`, undefined, true)).toBe(reason);
  });

  it('404 to a request with a session id is one, whatever it says', () => {
    expect(lostByStatus(404, '', undefined, true)).toBe('unknown_session');
    expect(lostByStatus(404, '<h1>Not Found</h1>', undefined, true)).toBe('unknown_session');
  });

  it('404 to a request without a session id is a wrong address', () => {
    expect(lostByStatus(404, 'session not found', undefined, false)).toBeUndefined();
  });

  it('400 with -32001 is one, if there was a session', () => {
    const error = { code: -32001, message: 'whatever' };
    expect(lostByStatus(400, '', error, true)).toBe('unknown_session');
    expect(lostByStatus(400, '', error, false)).toBeUndefined();
    expect(lostByStatus(400, '', { code: -32600, message: 'no' }, true)).toBeUndefined();
  });

  it.each([400, 401, 403, 410])('%s without a session text is none', (status) => {
    expect(lostByStatus(status, 'your login expired', undefined, true)).toBeUndefined();
  });

  it.each([200, 405, 408, 409, 429, 500, 502, 503])('%s is none, whatever it says', (status) => {
    expect(
      lostByStatus(status, 'session expired', { code: -32001, message: 'session expired' }, true),
    ).toBeUndefined();
  });
});

describe('a JSON-RPC error', () => {
  it.each(TEXTS)('of -32000, -32001 or -32600 with %j is a lost session: %s', (message, reason) => {
    for (const code of [-32000, -32001, -32600]) expect(lostByError({ code, message })).toBe(reason);
  });

  it('of -32001 alone is a time-out of an SDK server, not a lost session', () => {
    expect(lostByError({ code: -32001, message: 'Request timed out' })).toBeUndefined();
  });

  it.each([-32601, -32602, -32603, -32700, -32002, 1, 404])('of %s is none, whatever it says', (code) => {
    expect(lostByError({ code, message: 'session expired' })).toBeUndefined();
  });

  it('whose text stands in its data alone is none', () => {
    expect(lostByError({ code: -32000, message: 'failed', data: 'session expired' })).toBeUndefined();
  });
});
