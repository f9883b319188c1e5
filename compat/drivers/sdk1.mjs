// Driver on the TypeScript SDK v1.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import { allPages, answers, cancelOf, drive, event, Unsupported } from './protocol.mjs';

let client;

function transportOf(target) {
  if (target.url === undefined)
    return new StdioClientTransport({ ...target, env: { ...process.env, ...target.env }, stderr: 'inherit' });
  return new (target.kind === 'sse' ? SSEClientTransport : StreamableHTTPClientTransport)(
    new URL(target.url),
  );
}

const CHANGED = {
  tools: types.ToolListChangedNotificationSchema,
  prompts: types.PromptListChangedNotificationSchema,
  resources: types.ResourceListChangedNotificationSchema,
};

async function connect({ target, era }) {
  if (era === 'modern') throw new Unsupported('no 2026-07-28');
  client = new Client(
    { name: 'compat', version: '1.0.0' },
    {
      capabilities: { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} },
    },
  );
  client.setRequestHandler(types.ElicitRequestSchema, ({ params }) => answers.elicitation(params));
  client.setRequestHandler(types.CreateMessageRequestSchema, ({ params }) => answers.sampling(params));
  client.setRequestHandler(types.ListRootsRequestSchema, () => answers.roots());
  client.setNotificationHandler(types.LoggingMessageNotificationSchema, ({ params }) => event('log', params));
  client.setNotificationHandler(types.ResourceUpdatedNotificationSchema, ({ params }) =>
    event('updated', params),
  );
  for (const [kind, schema] of Object.entries(CHANGED))
    client.setNotificationHandler(schema, () => event('changed', kind));
  client.onerror = (error) => console.error('client error', error.message);
  const transport = transportOf(target);
  let protocolVersion = null;
  const set = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = (version) => {
    protocolVersion = version;
    set?.(version);
  };
  await client.connect(transport);
  return {
    protocolVersion,
    serverInfo: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    instructions: client.getInstructions() ?? null,
  };
}

drive({
  connect,
  tools: () => allPages((params) => client.listTools(params), 'tools'),
  resources: () => allPages((params) => client.listResources(params), 'resources'),
  templates: () => allPages((params) => client.listResourceTemplates(params), 'resourceTemplates'),
  prompts: () => allPages((params) => client.listPrompts(params), 'prompts'),
  call(request) {
    const { signal, onProgress, wanted } = cancelOf(request);
    const options = { signal, ...(wanted ? { onprogress: onProgress } : {}) };
    const params = { name: request.name, arguments: request.arguments };
    return client.callTool(params, undefined, options);
  },
  read: ({ uri }) => client.readResource({ uri }),
  prompt: ({ name, arguments: args }) => client.getPrompt({ name, arguments: args }),
  complete: ({ ref, argument }) => client.complete({ ref, argument }),
  subscribe: ({ uri }) => client.subscribeResource({ uri }),
  unsubscribe: ({ uri }) => client.unsubscribeResource({ uri }),
  level: ({ level }) => client.setLoggingLevel(level),
  ping: () => client.ping(),
  async close() {
    await client?.transport?.terminateSession?.();
    await client?.close();
    client = undefined;
  },
});
