/** How a link reaches a server that another replica runs. */
import type { HttpServerConfig, ServerConfig } from '../../config/types.js';
import { FIRST_MODERN } from '../../protocol/revisions.js';

/** The configuration of the link to the process that runs a server: the same endpoint there. */
export function configThere(config: ServerConfig): HttpServerConfig {
  if (config.kind === 'http') return config;
  const {
    command: _,
    args: _1,
    env: _2,
    inherit_env: _3,
    environment: _4,
    cwd: _5,
    auth: _6,
    ...common
  } = config;
  return {
    ...common,
    kind: 'http',
    // Nobody resolves the name: the connections are opened otherwise.
    url: `http://placed/servers/${config.name}/mcp`,
    protocol: 'streamable',
    revision: FIRST_MODERN,
    headers: {},
    auth: { type: 'none' },
    tls: {},
    tls_skip_verify: false,
  };
}
