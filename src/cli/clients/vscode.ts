import { isMapping } from '../../config/client-files.js';
import { authorization, joinOf, namedServers, removal, settingsFolder, type Client } from './client.js';

const variable = (name: string): string => `\${input:${name}}`;

/** Asks for a key once, and keeps it in the keyring: an entry of `inputs`. */
export const vscode: Client = {
  name: 'vscode',
  find(place) {
    const join = joinOf(place.platform);
    const folder =
      place.project === undefined
        ? join(settingsFolder(place), 'Code', 'User')
        : join(place.project, '.vscode');
    return [{ path: join(folder, 'mcp.json'), format: 'json' }];
  },
  read: (value) => namedServers(value, ['servers']),
  write(gateway, value) {
    const { name, url, token } = gateway;
    const headers = authorization(gateway, variable);
    const entry = { type: 'http', url, ...(headers && { headers }) };
    const set = { op: 'set', path: ['servers', name], value: entry } as const;
    if (!token || 'key' in token || inputsOf(value).some(({ id }) => id === token.variable)) return [set];
    const input = {
      type: 'promptString',
      id: token.variable,
      description: `the key of ${name}`,
      password: true,
    };
    return [set, { op: 'append', path: ['inputs'], value: input }];
  },
  clear(name, value) {
    const index = inputsOf(value).findIndex(({ description }) => description === `the key of ${name}`);
    const input = index === -1 ? [] : [{ op: 'remove', path: ['inputs', index] } as const];
    return [...removal(['servers'], name, value), ...input];
  },
  variable,
};

function inputsOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  const inputs = isMapping(value) ? value['inputs'] : undefined;
  return Array.isArray(inputs) ? inputs.map((each: unknown) => (isMapping(each) ? each : {})) : [];
}
