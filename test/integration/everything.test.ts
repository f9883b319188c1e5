/** Every tool of server-everything, through the gateway, with the clients of both SDKs. */
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { expect, test } from 'vitest';
import { atEnd } from '../helpers/cleanup.js';
import { startGateway } from '../helpers/gateway.js';
import { startEverything } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

interface Told {
  readonly progress: number[];
  readonly logs: unknown[];
  readonly updated: string[];
}

interface Everything {
  tools(): Promise<string[]>;
  call(name: string, args: object): Promise<object>;
  read(uri: string): Promise<object>;
  subscribe(uri: string): Promise<unknown>;
  setLevel(level: 'debug'): Promise<unknown>;
}

const info = { name: 'everything', version: '0' };
const capabilities = {
  elicitation: { form: {}, url: {} },
  sampling: {},
  roots: { listChanged: true },
};
const ROOTS = { roots: [{ uri: 'file:///of-the-client', name: 'mine' }] };
const SAMPLED = {
  role: 'assistant' as const,
  model: 'none',
  content: { type: 'text' as const, text: 'sampled by the client' },
};
const FORM = { action: 'accept' as const, content: { name: 'of the client', check: true } };

async function v1(url: string, told: Told): Promise<Everything> {
  const client = new ClientV1(info, { capabilities });
  client.setRequestHandler(ElicitRequestSchema, ({ params }) =>
    params.mode === 'url' ? { action: 'accept' as const } : FORM,
  );
  client.setRequestHandler(CreateMessageRequestSchema, () => SAMPLED);
  client.setRequestHandler(ListRootsRequestSchema, () => ROOTS);
  client.setNotificationHandler(
    LoggingMessageNotificationSchema,
    ({ params }) => void told.logs.push(params.data),
  );
  client.setNotificationHandler(
    ResourceUpdatedNotificationSchema,
    ({ params }) => void told.updated.push(params.uri),
  );
  await client.connect(new HttpV1(new URL(url)));
  atEnd(() => client.close());
  const onprogress = ({ progress }: { progress: number }): void => void told.progress.push(progress);
  return {
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: (name, args) =>
      client.callTool(
        { name, arguments: { ...args } },
        undefined,
        name.includes('long-running') ? { onprogress } : {},
      ),
    read: (uri) => client.readResource({ uri }),
    subscribe: (uri) => client.subscribeResource({ uri }),
    setLevel: (level) => client.setLoggingLevel(level),
  };
}

async function v2(url: string, told: Told): Promise<Everything> {
  const client = new ClientV2(info, { capabilities, versionNegotiation: { mode: 'legacy' } });
  client.setRequestHandler('elicitation/create', ({ params }) =>
    params.mode === 'url' ? { action: 'accept' as const } : FORM,
  );
  client.setRequestHandler('sampling/createMessage', () => SAMPLED);
  client.setRequestHandler('roots/list', () => ROOTS);
  client.setNotificationHandler('notifications/message', ({ params }) => void told.logs.push(params.data));
  client.setNotificationHandler(
    'notifications/resources/updated',
    ({ params }) => void told.updated.push(params.uri),
  );
  await client.connect(new HttpV2(new URL(url)));
  atEnd(() => client.close());
  const onprogress = ({ progress }: { progress: number }): void => void told.progress.push(progress);
  return {
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: (name, args) =>
      client.callTool({ name, arguments: { ...args } }, name.includes('long-running') ? { onprogress } : {}),
    read: (uri) => client.readResource({ uri }),
    subscribe: (uri) => client.subscribeResource({ uri }),
    setLevel: (level) => client.setLoggingLevel(level),
  };
}

/** The arguments of each tool, and what its answer must hold. */
const TOOLS: Readonly<Record<string, [args: object, holds: string]>> = {
  echo: [{ message: 'hello' }, 'Echo: hello'],
  'get-annotated-message': [{ messageType: 'error', includeImage: true }, '"priority":1'],
  'get-env': [{}, 'PATH'],
  'get-resource-links': [{ count: 3 }, 'resource_link'],
  'get-resource-reference': [{ resourceType: 'Text', resourceId: 1 }, 'demo://resource/dynamic/text/1'],
  'get-structured-content': [{ location: 'New York' }, '"structuredContent":{"temperature"'],
  'get-sum': [{ a: 2, b: 3 }, 'is 5'],
  'get-tiny-image': [{}, 'image/png'],
  'gzip-file-as-resource': [
    { name: 'x.gz', data: 'data:text/plain,hello', outputType: 'resource' },
    'application/gzip',
  ],
  'toggle-simulated-logging': [{}, 'logging'],
  'toggle-subscriber-updates': [{}, 'updates'],
  'trigger-long-running-operation': [{ duration: 0.2, steps: 4 }, 'completed'],
  'get-roots-list': [{}, 'file:///of-the-client'],
  'trigger-elicitation-request': [{}, 'of the client'],
  'trigger-url-elicitation': [{ url: 'https://example.test/' }, 'completed the URL elicitation'],
  'trigger-sampling-request': [{ prompt: 'p', maxTokens: 5 }, 'sampled by the client'],
};
/** A task: tasks.test.ts. */
const ELSEWHERE = ['simulate-research-query'];

test.each([
  ['v1', v1],
  ['v2', v2],
] as const)(
  'SDK %s: sampling, elicitation, roots, progress, subscriptions, logging and all other tools of server-everything',
  async (_version, open) => {
    const { url } = await startEverything('streamableHttp');
    const gateway = await startGateway({ servers: [{ name: 'every', url, session: 'per-client' }] });
    const told: Told = { progress: [], logs: [], updated: [] };
    const client = await open(gateway.url, told);
    const expected = [...Object.keys(TOOLS), ...ELSEWHERE].map((name) => `every__${name}`).sort();
    // Some tools come only once the server knows what the client can do.
    let listed: string[] = [];
    await until(async () => {
      listed = (await client.tools()).sort();
      return listed.length >= expected.length;
    }, 'all tools').catch(() => undefined);
    expect(listed).toEqual(expected);
    const uri = 'demo://resource/dynamic/text/1';
    expect(JSON.stringify(await client.read(uri))).toContain(uri);
    await client.setLevel('debug');
    await client.subscribe(uri);
    for (const [name, [args, holds]] of Object.entries(TOOLS)) {
      const result = await client.call(`every__${name}`, args);
      expect([name, JSON.stringify(result)]).toEqual([name, expect.stringContaining(holds)]);
    }
    expect(told.progress).toEqual([1, 2, 3, 4]);
    await until(() => told.logs.length > 0 && told.updated.includes(uri), 'a log message and an update');
  },
);
