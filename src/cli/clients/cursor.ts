import { pathsOf } from '../../config/paths.js';
import { authorization, namedServers, removal, type Client } from './client.js';

const variable = (name: string): string => `\${env:${name}}`;

export const cursor: Client = {
  name: 'cursor',
  find: ({ platform, home, project }) => [
    { path: pathsOf(platform).join(project ?? home, '.cursor', 'mcp.json'), format: 'json' },
  ],
  read: (value) => namedServers(value, ['mcpServers']),
  write(gateway) {
    const headers = authorization(gateway, variable);
    const value = { url: gateway.url, ...(headers && { headers }) };
    return [{ op: 'set', path: ['mcpServers', gateway.name], value }];
  },
  clear: (name, value) => removal(['mcpServers'], name, value),
  variable,
};
