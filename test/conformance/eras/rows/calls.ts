import { expect } from 'vitest';
import { atEnd } from '../../../helpers/cleanup.js';
import { connect, DIGITS, MARK, META, textOf, type Json } from '../actors.js';
import { ALL, CLIENT, gateway, row, SERVER } from '../stage.js';

const check = row('`tools/call`, `prompts/get`, `resources/read`, `completion/complete`');

check(ALL, 'A tool is called and returns its result', async (meeting) => {
  const client = await meeting.client();
  expect(await client.say('test_simple_text')).toBe('This is a simple text response for testing.');
});

check(ALL, 'Content of every type arrives, and audio as text if the revision lacks it', async (meeting) => {
  const client = await meeting.client();
  const types = async (name: string): Promise<unknown[]> =>
    ((await client.call(name))['content'] as Json[]).map(({ type }) => type);
  expect(await types('test_multiple_content_types')).toEqual(['text', 'image', 'resource']);
  expect(await types('test_audio_content')).toEqual([
    meeting.kind.revision === '2024-11-05' ? 'text' : 'audio',
  ]);
});

check(ALL, 'An error of a tool is a result', async (meeting) => {
  const client = await meeting.client();
  const result = await client.call('test_error_handling');
  expect(result['isError']).toBe(true);
  expect(textOf(result)).toContain('This tool intentionally returns an error for testing');
});

check(ALL, 'An unknown tool is an invalid-params error', async (meeting) => {
  const client = await meeting.client();
  await expect(client.call('no_such_tool')).rejects.toMatchObject({ code: -32602 });
  expect(client.last('tools/call').answer.error?.code).toBe(-32602);
});

check(ALL, 'A prompt is returned with its arguments', async (meeting) => {
  const client = await meeting.client();
  const { messages } = await client.prompt('test_prompt_with_arguments', { arg1: 'one', arg2: 'two' });
  expect(messages).toEqual([
    { role: 'user', content: { type: 'text', text: "Prompt with arguments: arg1='one', arg2='two'" } },
  ]);
});

check(ALL, 'Resources are read: text, binary, and from a template', async (meeting) => {
  const client = await meeting.client();
  const contents = async (uri: string): Promise<unknown> => (await client.read(uri))['contents'];
  expect(await contents('test://static-text')).toEqual([
    {
      uri: 'test://static-text',
      mimeType: 'text/plain',
      text: 'This is the content of the static text resource.',
    },
  ]);
  expect(await contents('test://static-binary')).toEqual([
    {
      uri: 'test://static-binary',
      mimeType: 'image/png',
      blob: expect.stringMatching(/^iVBORw0KGgo/) as string,
    },
  ]);
  expect(JSON.stringify(await contents('test://template/7/data'))).toContain('Data for ID: 7');
});

check(ALL, 'A missing resource is the error of the client era', async (meeting) => {
  const client = await meeting.client();
  const uri = 'test://template/is/not/there';
  await expect(client.read(uri)).rejects.toThrow();
  const { status, answer } = client.last('resources/read');
  expect(answer.error).toMatchObject({
    code: meeting.kind.era === 'modern' ? -32602 : -32002,
    data: { uri },
  });
  expect(status).toBe(200);
});

check(ALL, 'An argument is completed', async (meeting) => {
  const client = await meeting.client();
  const { completion } = await client.complete({
    ref: { type: 'ref/prompt', name: 'test_prompt_with_arguments' },
    argument: { name: 'arg1', value: 'par' },
  });
  expect(completion).toMatchObject({ values: ['paris', 'park'] });
});

check(ALL, 'A result keeps unknown members and digits beyond number precision', async (meeting) => {
  const client = await meeting.client();
  await client.call('echo');
  const { text } = client.last('tools/call');
  for (const piece of [
    `"x-first":{"digits":${DIGITS}}`,
    // SDK v1 lets no such member of a content block out.
    ...(meeting.server === 'modern' ? [`"x-own":[${DIGITS}`] : []),
    `"_meta":{"com.example/digits":${DIGITS}}`,
    `"structuredContent":{"digits":${DIGITS},"x-unknown":{"deep":[{"digits":${DIGITS}}]}}`,
    `"com.example/trace":{"digits":${DIGITS}}`,
    '"x-last":null',
  ])
    expect(text).toContain(piece);
});

/** What `echo` says it was called with. */
async function heardBy(
  client: { call(name: string, args: Json, options: object): Promise<Json> },
  args: Json = {},
  meta: Json = {},
): Promise<Json> {
  return JSON.parse(textOf(await client.call('echo', args, { meta }))) as Json;
}

check(
  SERVER.modern,
  'A request keeps unknown members and digits beyond number precision',
  async (meeting) => {
    const client = await meeting.client();
    const heard = await heardBy(client, { big: MARK, deep: [{ 'x-own': [null, MARK] }] });
    expect(heard['body']).toContain(`"arguments":{"big":${DIGITS},"deep":[{"x-own":[null,${DIGITS}]}]}`);
  },
);

