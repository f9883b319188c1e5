// Driver on mcporter's runtime.
import { createRuntime } from 'mcporter';
import { drive, Unsupported } from './protocol.mjs';

const NAME = 'compat';
let runtime;

drive({
  async connect({ target }) {
    const command =
      target.url === undefined
        ? { kind: 'stdio', command: target.command, args: target.args, cwd: process.cwd() }
        : { kind: 'http', url: new URL(target.url) };
    runtime = await createRuntime({
      rootDir: import.meta.dirname,
      servers: [{ name: NAME, command, ...(target.env ? { env: target.env } : {}) }],
    });
    const { client } = await runtime.connect(NAME, { disableOAuth: true });
    return {
      protocolVersion: null,
      serverInfo: client.getServerVersion(),
      capabilities: client.getServerCapabilities(),
      instructions: client.getInstructions() ?? null,
    };
  },
  tools: () => runtime.listTools(NAME, { includeSchema: true, disableOAuth: true }),
  resources: async () => (await runtime.listResources(NAME)).resources,
  call(request) {
    if (request.cancelAfterMs !== undefined || request.cancelOnProgress) throw new Unsupported('no cancel');
    return runtime.callTool(NAME, request.name, { args: request.arguments, disableOAuth: true });
  },
  read: ({ uri }) => runtime.readResource(NAME, uri),
  async close() {
    await runtime?.close();
    runtime = undefined;
  },
});
