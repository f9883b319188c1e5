import { isMapping } from '../../config/client-files.js';
import {
  authorization,
  configFolder,
  joinOf,
  namedServers,
  ofUser,
  removal,
  serverOf,
  settingsFolder,
  type Client,
} from './client.js';

export const zed: Client = {
  name: 'zed',
  find: ofUser((place) => {
    const join = joinOf(place.platform);
    const folder =
      place.platform === 'win32' ? join(settingsFolder(place), 'Zed') : join(configFolder(place), 'zed');
    return [{ path: join(folder, 'settings.json'), format: 'json' }];
  }),
  read: (value) =>
    namedServers(value, ['context_servers'], (name, path, raw) => {
      const { command, ...rest } = raw;
      // Older versions: command: {path, args, env}.
      const flat = isMapping(command) ? { ...rest, ...command, command: command['path'] } : raw;
      return serverOf(name, path, flat, { known: ['source', 'path'] });
    }),
  write(gateway) {
    const headers = authorization(gateway, undefined);
    const value = { url: gateway.url, ...(headers && { headers }) };
    return [{ op: 'set', path: ['context_servers', gateway.name], value }];
  },
  clear: (name, value) => removal(['context_servers'], name, value),
};
