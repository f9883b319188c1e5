import { readdirSync } from 'node:fs';
import { isMapping } from '../../config/client-files.js';
import { authorization, joinOf, serverOf, strings, text, type Client, type ClientFile } from './client.js';

const variable = (name: string): string => `\${{ secrets.${name} }}`;

/** A list of servers; a project has a folder of such files. */
export const continueDev: Client = {
  name: 'continue',
  find({ platform, home, project }) {
    const join = joinOf(platform);
    if (project === undefined) return [{ path: join(home, '.continue', 'config.yaml'), format: 'yaml' }];
    const folder = join(project, '.continue', 'mcpServers');
    return [{ path: join(folder, 'mcpstead.yaml'), format: 'yaml' }, ...filesIn(folder, join)];
  },
  read: (value) =>
    serversOf(value).flatMap((raw, index) => {
      const name = text(raw['name']) ?? '';
      const options = isMapping(raw['requestOptions']) ? raw['requestOptions'] : {};
      const server = name && serverOf(name, ['mcpServers', index], raw, { known: ['requestOptions'] });
      if (!server) return [];
      const apiKey = text(raw['apiKey']);
      return [
        {
          ...server,
          headers: { ...strings(options['headers']), ...(apiKey && { Authorization: `Bearer ${apiKey}` }) },
          unknown: server.unknown.filter((key) => key !== 'apiKey'),
        },
      ];
    }),
  write(gateway, value) {
    const { name, url } = gateway;
    const headers = authorization(gateway, variable);
    const entry = { name, type: 'streamable-http', url, ...(headers && { requestOptions: { headers } }) };
    const index = serversOf(value).findIndex((raw) => raw['name'] === name);
    const old = index === -1 ? [] : [{ op: 'remove', path: ['mcpServers', index] } as const];
    const added = [...old, { op: 'append', path: ['mcpServers'], value: entry } as const];
    // A new file names itself and its form.
    const head = { name: 'Local Config', version: '1.0.0', schema: 'v1' };
    return isMapping(value)
      ? added
      : [
          ...Object.entries(head).map(([key, each]) => ({ op: 'set', path: [key], value: each }) as const),
          ...added,
        ];
  },
  clear(name, value) {
    const index = serversOf(value).findIndex((raw) => raw['name'] === name);
    return index === -1 ? [] : [{ op: 'remove', path: ['mcpServers', index] }];
  },
  variable,
};

function serversOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  const servers = isMapping(value) ? value['mcpServers'] : undefined;
  return Array.isArray(servers) ? servers.map((each: unknown) => (isMapping(each) ? each : {})) : [];
}

const MOST_FILES = 256;

function filesIn(folder: string, join: (...parts: string[]) => string): readonly ClientFile[] {
  try {
    return readdirSync(folder)
      .filter((name) => /\.(ya?ml|json)$/.test(name) && name !== 'mcpstead.yaml')
      .slice(0, MOST_FILES)
      .map((name) => ({ path: join(folder, name), format: name.endsWith('.json') ? 'json' : 'yaml' }));
  } catch {
    return [];
  }
}
