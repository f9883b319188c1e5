/**
 * mcpstead as a library: a gateway inside another Node program. Several can run side by side; none touches signals, the process or
 * global state.
 */
import type { Readable, Writable } from 'node:stream';
import { resolveConfig, type ConfigInput, type LoadedConfig } from './config/index.js';
import {
  checkPolicy,
  unpinnedHolds,
  GatewayCore,
  type BuildInfo,
  type Health,
  type ReloadResult,
  type SessionStore,
  type SessionStoreOptions,
} from './gateway.js';
import { readPackageFile } from './lib/package-files.js';
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
  /** Receives the gateway's log; by default nothing is logged. */
  readonly logger?: Logger;
  /** Variables for `${NAME}` and the MCPSTEAD_* overrides; `process.env` by default. */
  readonly env?: NodeJS.ProcessEnv;
  /** Reads the configuration again, for `POST /-/reload` and `reload()` without an argument. */
  readonly reload?: () => LoadedConfig;
  /** The file that `reload` reads: commands find the gateway by it, and the console can show and check it. */
  readonly configFile?: string;
  /** Creates the session store, for replicas that share sessions (docs/architecture.md, "A fleet of replicas"); in memory by default. */
  readonly sessions?: (options: SessionStoreOptions) => SessionStore;
}

export interface Gateway {
  /**
   * Opens the port and starts to connect to servers; resolves when the port is open. `url` ends in `/mcp`; `admin` is the origin of the port
   * for operators (`admin.port`).
   * Rejects with Node's own error (EADDRINUSE, EACCES, ...) when it cannot listen.
   */
  listen(): Promise<{ host: string; port: number; url: string; admin?: string }>;
  /**
   * Serves one client over a pair of streams, one JSON-RPC message per line, as `mcpstead stdio` does over stdin and stdout. The client is
   * the principal `local` and needs no token. Without `listen()` no port is opened, and the gateway connects to servers once the client
   * sends more than `initialize`, `ping` or `server/discover`. Any number of pairs can be attached, with or without a port.
   *
   * Resolves when the client has left: `input` has ended, or `output` is closed. Calls in flight continue for
   * `mcp.session.shutdown_grace_seconds`; then `output` is ended. `close()` waits for that. Never rejects. Backpressure applies both ways:
   * an answer that the client does not read stops its server, and the gateway stops reading a client that does not read.
   * `profile`: what the client gets instead of all servers; throws an Error if there is no such profile.
   */
  attach(
    input: Readable,
    output: Writable,
    options?: { readonly profile?: string | undefined },
  ): Promise<void>;
  /**
   * Applies another configuration without losing a call. Without an argument, `options.reload` reads it.
   * Rejects with a ConfigError, and keeps the running configuration, if the new one is invalid.
   */
  reload(input?: ConfigInput): Promise<ReloadResult>;
  /** Shuts down gracefully: refuses new sessions and lets calls in flight end, within `mcp.session.shutdown_grace_seconds`. */
  close(): Promise<void>;
  /** Closes everything at once. */
  destroy(): void;
  /** The body of `GET /health`. */
  health(): Health;
  /**
   * The URL of the console with a ticket that is good once: whoever opens it becomes an operator. undefined: `console.enabled` is false, or no
   * port is open.
   */
  consoleUrl(): string | undefined;
  /** Resolves if a required server could not be reached before the gateway was ready; otherwise never. */
  readonly failed: Promise<Error>;
}

/**
 * Creates a gateway from a configuration object with the keys of the file (docs/configuration.md), or from a loaded configuration.
 * Throws a ConfigError that lists every problem.
 */
export function createGateway(input: ConfigInput | LoadedConfig, options: GatewayOptions = {}): Gateway {
  const env = options.env ?? process.env;
  const isLoaded = (value: ConfigInput | LoadedConfig): value is LoadedConfig =>
    'config' in value && 'warnings' in value;
  const loaded = isLoaded(input) ? input : resolveConfig(input, env);
  /** Reloads the same input with the current environment variables and secret files. */
  let current: () => LoadedConfig = () => (isLoaded(input) ? input : resolveConfig(input, env));
  const core = new GatewayCore(loaded, {
    logger: options.logger ?? silent,
    build: buildInfo(),
    env,
    reload: options.reload ?? (() => current()),
    configFile: options.configFile,
    sessions: options.sessions,
  });
  return {
    listen: () => core.listen(),
    attach: (input, output, options) => core.attach(input, output, options?.profile),
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
    health: () => core.admin.operators.health(),
    consoleUrl: () => core.admin.consoleUrl(),
    failed: core.failed,
  };
}

/**
 * Throws a ConfigError for conditions that are not accepted, and for held calls that nobody can say yes to; everything else is checked when a
 * configuration is loaded. Returns warnings.
 */
export function checkAccess(config: LoadedConfig['config']): readonly string[] {
  checkPolicy(config);
  return unpinnedHolds(config);
}

let build: BuildInfo | undefined;

/** Written by the build; a source tree has none. */
function buildInfo(): BuildInfo {
  if (build) return build;
  try {
    build = JSON.parse(readPackageFile('build-info.json').toString()) as BuildInfo;
  } catch {
    build = { version: '0.0.0', git_sha: 'unknown' };
  }
  return build;
}
