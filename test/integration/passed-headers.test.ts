/** `headers_from_client`: what clients pass on to a server, and to no other one. */
import { describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call } from '../fixtures/servers/http-upstream.js';
import { startGateway } from '../helpers/gateway.js';
import { callBody, message, post, textOf, type Headers, type JsonRpc } from '../helpers/http.js';
import { call } from '../helpers/modern.js';

/** Answers with what the server was called with. */
const echo = (asked: Call): void => {
  const { authorization, 'x-upstream-token': raw } = asked.received.headers;
  asked.result({ content: [{ type: 'text', text: JSON.stringify([authorization, raw]) }] });
};

async function stage() {
  const named = await createUpstream({ tools: [tool('t')], onCall: echo, sessions: true });
  const other = await createUpstream({ tools: [tool('t')], onCall: echo, sessions: true });
  const running = await startGateway({
    servers: [
      named.entry('named', { headers_from_client: { 'X-Upstream-Token': 'Authorization' } }),
      other.entry('other'),
    ],
  });
  return { named, other, running };
}

const token = (value: string): Headers => ({ 'x-upstream-token': value });

async function session(url: string, headers: Headers): Promise<Headers> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
  const opened = await post(url, { jsonrpc: '2.0', id: 0, method: 'initialize', params }, headers);
  const id = String(opened.headers['mcp-session-id']);
  return { ...headers, 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' };
}

let ids = 0;
const called = async (url: string, name: string, headers: Headers): Promise<JsonRpc> =>
  message(await post(url, callBody(name, {}, String(++ids)), headers));

describe('a header that a server gets from its clients', () => {
  it('reaches that server alone, under the name of the configuration', async () => {
    const { running, named, other } = await stage();
    const ada = await session(running.url, token('Bearer ada'));
    expect(textOf(await called(running.url, 'named__t', ada))).toBe('["Bearer ada",null]');
    expect(textOf(await called(running.url, 'other__t', ada))).toBe('[null,null]');
    expect(JSON.stringify(other.requests.map(({ headers }) => headers))).not.toContain('ada');
    const modern = await call(running.url, 'named__t', {}, { headers: token('Bearer ada') });
    expect(textOf(modern)).toBe('["Bearer ada",null]');
    const sessions = named.requests
      .filter(({ headers }) => headers.authorization === 'Bearer ada')
      .map(({ headers }) => headers['mcp-session-id']);
    // Clients with the same values share a connection.
    expect(new Set(sessions.filter((id) => id !== undefined)).size).toBe(1);
    expect(JSON.stringify(await running.health())).not.toContain('ada');
    expect((await running.health()).servers[0]).toMatchObject({ headers_from_client: ['x-upstream-token'] });
  });

  it('is that of each client, however many call at once', async () => {
    const { running, named } = await stage();
    const people = ['ada', 'bob', 'eve'];
    const sessions = await Promise.all(people.map((who) => session(running.url, token(`Bearer ${who}`))));
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => called(running.url, 'named__t', sessions[i % 3] as Headers)),
    );
    expect(answers.map(textOf)).toEqual(answers.map((_, i) => `["Bearer ${people[i % 3] as string}",null]`));
    const byS = new Map<string, Set<string | undefined>>();
    for (const { headers } of named.requests) {
      const id = headers['mcp-session-id'];
      if (typeof id === 'string') byS.set(id, (byS.get(id) ?? new Set()).add(headers.authorization));
    }
    for (const values of byS.values()) expect(values.size).toBe(1);
  });

  it('is not sent for a client that has none, and does not change within a session', async () => {
    const { running } = await stage();
    const without = await session(running.url, {});
    expect(textOf(await called(running.url, 'named__t', without))).toBe('[null,null]');
    const ada = await session(running.url, token('Bearer ada'));
    const { error } = await called(running.url, 'named__t', { ...ada, ...token('Bearer bob') });
    expect(error?.message).toContain('opened with other values of the headers that servers get');
    const { 'x-upstream-token': _, ...nothing } = ada;
    expect((await called(running.url, 'named__t', nothing)).error?.message).toContain('other values');
  });

  it('must be one line of sensible length', async () => {
    const { running } = await stage();
    const { error } = await call(running.url, 'named__t', {}, { headers: token('x'.repeat(5000)) });
    expect(error?.message).toContain('the header x-upstream-token must be one line of at most 4096');
  });

  it.each([
    [
      { authorization: 'authorization' },
      {},
      'headers_from_client.authorization is a header of clients that no server gets',
    ],
    [{ cookie: 'x-cookie' }, {}, 'is a header of clients that no server gets'],
    [{ 'x-a': 'host' }, {}, "'host' is a header that the gateway sets itself"],
    [{ 'x-a': 'authorization' }, { auth: { type: 'oauth' } }, 'is there beside auth of the type oauth'],
    [{ 'x-a': 'x-b' }, { url: 'http://example.com/mcp' }, 'needs an https url, or one of a loopback address'],
    [{ 'x-a': 'x-b' }, { session: 'per-client' }, 'is there beside session: per-client'],
  ])('%o beside %o is a mistake', async (headers_from_client, more, text) => {
    const entry = { name: 'x', url: 'http://127.0.0.1:9/mcp', ...more, headers_from_client };
    await expect(startGateway({ servers: [entry as never] }, { wait: [] })).rejects.toThrow(text);
  });
});
