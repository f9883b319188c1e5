import { isMapping } from '../../config/client-files.js';
import {
  authorization,
  joinOf,
  namedServers,
  ofUser,
  removal,
  serverOf,
  settingsFolder,
  type Client,
} from './client.js';

const FILE = 'cline_mcp_settings.json';

export const cline: Client = {
  name: 'cline',
  find: ofUser((place) => {
    const join = joinOf(place.platform);
    const code = join(settingsFolder(place), 'Code', 'User', 'globalStorage', 'saoudrizwan.claude-dev');
    return [
      join(place.home, '.cline', 'data', 'settings', FILE),
      join(place.home, '.cline', 'mcp.json'),
      join(code, 'settings', FILE),
    ].map((path) => ({ path, format: 'json' as const }));
  }),
  read: (value) =>
    namedServers(value, ['mcpServers'], (name, path, raw) => {
      const { transport, ...rest } = raw;
      const flat: Readonly<Record<string, unknown>> = isMapping(transport) ? { ...rest, ...transport } : raw;
      const server = serverOf(name, path, flat);
      if (server?.url === undefined) return server;
      return { ...server, type: flat['type'] === undefined || flat['type'] === 'sse' ? 'sse' : undefined };
    }),
  write(gateway) {
    const headers = authorization(gateway, undefined);
    // Without a type it means HTTP+SSE.
    const value = { type: 'streamableHttp', url: gateway.url, ...(headers && { headers }) };
    return [{ op: 'set', path: ['mcpServers', gateway.name], value }];
  },
  clear: (name, value) => removal(['mcpServers'], name, value),
};
