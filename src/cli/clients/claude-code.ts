import { isMapping } from '../../config/client-files.js';
import { authorization, joinOf, namedServers, removal, type Client } from './client.js';

const variable = (name: string): string => `\${${name}}`;

/** Its file also has the servers of single projects. */
export const claudeCode: Client = {
  name: 'claude-code',
  find({ env, platform, home, project }) {
    const join = joinOf(platform);
    if (project !== undefined) return [{ path: join(project, '.mcp.json'), format: 'json' }];
    return [{ path: join(env['CLAUDE_CONFIG_DIR'] || home, '.claude.json'), format: 'json' }];
  },
  read(value) {
    const projects = isMapping(value) && isMapping(value['projects']) ? Object.keys(value['projects']) : [];
    return [
      ...namedServers(value, ['mcpServers']),
      ...projects.flatMap((project) => namedServers(value, ['projects', project, 'mcpServers'])),
    ];
  },
  write(gateway) {
    const headers = authorization(gateway, variable);
    const value = { type: 'http', url: gateway.url, ...(headers && { headers }) };
    return [{ op: 'set', path: ['mcpServers', gateway.name], value }];
  },
  clear: (name, value) => removal(['mcpServers'], name, value),
  variable,
};