check(ALL, 'Trace context and third-party members in `_meta` arrive', async (meeting) => {
  const client = await meeting.client();
  const meta = {
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01',
    'com.example/own': { deep: [1] },
  };
  const { params } = await heardBy(client, {}, meta);
  expect((params as Json)['_meta']).toMatchObject(meta);
});

check(SERVER.modern, 'A modern server receives the revision and the client info', async (meeting) => {
  const client = await meeting.client();
  const { params, headers } = await heardBy(client);
  const meta = (params as { _meta: Json })._meta;
  expect(meta[`${META}/protocolVersion`]).toBe('2026-07-28');
  expect(meta[`${META}/clientInfo`]).toMatchObject({ name: meeting.kind.title.replaceAll(' ', '-') });
  if (meeting.transport === 'HTTP')
    expect(headers).toMatchObject({
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'echo',
    });
});

check(SERVER.legacy, 'A legacy server does not receive the modern envelope', async (meeting) => {
  const client = await meeting.client();
  const { params } = await heardBy(client);
  expect(JSON.stringify((params as Json)['_meta'] ?? {})).not.toMatch(
    /protocolVersion|client(Info|Capabilities)/,
  );
});

check(CLIENT.modern, 'Every result has its type', async (meeting) => {
  const client = await meeting.client();
  await client.call('test_simple_text');
  await client.prompt('test_simple_prompt');
  await client.read('test://static-text');
  await client.complete({
    ref: { type: 'ref/prompt', name: 'test_prompt_with_arguments' },
    argument: { name: 'arg1', value: '' },
  });
  for (const method of ['tools/call', 'prompts/get', 'resources/read', 'completion/complete'])
    expect(client.last(method).answer.result).toMatchObject({ resultType: 'complete' });
});

check(['modern-legacy'], 'What is read of a legacy server is not to be kept', async (meeting) => {
  const client = await meeting.client();
  await client.read('test://static-text');
  expect(client.last('resources/read').answer.result).toMatchObject({ ttlMs: 0, cacheScope: 'private' });
});

check(['legacy-modern'], 'A legacy client does not receive result types and cache hints', async (meeting) => {
  const client = await meeting.client();
  await client.call('test_simple_text');
  await client.read('test://static-text');
  for (const method of ['tools/call', 'resources/read']) {
    const { result } = client.last(method).answer;
    expect(result).toBeDefined();
    for (const member of ['resultType', 'ttlMs', 'cacheScope']) expect(result).not.toHaveProperty(member);
  }
});

check(SERVER.modern, 'A mirrored parameter is sent as a header, whatever its value', async (meeting) => {
  const client = await meeting.client();
  await client.list('tools');
  for (const region of ['us-west1', 'Zürich', ' padded ', '=?base64?literal?='])
    expect(await client.say('test_x_mcp_header', { region })).toBe(`region=${region}`);
  expect(await client.say('test_x_mcp_header', {})).toBe('region=none');
});

check(
  SERVER.modern,
  'A structured result that is not an object is wrapped for older clients',
  async (meeting) => {
    const client = await meeting.client();
    await client.list('tools');
    expect((await client.call('list_numbers'))['structuredContent']).toEqual(
      meeting.kind.era === 'modern' ? [1, 2, 3] : { result: [1, 2, 3] },
    );
  },
);

check(
  ['legacy-modern'],
  'A server that breaks off before its result is an internal error',
  async (meeting) => {
    const client = await meeting.client();
    await expect(client.call('break_off')).rejects.toThrow();
    expect(client.last('tools/call').answer.error?.code).toBe(-32603);
  },
  ({ transport }) => transport === 'HTTP',
);

check(
  ['modern-modern'],
  'A server that breaks off before its result breaks the client stream',
  async (meeting) => {
    await expect(meeting.raw().request('tools/call', { name: 'break_off', arguments: {} })).rejects.toThrow();
  },
  ({ transport }) => transport === 'HTTP',
);

check(CLIENT.modern, 'A name in the header that differs from the body is refused', async (meeting) => {
  const { url } = meeting;
  const body = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: {
      name: 'test_simple_text',
      arguments: {},
      _meta: { [`${META}/protocolVersion`]: '2026-07-28', [`${META}/clientCapabilities`]: {} },
    },
  };
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'another',
    },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ id: 1, error: { code: -32020 } });
});

check(ALL, 'On the merged endpoint the same works with qualified names', async (meeting) => {
  const client = await connect(meeting.kind, gateway.url);
  atEnd(() => client.close());
  // Over stdio a second client is one too many where others are asked.
  const name = (own: string): string => `${meeting.upstream(true)}__${own}`;
  expect(await client.say(name('test_simple_text'))).toBe('This is a simple text response for testing.');
  const { messages } = await client.prompt(name('test_simple_prompt'));
  expect(JSON.stringify(messages)).toContain('This is a simple prompt for testing.');
  const { contents } = await client.read('test://static-text');
  expect(JSON.stringify(contents)).toContain('This is the content of the static text resource.');
});
