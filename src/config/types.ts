/**
 * The resolved configuration: defaults applied, variables and secret files expanded.
 * Key names are those of the file. Times end in their unit and fit a timer (at most 24.8 days); sizes are bytes.
 */
export interface Config {
  readonly host: string;
  readonly port: number;
  readonly mcp: {
    readonly auth: {
      readonly mode: 'none' | 'bearer';
      /** Every accepted bearer token; empty under mode none. */
      readonly tokens: readonly string[];
    };
    readonly session: {
      readonly idle_ttl_seconds: number;
      readonly gc_interval_seconds: number;
      readonly shutdown_grace_seconds: number;
    };
    /** 32 bytes that replicas share, to know the state that another one gave to a client; undefined: each has its own. */
    readonly state_key: Buffer | undefined;
  };
  readonly servers: readonly ServerConfig[];
  readonly metrics: { readonly enabled: boolean };
  readonly logging: {
    readonly level: LogLevelName;
    readonly format: 'auto' | 'pretty' | 'json';
    readonly calls: 'none' | 'failed' | 'all';
  };
  readonly http: {
    readonly public_url: string | null;
    readonly allowed_hosts: readonly string[];
    readonly allowed_origins: readonly string[];
    readonly keep_alive_ms: number;
    readonly stream_after_ms: number;
    readonly resume_seconds: number;
    readonly drain_delay_seconds: number;
    readonly idle_connection_ms: number;
  };
  readonly startup: { readonly wait_ms: number; readonly parallel: number };
  /** `dir`: undefined: lists are not kept between runs. */
  readonly cache: { readonly dir: string | undefined };
  readonly limits: Limits;
}

export type LogLevelName = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'off';

export interface Limits {
  readonly body_bytes: number;
  readonly message_bytes: number;
  readonly sessions: number;
  readonly parked: number;
  readonly parked_seconds: number;
  readonly in_flight: number;
  readonly replay_bytes: number;
  readonly buffered_bytes: number;
  readonly per_client: number;
  /** Longest qualified name; 0: no limit but the 128 of the specification. */
  readonly name_length: number;
}

export interface ServerCommon {
  readonly name: string;
  /** Where the server stands in the file, for messages: `config.yaml:12`. */
  readonly where: string;
  /** Why this server alone cannot start (an unset variable, a missing secret file); it is then shown down with this text. */
  readonly problem?: string;
  /** The values that stand in the place of `${}`, but for those that every child is given anyway; absent: there are none. */
  readonly filled?: readonly string[];
  readonly required: boolean;
  readonly reconnect: {
    readonly max_attempts: number;
    readonly backoff_base_ms: number;
    readonly backoff_max_ms: number;
  };
  readonly tools: { readonly ttl_seconds: number };
  readonly quirks: {
    readonly normalize_sse_events: boolean;
    readonly inject_accept_header?: string;
  };
  /** auto | modern | legacy | a revision's date. */
  readonly revision: string;
  readonly session: 'shared' | 'per-client';
  readonly roots: readonly string[];
  readonly drain_seconds: number;
  readonly restart: 'overlap' | 'serial';
  readonly timeouts: {
    readonly connect_ms: number;
    readonly probe_ms: number;
    readonly request_ms: number;
    readonly total_ms: number;
    readonly start_ms: number;
    readonly input_ms: number;
  };
}

export interface HttpServerConfig extends ServerCommon {
  readonly kind: 'http';
  readonly url: string;
  readonly protocol: 'auto' | 'streamable' | 'sse';
  /** Expanded; the names as written. */
  readonly headers: Readonly<Record<string, string>>;
  readonly auth: { readonly type: 'none' } | { readonly type: 'bearer'; readonly token: string };
  /** The proxy to use for this URL, already resolved from `proxy:` and the environment; absent: direct. */
  readonly proxy?: string;
  readonly tls_skip_verify: boolean;
  /** Absolute paths of files that could be read. */
  readonly tls: {
    readonly ca_file?: string;
    readonly cert_file?: string;
    readonly key_file?: string;
    readonly server_name?: string;
    /** Of what the three files hold: a renewed certificate is a change. */
    readonly fingerprint?: string;
  };
}

export interface StdioServerConfig extends ServerCommon {
  readonly kind: 'stdio';
  readonly command: string;
  readonly args: readonly string[];
  /** The `env` key of the server alone, expanded. */
  readonly env: Readonly<Record<string, string>>;
  /** The whole environment of the child: allow-list, `inherit_env`, `env`. */
  readonly environment: Readonly<Record<string, string>>;
  readonly inherit_env: readonly string[];
  readonly cwd?: string;
}

export type ServerConfig = HttpServerConfig | StdioServerConfig;
