// Server on mcp-lite: node mcp-lite.mjs http PORT
import { setTimeout as sleep } from 'node:timers/promises';
import {
  InMemoryClientRequestAdapter,
  InMemorySessionAdapter,
  McpServer,
  StreamableHttpTransport,
} from 'mcp-lite';
import { z } from 'zod';
import { serve } from './fetch-server.mjs';

const port = Number(process.argv[3]);
const server = new McpServer({
  name: 'compat-mcp-lite',
  version: '1.0.0',
  schemaAdapter: (schema) => z.toJSONSchema(schema),
});
const said = (text) => ({ content: [{ type: 'text', text }] });

server.tool('echo', {
  description: 'Gives the text back.',
  inputSchema: z.object({ text: z.string() }),
  handler: ({ text }) => said(text),
});
server.tool('structured', {
  description: 'A result with a schema.',
  outputSchema: z.object({ answer: z.number(), list: z.array(z.string()) }),
  handler: () => ({ ...said('42'), structuredContent: { answer: 42, list: ['a', 'b'] } }),
});
server.tool('fail', { description: 'Fails.', handler: () => ({ ...said('it failed'), isError: true }) });
server.tool('progress', {
  description: 'Reports each step.',
  inputSchema: z.object({ steps: z.number() }),
  async handler({ steps }, context) {
    for (let step = 1; step <= steps; step++) {
      await context.progress?.({ progress: step, total: steps, message: `step ${step}` });
      await sleep(30);
    }
    return said('done');
  },
});
server.tool('wait', {
  description: 'Takes its time.',
  inputSchema: z.object({ ms: z.number() }),
  async handler({ ms }, context) {
    await context.progress?.({ progress: 0, total: 1 });
    await sleep(ms);
    return said('waited');
  },
});
server.tool('ask', {
  description: 'Asks with a form.',
  async handler(_, context) {
    const schema = z.toJSONSchema(z.object({ name: z.string(), count: z.number(), sure: z.boolean() }));
    return said(JSON.stringify(await context.elicit({ message: 'Who?', schema })));
  },
});
server.resource('compat://text', { name: 'text', mimeType: 'text/plain' }, (uri) => ({
  contents: [{ uri: String(uri), mimeType: 'text/plain', text: 'hello' }],
}));
server.resource('compat://item/{id}', { name: 'item' }, (uri, { id }) => ({
  contents: [{ uri: String(uri), text: `item ${id}` }],
}));
server.prompt('greet', {
  description: 'Greets.',
  arguments: [{ name: 'name', required: true }],
  handler: ({ name }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Hello ${name}` } }],
  }),
});

const transport = new StreamableHttpTransport({
  sessionAdapter: new InMemorySessionAdapter({ maxEventBufferSize: 100 }),
  clientRequestAdapter: new InMemoryClientRequestAdapter(),
});
const handle = transport.bind(server);
serve(port, (request) => (new URL(request.url).pathname === '/mcp' ? handle(request) : undefined));
