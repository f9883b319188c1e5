// Server on tmcp: node tmcp.mjs stdio|http [PORT]
import { setTimeout as sleep } from 'node:timers/promises';
import { ZodJsonSchemaAdapter } from '@tmcp/adapter-zod';
import { HttpTransport } from '@tmcp/transport-http';
import { StdioTransport } from '@tmcp/transport-stdio';
import { McpServer } from 'tmcp';
import { z } from 'zod';
import { serve } from './fetch-server.mjs';

const [mode, port] = process.argv.slice(2);
const server = new McpServer(
  { name: 'compat-tmcp', version: '1.0.0', description: 'A server to compare with.' },
  {
    adapter: new ZodJsonSchemaAdapter(),
    capabilities: {
      tools: { listChanged: true },
      prompts: { listChanged: true },
      resources: { listChanged: true, subscribe: true },
      completions: {},
      logging: {},
    },
    instructions: 'A server to compare with.',
  },
);
const said = (text) => ({ content: [{ type: 'text', text }] });
const tool = (name, description, schema, run) =>
  server.tool({ name, description, ...(schema ? { schema } : {}) }, run);

tool('echo', 'Gives the text back.', z.object({ text: z.string() }), ({ text }) => said(text));
server.tool(
  {
    name: 'structured',
    description: 'A result with a schema.',
    outputSchema: z.object({ answer: z.number(), list: z.array(z.string()) }),
  },
  () => ({ ...said('42'), structuredContent: { answer: 42, list: ['a', 'b'] } }),
);
tool('image', 'Bytes.', undefined, () => ({
  content: [{ type: 'image', data: 'iVBORw0KGgo=', mimeType: 'image/png' }],
}));
tool('fail', 'Fails.', undefined, () => ({ ...said('it failed'), isError: true }));
tool('progress', 'Reports each step.', z.object({ steps: z.number() }), async ({ steps }) => {
  for (let step = 1; step <= steps; step++) {
    server.progress(step, steps, `step ${step}`);
    await sleep(30);
  }
  return said('done');
});
tool('log', 'Sends a log message.', undefined, () => {
  server.log('info', 'hello log');
  return said('logged');
});
tool('wait', 'Takes its time.', z.object({ ms: z.number() }), async ({ ms }) => {
  server.progress(0, 1);
  await sleep(ms);
  return said('waited');
});
tool('ask', 'Asks with a form.', undefined, async () => {
  const form = z.object({
    name: z.string(),
    count: z.number().min(3),
    sure: z.boolean(),
    colour: z.enum(['red', 'green']),
  });
  const { content } = await server.elicitation('Who?', form);
  return said(JSON.stringify(content));
});
tool('sample', 'Asks for a sampling.', undefined, async () => {
  const messages = [{ role: 'user', content: { type: 'text', text: 'hello' } }];
  const { content } = await server.message({ messages, maxTokens: 10 });
  return said(content.text);
});
tool('touch', 'Changes the counter.', undefined, () => {
  server.changed('resource', 'compat://counter');
  return said('touched');
});
for (const name of ['text', 'counter'])
  server.resource({ name, description: name, uri: `compat://${name}` }, (uri) => ({
    contents: [{ uri: String(uri), mimeType: 'text/plain', text: 'hello' }],
  }));
server.template({ name: 'item', description: 'An item.', uri: 'compat://item/{id}' }, (uri, { id }) => ({
  contents: [{ uri: String(uri), text: `item ${id}` }],
}));
server.prompt(
  {
    name: 'greet',
    description: 'Greets.',
    schema: z.object({ name: z.string() }),
    complete: {
      name: (value) => {
        const values = ['anna', 'ben', 'bert'].filter((name) => name.startsWith(value));
        return { completion: { values, total: values.length, hasMore: false } };
      },
    },
  },
  ({ name }) => ({ messages: [{ role: 'user', content: { type: 'text', text: `Hello ${name}` } }] }),
);

if (mode === 'stdio') new StdioTransport(server).listen();
else {
  const transport = new HttpTransport(server, { path: '/mcp' });
  serve(Number(port), (request) => transport.respond(request));
}
