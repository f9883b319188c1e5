// The client of the suite's client scenarios, with a gateway in the middle: a gateway whose upstream is the scenario's
// server (its URL is the last argument), driven by an SDK v1 client that does what the scenario asks for.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { createGateway } from '../dist/index.js';

async function call(client, name, args = {}) {
  const result = await client.callTool({ name, arguments: args });
  if (result.isError) throw new Error(`${name} failed: ${JSON.stringify(result.content)}`);
}

async function callTheFirst(client) {
  const [tool] = (await client.listTools()).tools;
  if (tool) await call(client, tool.name, { a: 2, b: 3 });
}

const SCENARIOS = {
  initialize: callTheFirst,
  tools_call: callTheFirst,
  async 'elicitation-sep1034-client-defaults'(client) {
    // The SDK fills in the defaults.
    client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: {} }));
    await client.listTools();
    await call(client, 'test_client_elicitation_defaults');
  },
  async 'sse-retry'(client) {
    await client.listTools();
    await call(client, 'test_reconnection');
  },
  async 'json-schema-2020-12-preservation'(client) {
    const { tools } = await client.listTools();
    const { inputSchema } = tools.find(({ name }) => name === 'json_schema_2020_12_tool');
    await call(client, 'json_schema_echo', { schema: inputSchema });
  },
};

const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
const run = SCENARIOS[scenario];
if (!run) throw new Error(`unknown scenario '${scenario}'`);

const gateway = createGateway({
  host: '127.0.0.1',
  port: 0,
  // The scenario's server may be slow to start; the client is not to see an empty list for that.
  startup: { wait_ms: 15_000 },
  servers: [{ name: 'scenario', url: process.argv.at(-1) }],
});
const { port } = await gateway.listen();
const client = new Client(
  { name: 'conformance-client', version: '1.0.0' },
  { capabilities: { elicitation: { form: { applyDefaults: true } } } },
);
try {
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/servers/scenario/mcp`)),
  );
  await run(client);
} finally {
  await client.close();
  await gateway.close();
}
