// The client of the suite's client scenarios, with a gateway in the middle: a gateway whose upstream is the scenario's
// server (its URL is the last argument), driven by a client that does what the scenario asks for: SDK v2 pinned to
// 2026-07-28 for that revision, SDK v1 for 2025-11-25.
import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernHttp,
} from '@modelcontextprotocol/client';
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as LegacyHttp } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { createGateway } from '../../dist/index.js';

const REVISION = '2026-07-28';
const modern = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION === REVISION;
const info = { name: 'conformance-client', version: '1.0.0' };

async function call(client, name, args = {}) {
  const result = await client.callTool({ name, arguments: args });
  if (result.isError) throw new Error(`${name} failed: ${JSON.stringify(result.content)}`);
}

async function callTheFirst(client) {
  const [tool] = (await client.listTools()).tools;
  if (tool) await call(client, tool.name, { a: 2, b: 3 });
}

async function handSchemaBack(client) {
  const { tools } = await client.listTools();
  const { inputSchema } = tools.find(({ name }) => name === 'json_schema_2020_12_tool');
  await call(client, 'json_schema_echo', { schema: inputSchema });
}

const LEGACY = {
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
  'json-schema-2020-12-preservation': handSchemaBack,
};

const MODERN = {
  tools_call: callTheFirst,
  // Its server has nothing to call: what is seen is how it is asked.
  'request-metadata': (client) => client.listTools(),
  async 'sep-2322-client-request-state'(client) {
    client.setRequestHandler('elicitation/create', () => ({
      action: 'accept',
      content: { confirmed: true },
    }));
    for (const { name } of (await client.listTools()).tools) {
      // The SDK refuses a result without a type; what counts is that it does not ask again.
      const refused = name === 'test_mrtr_no_result_type' ? () => {} : undefined;
      await call(client, name).catch(refused);
    }
  },
  async 'http-standard-headers'(client) {
    for (const { name } of (await client.listTools()).tools) await call(client, name);
    for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri });
    for (const { name } of (await client.listPrompts()).prompts) await client.getPrompt({ name });
  },
  async 'http-custom-headers'(client) {
    await client.listTools();
    const { toolCalls } = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
    for (const { name, arguments: args } of toolCalls) await call(client, name, args);
  },
  async 'http-invalid-tool-headers'(client) {
    for (const { name } of (await client.listTools()).tools) await call(client, name, { region: 'us-west1' });
  },
  'json-schema-ref-no-deref': (client) => client.listTools(),
  'json-schema-2020-12-preservation': handSchemaBack,
};

const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
const run = (modern ? MODERN : LEGACY)[scenario];
if (!run) throw new Error(`unknown scenario '${scenario}'`);

const gateway = createGateway({
  host: '127.0.0.1',
  port: 0,
  // The scenario's server may be slow to start; the client is not to see an empty list for that.
  startup: { wait_ms: 15_000 },
  servers: [{ name: 'scenario', url: process.argv.at(-1) }],
});
const { port } = await gateway.listen();
const url = new URL(`http://127.0.0.1:${port}/servers/scenario/mcp`);
const capabilities = { elicitation: { form: { applyDefaults: true } } };
const client = modern
  ? new ModernClient(info, {
      capabilities: { ...capabilities, sampling: {}, roots: {} },
      versionNegotiation: { mode: { pin: REVISION } },
    })
  : new LegacyClient(info, { capabilities });
try {
  await client.connect(modern ? new ModernHttp(url) : new LegacyHttp(url));
  await run(client);
} finally {
  await client.close();
  await gateway.close();
}
