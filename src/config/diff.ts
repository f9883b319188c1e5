/** Compares two configurations: what a reload has to change, and what only a restart of the gateway changes. */
import { isDeepStrictEqual } from 'node:util';
import { isMapping } from './client-files.js';
import { secretsOf } from './redact.js';
import { fileSchema, serverSchema } from './schema.js';
import { keysWith } from './schema-tree.js';
import type { Config, ServerConfig } from './types.js';

/** What a reload changes. Servers are listed by name, in file order. */
export interface ConfigDiff {
  added: string[];
  removed: string[];
  /** Their connection is replaced. */
  restarted: string[];
  /** Changed, but their connection stays. */
  updated: string[];
  unchanged: string[];
  /** Keys and variables whose change is ignored until a restart of the gateway: `port`, `MCPSTEAD_STATE_KEY`. */
  restartRequired: string[];
}

/** Keys of a server whose change applies to the running connection. A change of another key restarts the connection. */
const APPLIED = new Set(keysWith('now', serverSchema));
/** Settings that only a restart of the gateway changes: the name for messages, and the path of the value. */
const FIXED: readonly (readonly [name: string, path: string])[] = [
  ...keysWith('restart', fileSchema)
    .filter((path) => !path.startsWith('fleet.'))
    .map((path) => [path, path] as const),
  // As a whole: without a store there is no fleet.
  ['fleet', 'fleet'],
  ['MCPSTEAD_STATE_KEY', 'mcp.state_key'],
];

/** Compares resolved values, so that a changed secret counts as a change even if the file has not changed. */
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
    diff[was === undefined ? 'added' : changeOf(was, server)].push(server.name);
  }
  return diff;
}

function changeOf(was: ServerConfig, is: ServerConfig): 'restarted' | 'updated' | 'unchanged' {
  const [before, after] = [leaves(was), leaves(is)];
  const same = (applied: boolean): boolean => {
    const part = (all: Leaves): Leaves => all.filter(([path]) => APPLIED.has(path) === applied);
    return isDeepStrictEqual(new Map(part(before)), new Map(part(after)));
  };
  if (!same(false)) return 'restarted';
  return same(true) ? 'unchanged' : 'updated';
}

type Leaves = (readonly [path: string, value: unknown])[];

/** The values that a connection depends on, by path. A line number in the file is not one of them. */
function leaves({ where: _, ...server }: ServerConfig): Leaves {
  return leavesIn({ ...server, problem: server.problem?.replace(/ \([^()]*:\d+\)/g, '') });
}

/** The values in an object by path. A nested object also has an entry of its own, so that an empty one differs from none. */
function leavesIn(value: object, prefix = ''): Leaves {
  return Object.entries(value).flatMap(([key, member]: [string, unknown]) => {
    const path = prefix + key;
    return isMapping(member) ? [[path, null], ...leavesIn(member, `${path}.`)] : [[path, member]];
  });
}

/** Whether a credential of the old connection may have been revoked, or a value that replaced a `${}` has changed. */
export function credentialsChanged(was: ServerConfig, is: ServerConfig): boolean {
  const credentials = (server: ServerConfig): unknown =>
    server.kind === 'stdio' ? server.env : [server.auth, server.headers, server.tls, server.tls_skip_verify];
  if (was.kind !== is.kind || !isDeepStrictEqual(credentials(was), credentials(is))) return true;
  const kept = new Set([...(is.filled ?? []), ...secretsOf(is)]);
  return [...(was.filled ?? []), ...secretsOf(was)].some((value) => !kept.has(value));
}

function restartRequired(old: Config, next: Config): string[] {
  if (turned(old, next)) return ['http.tls', ...restartRequired(old, keepTls(old, next))];
  return FIXED.filter(([, path]) => !isDeepStrictEqual(valueAt(old, path), valueAt(next, path))).map(
    ([name]) => name,
  );
}

/** Whether TLS was turned on or off: the port cannot change between them. */
function turned(old: Config, next: Config): boolean {
  return (old.http.tls === undefined) !== (next.http.tls === undefined);
}

function keepTls(old: Config, next: Config): Config {
  return { ...next, http: { ...next.http, tls: old.http.tls } };
}

/** Returns `next` with the values of `old` for all settings that only a restart changes. */
export function keepFixed(old: Config, next: Config): Config {
  const kept: object = turned(old, next) ? keepTls(old, next) : next;
  return FIXED.reduce(
    (config, [, path]) => withValue(config, path.split('.'), valueAt(old, path)),
    kept,
  ) as Config;
}

function valueAt(config: object, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], config);
}

function withValue(holder: object, [key = '', ...rest]: readonly string[], value: unknown): object {
  const member = (holder as Record<string, unknown>)[key];
  if (rest.length === 0) return { ...holder, [key]: value };
  return member === undefined ? holder : { ...holder, [key]: withValue(member as object, rest, value) };
}
