import type { Findings, Path } from './problems.js';
import { CLIENT_TYPES } from './schema.js';

/** A server as the file declares it, under `servers` or `mcpServers`. */
export interface Entry {
  readonly path: Path;
  readonly raw: Readonly<Record<string, unknown>>;
  /** It uses the client format, whose other keys are ignored without a warning. */
  readonly foreign: boolean;
}

type Mapping = Readonly<Record<string, unknown>>;

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export interface Entries {
  readonly enabled: readonly Entry[];
  /** They are shown, and nothing else: they may be incomplete. */
  readonly disabled: readonly Entry[];
}

/** The servers of `servers` and of `mcpServers`, in file order. */
export function entriesOf(raw: Mapping, findings: Findings): Entries {
  const entries: Entry[] = [];
  const { servers, mcpServers } = raw;
  if (Array.isArray(servers)) {
    servers.forEach((server: unknown, index) => {
      const path = ['servers', index];
      if (isMapping(server)) entries.push(understand({ path, raw: server, foreign: false }, findings));
      else findings.problem(path, 'must be a mapping of keys to values');
    });
  } else if (isMapping(servers)) {
    byName('servers', servers);
  } else if (servers !== undefined) {
    findings.problem(['servers'], 'must be a list', 'start each server with "- name: ..."');
  }
  if (isMapping(mcpServers)) {
    byName('mcpServers', mcpServers);
  } else if (mcpServers !== undefined) {
    findings.problem(['mcpServers'], 'must be a mapping of names to servers');
  }
  const isDisabled = (entry: Entry): boolean => entry.raw['disabled'] === true;
  return { enabled: entries.filter((entry) => !isDisabled(entry)), disabled: entries.filter(isDisabled) };

  function byName(key: string, named: Mapping): void {
    for (const [name, server] of Object.entries(named)) {
      const path = [key, name];
      if (isMapping(server))
        entries.push(understand({ path, raw: { ...server, name }, foreign: true }, findings));
      else findings.problem(path, 'must be a mapping of keys to values');
    }
  }
}

/** Translates the keys of clients. */
function understand(entry: Entry, findings: Findings): Entry {
  const { type, ...raw }: Record<string, unknown> = entry.raw;
  if (type !== undefined) {
    const transport = typeof type === 'string' ? CLIENT_TYPES[type] : undefined;
    if (transport === undefined) {
      findings.warn(
        [...entry.path, 'type'],
        'is not supported',
        'supported: stdio, http, streamable-http, sse',
      );
    } else if (transport !== 'stdio') raw['protocol'] ??= transport;
  }
  if (entry.foreign) {
    for (const key of SOME_TOOLS) {
      if (isNarrow(key, raw[key]))
        findings.warn([...entry.path, key], 'is ignored: the gateway shows all tools of a server');
    }
    if (raw['enabled'] === false && raw['disabled'] !== true)
      findings.warn([...entry.path, 'enabled'], 'is ignored, and the server runs', 'disabled: true');
    if (raw['envFile'] !== undefined || raw['env_file'] !== undefined) {
      const key = raw['envFile'] === undefined ? 'env_file' : 'envFile';
      findings.warn(
        [...entry.path, key],
        'is not read',
        'write its variables under env, or set them for the gateway and name them in inherit_env',
      );
    }
    // In some clients this lists the allowed tools; here it is a mapping.
    if (Array.isArray(raw['tools'])) delete raw['tools'];
  }
  return { ...entry, raw };
}

/** Keys with which clients hide some tools of a server. */
const SOME_TOOLS = [
  'disabledTools',
  'disabled_tools',
  'enabledTools',
  'enabled_tools',
  'excludeTools',
  'includeTools',
  'tools',
];

function isNarrow(key: string, value: unknown): boolean {
  if (!Array.isArray(value) || value.includes('*')) return false;
  return value.length > 0 || !/^(disabled|exclude)/.test(key);
}

const MOVE =
  'write its servers under mcpServers: as "name": { "command": ..., "args": [...], "env": {...} } or { "url": ... }';

/** Recognises the unsupported file formats of some clients: the key that shows it, and what to do. */
export function otherClient(raw: Mapping): { key: Path; why: string; fix: string } | undefined {
  const found = (key: Path, whose: string, fix = MOVE) => ({
    key,
    why: `no servers in this file: it looks like ${whose}`,
    fix,
  });
  const { mcp, context_servers, mcp_servers } = raw;
  if (isMapping(context_servers)) return found(['context_servers'], "Zed's");
  if (isMapping(mcp_servers)) return found(['mcp_servers'], "Codex's");
  if (isMapping(mcp)) {
    if (isMapping(mcp['servers']) && Object.values(mcp['servers']).some(isServer))
      return found(
        ['mcp', 'servers'],
        'the settings of VS Code',
        'write servers: at the top, not below mcp:',
      );
    const [name] = Object.entries(mcp).find(([, member]) => isServer(member)) ?? [];
    if (name !== undefined) return found(['mcp', name], "OpenCode's");
  }
  const [name] = Object.entries(raw).find(([, member]) => isServer(member)) ?? [];
  if (name !== undefined) return found([name], 'servers by name', 'write all of it below mcpServers:');
  return undefined;
}

function isServer(value: unknown): boolean {
  if (!isMapping(value)) return false;
  const { command, url } = value;
  return (
    typeof command === 'string' || isMapping(command) || Array.isArray(command) || typeof url === 'string'
  );
}
