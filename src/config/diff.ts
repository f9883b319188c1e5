import { isDeepStrictEqual } from 'node:util';
import { secretsOf } from './redact.js';
import type { Config, ServerConfig } from './types.js';

/** What a reload changes. The server lists are names, in the order of the file they are in. */
export interface ConfigDiff {
  added: string[];
  removed: string[];
  /** To be connected anew. */
  restarted: string[];
  /** Changed in a way that a running connection takes over. */
  updated: string[];
  unchanged: string[];
  /** Keys and variables whose change is ignored until a restart of the gateway: `port`, `MCPSTEAD_STATE_KEY`. */
  restartRequired: string[];
}

/** Taken over by a running connection; a change of anything else restarts it. */
const IN_PLACE = [
  'quirks',
  'reconnect',
  'tools',
  'required',
  'timeouts',
  'roots',
  'drain_seconds',
  'restart',
];
/** Part of `http` that applies at once. */
const HTTP_AT_ONCE = ['allowed_hosts', 'allowed_origins'];

/** Compares resolved values, so that a changed secret shows even where the file did not change. */
export function diffConfig(old: Config, next: Config): ConfigDiff {
  const before = new Map(old.servers.map((server) => [server.name, server]));
  const after = new Set(next.servers.map(({ name }) => name));
  const diff: ConfigDiff = {
    added: [],
    removed: old.servers.map(({ name }) => name).filter((name) => !after.has(name)),
    restarted: [],
    updated: [],
    unchanged: [],
    restartRequired: restartRequired(old, next),
  };
  for (const server of next.servers) {
    const was = before.get(server.name);
    diff[was === undefined ? 'added' : change(was, server)].push(server.name);
  }
  return diff;
}

function change(was: ServerConfig, is: ServerConfig): 'restarted' | 'updated' | 'unchanged' {
  if (!isDeepStrictEqual(identity(was), identity(is))) return 'restarted';
  return isDeepStrictEqual(only(was, IN_PLACE), only(is, IN_PLACE)) ? 'unchanged' : 'updated';
}

/** Whether what the old connection shows of itself may have been withdrawn: a credential, or a value behind `${}`. */
export function credentialsChanged(was: ServerConfig, is: ServerConfig): boolean {
  const shown = (server: ServerConfig): unknown =>
    server.kind === 'stdio' ? server.env : [server.auth, server.headers, server.tls, server.tls_skip_verify];
  if (was.kind !== is.kind || !isDeepStrictEqual(shown(was), shown(is))) return true;
  const kept = new Set([...(is.filled ?? []), ...secretsOf(is)]);
  return [...(was.filled ?? []), ...secretsOf(was)].some((value) => !kept.has(value));
}

/** All that makes a connection what it is. Where the server stands in the file is no part of it. */
function identity(server: ServerConfig): object {
  const { where: _, problem, ...rest } = server;
  return {
    ...Object.fromEntries(Object.entries(rest).filter(([key]) => !IN_PLACE.includes(key))),
    problem: problem?.replace(/ \([^()]*:\d+\)/g, ''),
  };
}

function only(value: object, keys: readonly string[]): object {
  return Object.fromEntries(Object.entries(value).filter(([key]) => keys.includes(key)));
}

function restartRequired(old: Config, next: Config): string[] {
  const fixed = (config: Config): Record<string, unknown> => {
    const http = Object.entries(config.http).filter(([key]) => !HTTP_AT_ONCE.includes(key));
    return {
      host: config.host,
      port: config.port,
      MCPSTEAD_STATE_KEY: config.mcp.state_key,
      'cache.dir': config.cache.dir,
      ...prefixed('logging', Object.entries(config.logging)),
      ...prefixed('mcp.session', Object.entries(config.mcp.session)),
      ...prefixed('http', http),
    };
  };
  const before = fixed(old);
  return Object.entries(fixed(next))
    .filter(([key, value]) => !isDeepStrictEqual(value, before[key]))
    .map(([key]) => key);
}

function prefixed(prefix: string, entries: [string, unknown][]): Record<string, unknown> {
  return Object.fromEntries(entries.map(([key, value]) => [`${prefix}.${key}`, value]));
}
