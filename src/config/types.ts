import type { FileValues, ServerValues, TRANSPORT_KEYS } from './schema.js';
import type { Present } from './shape.js';

type ReadonlyDeep<T> = T extends readonly (infer E)[]
  ? readonly ReadonlyDeep<E>[]
  : T extends object
    ? { readonly [K in keyof T]: ReadonlyDeep<T[K]> }
    : T;

type File = ReadonlyDeep<FileValues>;
type Server = ReadonlyDeep<ServerValues>;

/**
 * The resolved configuration: defaults applied, variables and secret files expanded. Key names, and what the keys mean, are those of
 * schema.ts; only what differs from the file is declared here.
 */
export interface Config extends Omit<File, 'mcp' | 'cache'> {
  readonly mcp: {
    readonly auth: File['mcp']['auth'] & {
      /** Every accepted bearer token; empty under mode none. */
      readonly tokens: readonly string[];
    };
    readonly session: File['mcp']['session'];
    /** MCPSTEAD_STATE_KEY: 32 bytes that replicas share to read each other's states; undefined: each replica has its own. */
    readonly state_key: Buffer | undefined;
  };
  readonly servers: readonly ServerConfig[];
  /** `dir`: undefined if lists are not kept between runs. */
  readonly cache: { readonly dir: string | undefined };
}

export type LogLevelName = Config['logging']['level'];

export type Limits = Config['limits'];

export interface ServerCommon extends Omit<Server, (typeof TRANSPORT_KEYS)[number]> {
  /** Where the file declares the server, for messages: `config.yaml:12`. */
  readonly where: string;
  /** Why this server alone cannot start (an unset variable, a missing secret file). It is shown as down, with this message. */
  readonly problem?: string;
  /** The values that replaced `${}`, except those that every child gets anyway; absent if there are none. */
  readonly filled?: readonly string[];
  readonly quirks: Present<Server['quirks']>;
}

export interface HttpServerConfig
  extends ServerCommon, Pick<Server, 'protocol' | 'headers' | 'tls_skip_verify'> {
  readonly kind: 'http';
  readonly url: string;
  readonly auth: { readonly type: 'none' } | { readonly type: 'bearer'; readonly token: string };
  /** The proxy for this URL, resolved from `proxy:` and the environment; absent: direct. */
  readonly proxy?: string;
  /** Absolute paths of readable files. */
  readonly tls: Present<Server['tls']> & {
    /** A hash of the contents of the three files: a renewed certificate is a change. */
    readonly fingerprint?: string;
  };
}

export interface StdioServerConfig extends ServerCommon, Pick<Server, 'args' | 'env' | 'inherit_env'> {
  readonly kind: 'stdio';
  readonly command: string;
  /** The whole environment of the child: allow-list, `inherit_env`, `env`. */
  readonly environment: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export type ServerConfig = HttpServerConfig | StdioServerConfig;
