import { authorization, joinOf, namedServers, ofUser, removal, type Client } from './client.js';

/** Its file has the form of Cursor's, but references to variables stay as they are written. */
export const lmstudio: Client = {
  name: 'lmstudio',
  find: ofUser(({ platform, home }) => {
    const join = joinOf(platform);
    return [
      { path: join(home, '.lmstudio', 'mcp.json'), format: 'json' },
      { path: join(home, '.cache', 'lm-studio', 'mcp.json'), format: 'json' },
    ];
  }),
  read: (value) => namedServers(value, ['mcpServers']),
  write(gateway) {
    const headers = authorization(gateway, undefined);
    const value = { url: gateway.url, ...(headers && { headers }) };
    return [{ op: 'set', path: ['mcpServers', gateway.name], value }];
  },
  clear: (name, value) => removal(['mcpServers'], name, value),
};
