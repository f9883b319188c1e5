/** What clients read as a whole holds what many servers say: none of them can make it unreadable for all. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { beforeAll, describe, expect, test } from 'vitest';
import { by, toolsOf, type Behaviours } from '../../fixtures/servers/behaviours.js';
import { createUpstream, tool } from '../../fixtures/servers/http-upstream.js';
import { atEnd } from '../../helpers/cleanup.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { callBody, openSession, post } from '../../helpers/http.js';

const badResults: Readonly<Record<string, string>> = {
  word: '{"content":[],"x":tru}',
  control: '{"content":[{"type":"text","text":"a\u0001b"}]}',
  escape: '{"content":[],"x":"\\q"}',
  number: '01',
  deep: `{"content":[],"x":${'['.repeat(5000)}${']'.repeat(5000)}}`,
};

describe('beside a server of ill will', () => {
  let gateway: RunningGateway;

  beforeAll(async () => {
    const behaviours: Behaviours = {
      ...Object.fromEntries(
        Object.entries(badResults).map(([name, result]) => [
          name,
          (call: Parameters<Behaviours[string]>[0]) => {
            call.raw(call.envelope('result', result));
          },
        ]),
      ),
    };
    const evil = await createUpstream({
      tools: [
        ...toolsOf(behaviours),
        tool('title', { title: 5 }),
        tool('icons', { icons: [{}] }),
        tool('hints', { annotations: { readOnlyHint: 'yes' } }),
        tool('properties', { inputSchema: { type: 'object', properties: { a: 5 } } }),
        '{"name":"half","inputSchema":{"type":"object"},"description":"\\ud800"}',
        '{"name":"spelt","inputSchema":{"type":"object"},"Name":"bank__echo"}',
      ],
      onCall: by(behaviours),
      capabilities: {
        tools: { listChanged: 'x' },
        resources: { subscribe: 'x' },
        logging: 5,
        extensions: { 'com.example/a': 5, 'com.example/\ud800': {} },
      },
      instructions: `half a character: \ud800`,
    });
    const bank = await createUpstream({ tools: [tool('echo')] });
    gateway = await startGateway({ servers: [evil.entry('evil'), bank.entry('bank')] });
  });

  test('a client is greeted, and reads the list of all', async () => {
    const client = new Client({ name: 'sdk', version: '1' });
    atEnd(() => client.close());
    await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url)));
    const { tools } = await client.listTools();
    const names = tools.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(['bank__echo', 'evil__title', 'evil__icons', 'evil__hints']),
    );
    for (const name of ['evil__properties', 'evil__half', 'evil__spelt']) expect(names).not.toContain(name);
  });

  test('no half of a character is in what it is greeted with', async () => {
    const answer = await post(gateway.url, {
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
    });
    expect(answer.text).toContain('half a character: \\ufffd');
    expect(answer.text).not.toMatch(/\\ud[89a-f]/i);
  });

  test.each(Object.keys(badResults))('a batch with an answer like %s stays readable', async (name) => {
    const session = await openSession(gateway.url, { protocolVersion: '2025-03-26' });
    const batch = [callBody('bank__echo', { n: 1 }, 1), callBody(`evil__${name}`, {}, 2)];
    const answer = await post(gateway.url, batch, { ...session, accept: 'application/json' });
    expect(answer.json()).toEqual([
      expect.objectContaining({ id: 1, result: expect.anything() as unknown }),
      expect.objectContaining({ id: 2, error: expect.anything() as unknown }),
    ]);
  });
});
