// Driver on @ai-sdk/mcp: tools as the AI SDK sees them, calls as its agents make them.
import { createMCPClient, ElicitationRequestSchema } from '@ai-sdk/mcp';
import { Experimental_StdioMCPTransport as StdioTransport } from '@ai-sdk/mcp/mcp-stdio';
import { allPages, answers, cancelOf, drive, Unsupported } from './protocol.mjs';

let client;
let tools;

drive({
  async connect({ target }) {
    const transport =
      target.url === undefined
        ? new StdioTransport({ ...target, env: { ...process.env, ...target.env }, stderr: 'inherit' })
        : { type: target.kind === 'sse' ? 'sse' : 'http', url: target.url };
    client = await createMCPClient({ transport, capabilities: { elicitation: {} } });
    client.onElicitationRequest(ElicitationRequestSchema, ({ params }) => answers.elicitation(params));
    tools = await client.tools();
    return {
      protocolVersion: null,
      serverInfo: client.serverInfo,
      capabilities: null,
      instructions: client.instructions ?? null,
    };
  },
  tools: () => allPages((params) => client.listTools({ params }), 'tools'),
  resources: () => allPages((params) => client.listResources({ params }), 'resources'),
  templates: async () => (await client.listResourceTemplates()).resourceTemplates,
  prompts: () => allPages((params) => client.listPrompts({ params }), 'prompts'),
  call(request) {
    const tool = tools[request.name];
    if (!tool) throw new Unsupported('a tool that was not listed cannot be called');
    const { signal } = cancelOf(request);
    return tool.execute(request.arguments, { messages: [], toolCallId: '1', abortSignal: signal });
  },
  read: ({ uri }) => client.readResource({ uri }),
  prompt: ({ name, arguments: args }) => client.getPrompt({ name, arguments: args }),
  async close() {
    await client?.close();
    client = undefined;
  },
});
