// Driver on the TypeScript SDK v2, in both eras.
import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { allPages, answers, cancelOf, drive, event } from './protocol.mjs';

let client;
let modern;
/** What is listened to in the modern era, where a subscription is a stream of its own. */
const listening = new Map();

function transportOf(target) {
  if (target.url === undefined)
    return new StdioClientTransport({ ...target, env: { ...process.env, ...target.env }, stderr: 'inherit' });
  return new (target.kind === 'sse' ? SSEClientTransport : StreamableHTTPClientTransport)(
    new URL(target.url),
  );
}

async function connect({ target, era }) {
  modern = era === 'modern';
  client = new Client(
    { name: 'compat', version: '1.0.0' },
    {
      capabilities: { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} },
      versionNegotiation: { mode: modern ? 'auto' : 'legacy' },
    },
  );
  client.setRequestHandler('elicitation/create', ({ params }) => answers.elicitation(params));
  client.setRequestHandler('sampling/createMessage', ({ params }) => answers.sampling(params));
  client.setRequestHandler('roots/list', () => answers.roots());
  client.setNotificationHandler('notifications/message', ({ params }) => event('log', params));
  client.setNotificationHandler('notifications/resources/updated', ({ params }) => event('updated', params));
  for (const kind of ['tools', 'prompts', 'resources'])
    client.setNotificationHandler(`notifications/${kind}/list_changed`, () => event('changed', kind));
  client.onerror = (error) => console.error('client error', error.message);
  await client.connect(transportOf(target));
  return {
    protocolVersion: client.getNegotiatedProtocolVersion?.() ?? null,
    serverInfo: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    instructions: client.getInstructions() ?? null,
  };
}

const isModern = () => (client.getNegotiatedProtocolVersion?.() ?? '') >= '2026';
const fresh = { cacheMode: 'bypass' };
/** In the modern era each request says which log messages it wants. */
const meta = () => (isModern() ? { _meta: { 'io.modelcontextprotocol/logLevel': 'debug' } } : {});

drive({
  connect,
  tools: () => allPages((params) => client.listTools(params, fresh), 'tools'),
  resources: () => allPages((params) => client.listResources(params, fresh), 'resources'),
  templates: () => allPages((params) => client.listResourceTemplates(params, fresh), 'resourceTemplates'),
  prompts: () => allPages((params) => client.listPrompts(params, fresh), 'prompts'),
  call(request) {
    const { signal, onProgress, wanted } = cancelOf(request);
    const options = { signal, ...(wanted ? { onprogress: onProgress } : {}) };
    return client.callTool({ name: request.name, arguments: request.arguments, ...meta() }, options);
  },
  read: ({ uri }) => client.readResource({ uri }, fresh),
  prompt: ({ name, arguments: args }) => client.getPrompt({ name, arguments: args }),
  complete: ({ ref, argument }) => client.complete({ ref, argument }),
  async subscribe({ uri }) {
    if (!isModern()) return client.subscribeResource({ uri });
    listening.set(uri, await client.listen({ resourceSubscriptions: [uri] }));
    return {};
  },
  async unsubscribe({ uri }) {
    if (!isModern()) return client.unsubscribeResource({ uri });
    await listening.get(uri)?.close();
    listening.delete(uri);
    return {};
  },
  level: ({ level }) => client.setLoggingLevel(level),
  ping: () => client.ping(),
  async close() {
    listening.clear();
    await client?.transport?.terminateSession?.();
    await client?.close();
    client = undefined;
  },
});
