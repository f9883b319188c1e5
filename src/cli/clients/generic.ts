/** A file with servers that belongs to no known place: a project's, or one from a page of documentation. */
import { basename, extname, resolve } from 'node:path';
import { isMapping } from '../../config/client-files.js';
import { Refusal } from '../../terminal/explain.js';
import { namedServers, serverOf, type Client, type Place } from './client.js';
import { CLIENTS, read, type Source } from './index.js';

const URLS = ['url', 'serverUrl', 'httpUrl', 'uri', 'endpoint'];

/** Keys under which files have servers by their names. */
const PLACES = [['mcpServers'], ['servers'], ['context_servers'], ['mcp', 'servers'], []] as const;

const anyClient = (name: string): Client => ({
  name,
  find: () => [],
  read(value) {
    for (const place of PLACES) {
      const found = namedServers(value, place, (server, path, raw) => {
        const { transport } = raw;
        const flat = isMapping(transport) ? { ...raw, ...transport, transport: undefined } : raw;
        return serverOf(server, path, flat, { url: URLS, known: ['transport', 'source'] });
      });
      if (found.length > 0) return found;
    }
    return [];
  },
  write: () => [],
  clear: () => [],
});

/** The servers of a file. Throws a Refusal if it is not there, cannot be read, or has none. */
export function fileSource(path: string, place: Place): Source {
  const whole = resolve(path);
  const owner = CLIENTS.find((client) => client.find(place).some((file) => file.path === whole));
  const ending = extname(whole).toLowerCase();
  const format = ending === '.toml' ? 'toml' : /^\.ya?ml$/.test(ending) ? 'yaml' : 'json';
  const name = basename(whole, extname(whole)).replace(/^\.+/, '') || 'file';
  const readers = owner
    ? [owner]
    : [anyClient(name), ...CLIENTS.filter(({ name: own }) => ['codex', 'continue', 'goose'].includes(own))];
  for (const client of readers) {
    const source = read({ ...client, name: owner ? client.name : name }, { path: whole, format });
    if (!source) throw new Refusal(`${path} is neither a client nor a file`);
    if (source.broken !== undefined) throw new Refusal(source.broken);
    if (source.servers.length > 0) return source;
  }
  throw new Refusal(`${path} has no servers: they are expected under mcpServers`);
}
