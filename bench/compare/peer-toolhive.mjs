// github.com/stacklok/toolhive: its virtual MCP server (cmd/vmcp), as cmd/vmcp/README.md and examples/vmcp-config.yaml say, with the
// servers in `backends` (pkg/vmcp/config/config.go, "static mode"), because `thv` needs a container runtime.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** `header_injection` of the example. */
const injected = ({ name, headers }) => [
  name,
  {
    type: 'header_injection',
    headerInjection: { headerName: 'Authorization', headerValue: headers.Authorization },
  },
];

function configOf({ folder, servers }) {
  const path = join(folder, 'vmcp.yaml');
  const backends = servers.map(({ name, url }) => ({ name, url, transport: 'streamable-http' }));
  // JSON is YAML.
  const config = {
    name: 'compare',
    groupRef: 'compare',
    backends,
    incomingAuth: { type: 'anonymous' },
    outgoingAuth: {
      source: 'inline',
      default: { type: 'unauthenticated' },
      backends: Object.fromEntries(servers.filter(({ headers }) => headers?.Authorization).map(injected)),
    },
    // Tools keep their names.
    aggregation: {
      conflictResolution: 'priority',
      conflictResolutionConfig: { priorityOrder: servers.map(({ name }) => name) },
    },
  };
  writeFileSync(path, JSON.stringify(config, null, 2));
  return path;
}

export const toolhive = {
  name: 'toolhive vmcp',
  title: 'ToolHive, vmcp (Go)',
  package: {
    registry: 'go',
    name: 'github.com/stacklok/toolhive',
    version: '0.47.0',
    programs: ['cmd/thv', 'cmd/vmcp'],
  },
  source: 'cmd/vmcp/README.md, examples/vmcp-config.yaml; the newest version that could be had with Go 1.26',
  serves: ['http'],
  many: true,
  start: (context) => ({
    command: join(context.installed, 'vmcp'),
    args: ['serve', '--config', configOf(context), '--host', '127.0.0.1', '--port', String(context.port)],
  }),
};
