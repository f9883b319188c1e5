import { isMapping } from '../../config/client-files.js';
import { joinOf, namedServers, removal, serverOf, strings, text, type Client } from './client.js';

export const codex: Client = {
  name: 'codex',
  find({ env, platform, home, project }) {
    const join = joinOf(platform);
    const folder =
      project === undefined ? env['CODEX_HOME'] || join(home, '.codex') : join(project, '.codex');
    return [{ path: join(folder, 'config.toml'), format: 'toml' }];
  },
  read: (value) =>
    namedServers(value, ['mcp_servers'], (name, path, raw) => {
      const known = ['bearer_token_env_var', 'env_http_headers', 'env_vars'];
      const server = serverOf(name, path, raw, { headers: ['http_headers'], known });
      if (!server) return undefined;
      const token = text(raw['bearer_token_env_var']);
      const fromEnv = Object.entries(strings(raw['env_http_headers']));
      const variables: readonly unknown[] = Array.isArray(raw['env_vars']) ? raw['env_vars'] : [];
      return {
        ...server,
        headers: {
          ...server.headers,
          ...Object.fromEntries(fromEnv.map(([header, variable]) => [header, `\${${variable}}`])),
          ...(token && { Authorization: `Bearer \${${token}}` }),
        },
        inherits: variables.flatMap((each) => text(isMapping(each) ? each['name'] : each) ?? []),
      };
    }),
  write({ name, url, token }) {
    const shown =
      token &&
      ('key' in token
        ? { http_headers: { Authorization: `Bearer ${token.key}` } }
        : { bearer_token_env_var: token.variable });
    return [{ op: 'set', path: ['mcp_servers', name], value: { url, ...shown } }];
  },
  clear: (name, value) => removal(['mcp_servers'], name, value),
  variable: (name) => name,
};
