import {
  authorization,
  configFolder,
  joinOf,
  namedServers,
  ofUser,
  removal,
  serverOf,
  settingsFolder,
  texts,
  type Client,
} from './client.js';

/** Extensions of these types run in another process, or elsewhere; the others are parts of it. */
const SERVERS = ['stdio', 'sse', 'streamable_http'];

export const goose: Client = {
  name: 'goose',
  find: ofUser((place) => {
    const join = joinOf(place.platform);
    const folder =
      place.platform === 'win32'
        ? join(settingsFolder(place), 'Block', 'goose', 'config')
        : join(configFolder(place), 'goose');
    return [{ path: join(folder, 'config.yaml'), format: 'yaml' }];
  }),
  read: (value) =>
    namedServers(value, ['extensions'], (name, path, raw) => {
      if (!SERVERS.includes(String(raw['type']))) return undefined;
      const known = ['env_keys', 'display_name', 'description', 'bundled'];
      const server = serverOf(name, path, raw, { command: 'cmd', env: 'envs', url: ['uri'], known });
      if (!server) return undefined;
      const keys = texts(raw['env_keys']).filter((key) => !Object.hasOwn(server.env, key));
      return {
        ...server,
        env: { ...server.env, ...Object.fromEntries(keys.map((key) => [key, `\${keyring:${key}}`])) },
      };
    }),
  write(gateway) {
    const headers = authorization(gateway, undefined);
    const value = {
      enabled: true,
      type: 'streamable_http',
      name: gateway.name,
      description: 'the servers of mcpstead',
      uri: gateway.url,
      envs: {},
      env_keys: [],
      ...(headers && { headers }),
      timeout: 300,
    };
    return [{ op: 'set', path: ['extensions', gateway.name], value }];
  },
  clear: (name, value) => removal(['extensions'], name, value),
};
