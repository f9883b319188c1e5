/**
 * mcpstead as a library: a gateway within another Node program. Several run side by side; none touches signals, the
 * process or anything global.
 */
import { readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { resolveConfig, type ConfigInput, type LoadedConfig } from './config/index.js';
import {
  GatewayCore,
  type BuildInfo,
  type Health,
  type ReloadResult,
  type SessionStore,
  type SessionStoreOptions,
} from './gateway.js';
import { silent, type Logger } from './observe/log.js';

export { ConfigError, type ConfigInput, type ConfigProblem, type LoadedConfig } from './config/index.js';
export type {
  Health,
  ReloadResult,
  ServerHealth,
  Session,
  SessionRecord,
  SessionStore,
  SessionStoreOptions,
} from './gateway.js';
export type { LogFields, Logger } from './observe/log.js';

export interface GatewayOptions {
  /** Where the gateway's lines go; none by default. */
  readonly logger?: Logger;
  /** Variables for `${NAME}` and the MCPSTEAD_* overrides; `process.env` by default. */
  readonly env?: NodeJS.ProcessEnv;
  /** Reads the configuration again, for `POST /-/reload` and `reload()` without an argument. */
  readonly reload?: () => LoadedConfig;
  /** Makes the store of the sessions, where replicas share them (docs/architecture.md, "A fleet of replicas"); this process by default. */
  readonly sessions?: (options: SessionStoreOptions) => SessionStore;
}

export interface Gateway {
  /**
   * Opens the port and begins to connect upstreams; resolves when the port is open. `url` ends in `/mcp`.
   * Rejects with Node's own error (EADDRINUSE, EACCES, ...) when it cannot listen.
   */
  listen(): Promise<{ host: string; port: number; url: string }>;
  /**
   * Serves one client over a pair of streams, one JSON-RPC message a line, as `mcpstead stdio` does over stdin and stdout. The client is
   * the principal `local`: whoever holds the streams needs no token. Without `listen()` no port is opened, and upstreams are connected
   * to once the client sends more than `initialize`, `ping` or `server/discover`. Any number of pairs may be attached, beside a port or
   * without one.
   *
   * Resolves when the client has left: `input` has ended, or nobody reads `output` any more. What is then under way goes on within
   * `mcp.session.shutdown_grace_seconds`; after that `output` is ended. `close()` waits for it. Never rejects. An answer that the
   * client does not read stops its upstream; a client that reads nothing is not read either.
   */
  attach(input: Readable, output: Writable): Promise<void>;
  /**
   * Makes another configuration count without a lost call. Without an argument it is read by `options.reload`.
   * Rejects with a ConfigError, and keeps the running configuration, when the new one is wrong.
   */
  reload(input?: ConfigInput): Promise<ReloadResult>;
  /** Drains: no new sessions, the calls in flight end, within `mcp.session.shutdown_grace_seconds`. */
  close(): Promise<void>;
  /** Lets go of everything now. */
  destroy(): void;
  /** What `GET /health` answers. */
  health(): Health;
  /** Resolves if a required upstream used up its attempts before the gateway was ready; else never. */
  readonly failed: Promise<Error>;
}

/**
 * Makes a gateway from a configuration of the shape of the file (docs/configuration.md), or from one that was loaded.
 * Throws a ConfigError that names every problem.
 */
export function createGateway(input: ConfigInput | LoadedConfig, options: GatewayOptions = {}): Gateway {
  const env = options.env ?? process.env;
  const isLoaded = (value: ConfigInput | LoadedConfig): value is LoadedConfig =>
    'config' in value && 'warnings' in value;
  const loaded = isLoaded(input) ? input : resolveConfig(input, env);
  /** What is read again without a source: the same input with the variables and secret files of that moment. */
  let current: () => LoadedConfig = () => (isLoaded(input) ? input : resolveConfig(input, env));
  const core = new GatewayCore(loaded, {
    logger: options.logger ?? silent,
    build: buildInfo(),
    reload: options.reload ?? (() => current()),
    sessions: options.sessions,
  });
  return {
    listen: () => core.listen(),
    attach: (input, output) => core.attach(input, output),
    async reload(next) {
      if (next === undefined) return core.reload();
      const load = (): LoadedConfig => resolveConfig(next, env);
      const result = await core.reload(load);
      current = load;
      return result;
    },
    close: () => core.close(),
    destroy: () => {
      core.destroy();
    },
    health: () => core.health(),
    failed: core.failed,
  };
}

let build: BuildInfo | undefined;

/** Written when the package was built; a source tree run as it is has none. */
function buildInfo(): BuildInfo {
  if (build) return build;
  try {
    build = JSON.parse(readFileSync(new URL('./build-info.json', import.meta.url), 'utf8')) as BuildInfo;
  } catch {
    build = { version: '0.0.0', git_sha: 'unknown' };
  }
  return build;
}
