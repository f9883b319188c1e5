import { isMapping } from '../../config/client-files.js';
import { pathsOf } from '../../config/paths.js';
import { authorization, namedServers, removal, serverOf, texts, type Client } from './client.js';

const variable = (name: string): string => `$${name}`;

export const gemini: Client = {
  name: 'gemini',
  find: ({ platform, home, project }) => [
    { path: pathsOf(platform).join(project ?? home, '.gemini', 'settings.json'), format: 'json' },
  ],
  read(value) {
    const mcp = isMapping(value) ? value['mcp'] : undefined;
    const excluded = isMapping(mcp) ? texts(mcp['excluded']) : [];
    return namedServers(value, ['mcpServers'], (name, path, raw) => {
      const server = serverOf(name, path, raw, { url: ['httpUrl', 'url'] });
      if (!server) return undefined;
      const isSse = server.url !== undefined && raw['httpUrl'] === undefined && raw['type'] !== 'http';
      return {
        ...server,
        type: isSse ? ('sse' as const) : undefined,
        disabled: server.disabled || excluded.includes(name),
      };
    });
  },
  write(gateway) {
    const headers = authorization(gateway, variable);
    const value = { httpUrl: gateway.url, ...(headers && { headers }) };
    return [{ op: 'set', path: ['mcpServers', gateway.name], value }];
  },
  clear: (name, value) => removal(['mcpServers'], name, value),
  variable,
  dollars: true,
};
