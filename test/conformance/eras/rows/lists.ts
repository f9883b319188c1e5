import { beforeAll, expect } from 'vitest';
import { connect, KINDS, type Json, type Kind, type ListKind } from '../actors.js';
import { ALL, CLIENT, gateway, row, SERVER, urls, type Era } from '../stage.js';
import { atEnd } from '../../../helpers/cleanup.js';

const check = row('Lists');
const LISTS: readonly ListKind[] = ['tools', 'prompts', 'resources', 'resourceTemplates'];

/** What the servers list to a client of their own era, without a gateway. */
const direct: Record<Era, Record<string, Json[]>> = { legacy: {}, modern: {} };
beforeAll(async () => {
  for (const era of ['legacy', 'modern'] as const) {
    const kind = KINDS.find((each) => each.era === era) as Kind;
    const client = await connect(kind, urls[era]);
    atEnd(() => client.close());
    for (const list of LISTS) direct[era][list] = await client.list(list);
  }
});

/** What appeared while others tested is not what this is about. */
const items = (list: readonly Json[] | undefined): Json[] =>
  (list ?? []).filter(({ name }) => name !== 'appeared');
const names = (list: readonly Json[] | undefined): unknown[] => items(list).map(({ name }) => name);

check(ALL, 'Every list has the entries of the server, in its order', async (meeting) => {
  const client = await meeting.client();
  for (const list of LISTS)
    expect(names(await client.list(list))).toEqual(names(direct[meeting.server][list]));
});

check(
  ['legacy-legacy', 'modern-modern'],
  'Definitions are unchanged',
  async (meeting) => {
    const client = await meeting.client();
    for (const list of LISTS)
      expect(items(await client.list(list))).toEqual(items(direct[meeting.server][list]));
  },
  ({ kind }) => kind.revision >= '2025-11-25',
);

check(['modern-legacy', 'legacy-modern'], 'Input schemas are what the server wrote', async (meeting) => {
  const client = await meeting.client();
  const schemas = (tools: readonly Json[] | undefined): unknown[] =>
    items(tools).map(({ name, inputSchema }) => [name, inputSchema]);
  expect(schemas(await client.list('tools'))).toEqual(schemas(direct[meeting.server]['tools']));
});

check(CLIENT.modern, 'Lists have a TTL and a cache scope', async (meeting) => {
  const client = await meeting.client();
  const raw = meeting.raw();
  for (const method of ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list']) {
    const { result } = await raw.request(method);
    expect(result).toMatchObject({ resultType: 'complete', ttlMs: expect.any(Number) as number });
    expect(['public', 'private']).toContain(result?.['cacheScope']);
    expect(result?.['ttlMs']).toBeGreaterThanOrEqual(0);
  }
  expect(client.instructions).toBe('Call what you want to test.');
});

check(CLIENT.legacy, 'Lists have no members that older revisions lack', async (meeting) => {
  const client = await meeting.client();
  await client.list('tools');
  const { result } = client.last('tools/list').answer;
  for (const member of ['resultType', 'ttlMs', 'cacheScope']) expect(result).not.toHaveProperty(member);
});

check(ALL, 'Instructions, capabilities and extensions of the server are forwarded', async (meeting) => {
  const client = await meeting.client();
  expect(client.instructions).toBe('Call what you want to test.');
  expect(client.capabilities).toMatchObject({
    tools: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
    prompts: { listChanged: true },
    completions: {},
    logging: {},
    extensions: { 'com.example/colours': { shades: 3 } },
  });
});

check(CLIENT.modern, 'Discovery names only modern revisions', async (meeting) => {
  const { status, result } = await meeting.raw().request('server/discover');
  expect(status).toBe(200);
  expect(result).toMatchObject({ resultType: 'complete', supportedVersions: ['2026-07-28'] });
});

check(
  ['modern-legacy'],
  'A modern client does not see the task support of a legacy server',
  async (meeting) => {
    const client = await meeting.client();
    const tools = await client.list('tools');
    expect(tools.map(({ name }) => name)).toContain('task_required');
    for (const tool of tools) expect(tool).not.toHaveProperty('execution');
  },
);

check(
  ['legacy-modern'],
  'The schema of an output that is not an object describes the wrapped output',
  async (meeting) => {
    const client = await meeting.client();
    const { outputSchema } = (await client.list('tools')).find(({ name }) => name === 'list_numbers') ?? {};
    expect(outputSchema).toMatchObject({
      type: 'object',
      properties: { result: { type: 'array', items: { type: 'integer' } } },
      required: ['result'],
    });
  },
);

check(SERVER.modern, 'A tool with an invalid parameter header is left out', async (meeting) => {
  const { result } = await meeting.raw().request('tools/list');
  const tools = (result?.['tools'] as Json[]).map(({ name }) => name);
  expect(tools).toContain('test_x_mcp_header');
  expect(tools).not.toContain('bad_header');
});

check(ALL, 'The merged list has the tools of both eras with qualified names', async (meeting) => {
  const client = await connect(meeting.kind, gateway.url);
  atEnd(() => client.close());
  const merged = (await client.list('tools')).map(({ name }) => name);
  for (const era of ['legacy', 'modern'] as const) expect(merged).toContain(`${era}-http__ask_twice`);
  expect(merged).toContain(`${meeting.upstream()}__ask_twice`);
});
