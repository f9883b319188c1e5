import type { Findings, Path } from './problems.js';
import { CLIENT_TYPES } from './schema.js';

/** One server as written, wherever it stands. */
export interface Entry {
  readonly path: Path;
  readonly raw: Readonly<Record<string, unknown>>;
  /** From a client's file: keys that are not ours are the client's own business. */
  readonly foreign: boolean;
}

type Mapping = Readonly<Record<string, unknown>>;

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The servers of `servers` and of `mcpServers`, in the order written, without the disabled ones. */
export function entriesOf(raw: Mapping, findings: Findings): Entry[] {
  const entries: Entry[] = [];
  const { servers, mcpServers } = raw;
  if (Array.isArray(servers)) {
    servers.forEach((server: unknown, index) => {
      const path = ['servers', index];
      if (isMapping(server)) entries.push(understand({ path, raw: server, foreign: false }, findings));
      else findings.problem(path, 'must be a mapping of keys to values');
    });
  } else if (isMapping(servers)) {
    findings.problem(['servers'], 'must be a list', 'start each server with "- name: ..."');
  } else if (servers !== undefined) {
    findings.problem(['servers'], 'must be a list');
  }
  if (isMapping(mcpServers)) {
    for (const [name, server] of Object.entries(mcpServers)) {
      const path = ['mcpServers', name];
      if (isMapping(server))
        entries.push(understand({ path, raw: { ...server, name }, foreign: true }, findings));
      else findings.problem(path, 'must be a mapping of keys to values');
    }
  } else if (mcpServers !== undefined) {
    findings.problem(['mcpServers'], 'must be a mapping of names to servers');
  }
  return entries.filter((entry) => entry.raw['disabled'] !== true);
}

/** Turns the keys of clients into ours. */
function understand(entry: Entry, findings: Findings): Entry {
  const { type, ...raw }: Record<string, unknown> = entry.raw;
  if (type !== undefined) {
    const transport = typeof type === 'string' ? CLIENT_TYPES[type] : undefined;
    if (transport === undefined) {
      findings.warn([...entry.path, 'type'], 'is not understood', 'known: stdio, http, streamable-http, sse');
    } else if (transport !== 'stdio') raw['protocol'] ??= transport;
  }
  // A list of allowed tools in some clients; our own key is a mapping.
  if (entry.foreign && Array.isArray(raw['tools'])) delete raw['tools'];
  return { ...entry, raw };
}
