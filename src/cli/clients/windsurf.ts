import { pathsOf } from '../../config/paths.js';
import { authorization, namedServers, ofUser, removal, serverOf, type Client } from './client.js';

const variable = (name: string): string => `\${env:${name}}`;

export const windsurf: Client = {
  name: 'windsurf',
  find: ofUser(({ platform, home }) => [
    { path: pathsOf(platform).join(home, '.codeium', 'windsurf', 'mcp_config.json'), format: 'json' },
  ]),
  read: (value) =>
    namedServers(value, ['mcpServers'], (name, path, raw) =>
      serverOf(name, path, raw, { url: ['serverUrl', 'url'] }),
    ),
  write(gateway) {
    const headers = authorization(gateway, variable);
    const value = { serverUrl: gateway.url, ...(headers && { headers }) };
    return [{ op: 'set', path: ['mcpServers', gateway.name], value }];
  },
  clear: (name, value) => removal(['mcpServers'], name, value),
  variable,
};
