// The compared gateways: where each comes from, and how it starts. Each is configured as its own documentation says; the comment names
// the place. `servers` of `start` are {name, command, args, env} or {name, url, headers}; `serves` says which of them it knows.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { contextforge } from './peer-contextforge.mjs';
import { toolhive } from './peer-toolhive.mjs';

const MAIN = process.env.MCPSTEAD_MAIN ?? fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

const write = ({ folder }, name, content) => {
  const path = join(folder, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content, null, 2));
  return path;
};
/** The servers in the form that clients have in `mcp.json`. */
const mcpServers = (servers) => Object.fromEntries(servers.map(({ name, ...server }) => [name, server]));
/** What a gateway in front of one server starts. */
const only = ({ servers: [{ command, args }] }) => [command, ...args];
const quoted = (word) => `'${word.replaceAll("'", `'\\''`)}'`;

const hangup = {
  how: 'SIGHUP',
  async run(gateway, servers) {
    gateway.peer.start({ ...gateway, servers });
    process.kill(gateway.pid, 'SIGHUP');
  },
};

const mcpsteadFile = (context) =>
  write(context, 'config.json', {
    host: '127.0.0.1',
    port: context.port,
    mcp: { auth: { mode: 'none' } },
    servers: context.servers,
  });

export const peers = [
  {
    name: 'mcpstead',
    title: 'mcpstead, this tree',
    source: 'README.md, section "Config"',
    serves: ['http', 'stdio'],
    many: true,
    reload: hangup,
    /** A route that shows one server as it is. */
    straight: (name) => `/servers/${name}/mcp`,
    missing: () => (existsSync(MAIN) ? undefined : 'npm run build'),
    start: (context) => ({ command: process.execPath, args: [MAIN, '--config', mcpsteadFile(context)] }),
  },
  {
    name: 'mcpstead 0.1.13',
    title: 'mcpstead 0.1.13 (Rust)',
    package: { registry: 'cargo', name: 'mcpstead', version: '0.1.13' },
    source: 'README.md of the crate; it knows servers over HTTP only',
    serves: ['http'],
    many: true,
    reload: hangup,
    start: (context) => ({
      command: join(context.installed, 'bin/mcpstead'),
      args: ['--config', mcpsteadFile(context)],
    }),
  },
  {
    name: 'mcp-proxy',
    title: 'mcp-proxy (npm)',
    package: { registry: 'npm', name: 'mcp-proxy', version: '6.7.19' },
    source:
      'README.md, "Command-line" and "options"; without its event store, which costs memory, and with the protocol of the server found out ("Protocol revisions")',
    serves: ['stdio'],
    straight: () => '/mcp',
    start: (context) => ({
      command: process.execPath,
      args: [
        join(context.installed, 'node_modules/mcp-proxy/dist/bin/mcp-proxy.mjs'),
        ...[
          '--host',
          '127.0.0.1',
          '--port',
          String(context.port),
          '--no-eventStore',
          '--upstreamProtocol',
          'auto',
          '--',
          ...only(context),
        ],
      ],
      // It hands its own environment to the server.
      env: context.servers[0].env,
    }),
  },
  {
    name: 'supergateway',
    title: 'supergateway (npm)',
    package: { registry: 'npm', name: 'supergateway', version: '4.0.0' },
    source: 'README.md, "stdio → Streamable HTTP", stateful; without its log, which has each message',
    serves: ['stdio'],
    straight: () => '/mcp',
    start: (context) => ({
      command: process.execPath,
      args: [
        join(context.installed, 'node_modules/supergateway/dist/index.js'),
        ...['--stdio', only(context).map(quoted).join(' '), '--port', String(context.port)],
        ...[
          '--outputTransport',
          'streamableHttp',
          '--stateful',
          '--healthEndpoint',
          '/health',
          '--logLevel',
          'none',
        ],
      ],
      env: context.servers[0].env,
    }),
  },
  {
    name: 'fastmcp',
    title: 'FastMCP, proxy of a config file (PyPI)',
    package: { registry: 'pypi', name: 'fastmcp', version: '4.2.3' },
    source: '`fastmcp run --help`, "MCPConfig file"',
    serves: ['http', 'stdio'],
    many: true,
    straight: () => '/mcp',
    start: (context) => ({
      command: join(context.installed, 'bin/python'),
      args: [
        ...[join(context.installed, 'bin/fastmcp'), 'run'],
        write(context, 'mcp.json', { mcpServers: mcpServers(context.servers) }),
        ...['--transport', 'http', '--host', '127.0.0.1', '--port', String(context.port), '--no-banner'],
      ],
      env: { FASTMCP_CHECK_FOR_UPDATES: 'off' },
    }),
  },
  {
    name: 'mcp-proxy (PyPI)',
    title: 'mcp-proxy (PyPI)',
    package: { registry: 'pypi', name: 'mcp-proxy', version: '0.13.0' },
    source: 'README.md, "SSE to stdio", and `mcp-proxy --help`',
    serves: ['stdio'],
    straight: () => '/mcp',
    start: (context) => ({
      command: join(context.installed, 'bin/python'),
      args: [
        ...[join(context.installed, 'bin/mcp-proxy'), '--host', '127.0.0.1', '--port', String(context.port)],
        ...['--pass-environment', '--', ...only(context)],
      ],
      env: context.servers[0].env,
    }),
  },
  {
    name: 'mcp-hub',
    title: 'mcp-hub (npm)',
    package: { registry: 'npm', name: 'mcp-hub', version: '4.2.1' },
    source: 'README.md, "Basic Usage" and "Configuration"; its `/mcp` is HTTP+SSE',
    serves: ['http', 'stdio'],
    many: true,
    kind: 'sse',
    reload: {
      how: '`--watch`',
      run: async (gateway, servers) => void gateway.peer.start({ ...gateway, servers }),
    },
    start: (context) => ({
      command: process.execPath,
      args: [
        ...[join(context.installed, 'node_modules/mcp-hub/dist/cli.js'), '--port', String(context.port)],
        '--config',
        write(context, 'mcp.json', { mcpServers: mcpServers(context.servers) }),
        '--watch',
      ],
    }),
  },
  contextforge,
  toolhive,
];

/** What cannot be had or run at all, as tried. */
export const notRun = [
  {
    name: '@1mcp/agent (npm)',
    why: 'not in the registry: `npm view @1mcp/agent` gives 404 Not Found',
  },
  {
    name: 'github.com/smart-mcp-proxy/mcpproxy-go (Go module)',
    why: 'the module proxy does not give it: `go list -m -versions` gives 403 Forbidden, "This module version is not available."',
  },
  {
    name: 'mcp-hangar 2.34.4 (PyPI)',
    why: 'it starts, but with the configuration of its README (`tool_access: front_door`) and `serve --http` it lists 0 tools: over HTTP its tools are for callers with a tenant, which needs API keys or an identity provider. That was not set up',
  },
  {
    name: 'thv of github.com/stacklok/toolhive 0.47.0 (Go module)',
    why: 'it needs Docker: "no container runtime available. ToolHive requires a Docker-compatible container runtime (Docker, Podman, or Colima) or Kubernetes to run MCP servers." Its vmcp was run',
  },
  {
    name: 'Versions of github.com/stacklok/toolhive after 0.47.0',
    why: '0.63.0, 0.58.0 and 0.50.0: "requires go >= 1.27 (running go 1.26.8; GOTOOLCHAIN=local)"; 0.49.0: 403 Forbidden; 0.48.0: "golang.ngrok.com/ngrok/v2@v2.2.0: 403 Forbidden". Those between were not tried',
  },
];
