import type { z } from 'zod';
import type { keyEntry, override, who } from './access-schema.js';
import type { ConfigProblem } from './problems.js';
import type { FileValues, ServerValues, TRANSPORT_KEYS } from './schema.js';
import type { SearchConfig } from './search.js';
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
export interface Config extends Omit<
  File,
  | 'mcp'
  | 'cache'
  | 'http'
  | 'policy'
  | 'profiles'
  | 'limits'
  | 'audit'
  | 'tracing'
  | 'state'
  | 'console'
  | 'fleet'
  | 'approvals'
> {
  readonly mcp: {
    readonly auth: AuthConfig;
    readonly session: File['mcp']['session'];
    /** MCPSTEAD_STATE_KEY: 32 bytes that replicas share to read each other's states; undefined: each replica has its own. */
    readonly state_key: Buffer | undefined;
  };
  readonly servers: readonly ServerConfig[];
  /** Servers with `disabled: true`, in file order. */
  readonly disabled: readonly DisabledServer[];
  /** `key`: MCPSTEAD_CONSOLE_KEY; undefined: the gateway makes one. */
  readonly console: File['console'] & { readonly key: string | undefined };
  /** `dir`: undefined if lists are not kept between runs. */
  readonly cache: { readonly dir: string | undefined };
  readonly http: Omit<File['http'], 'tls'> & { readonly tls: TlsConfig | undefined };
  /** undefined: everything is allowed. */
  readonly policy: PolicyConfig | undefined;
  readonly approvals: ApprovalsConfig;
  readonly profiles: readonly ProfileConfig[];
  readonly limits: Omit<File['limits'], 'rules'> & { readonly rules: readonly LimitRule[] };
  /** `file`: an absolute path; undefined: there is no audit log. */
  readonly audit: Omit<File['audit'], 'file'> & { readonly file: string | undefined };
  /** `endpoint`: a URL; undefined: nothing is traced. */
  readonly tracing: Omit<File['tracing'], 'endpoint'> & { readonly endpoint: string | undefined };
  readonly state: {
    /** An absolute path; undefined: there is no folder, and state is kept in memory. */
    readonly dir: string | undefined;
    /** Whether the file names it. */
    readonly chosen: boolean;
    readonly key_command: readonly string[];
    /** Further keys of MCPSTEAD_STATE_KEY_FILE, which only open what they sealed. */
    readonly older_keys: readonly Buffer[];
  };
  /** undefined: the gateway is alone. */
  readonly fleet: FleetConfig | undefined;
}

/** A replica among others with one store. */
export interface FleetConfig {
  readonly store: FleetStoreConfig;
  readonly prefix: string;
  /** What the replica is called. */
  readonly name: string;
  readonly listen: { readonly host: string; readonly port: number; readonly tls: 'psk' | 'off' };
  /** `host:port`; undefined: that of `listen`. */
  readonly address: string | undefined;
}

/** A Valkey or Redis server, the sentinels that know which one it is, or some nodes of a cluster. */
export interface FleetStoreConfig {
  readonly kind: 'single' | 'sentinel' | 'cluster';
  readonly tls: boolean;
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** What the sentinels call the service. */
  readonly name?: string;
  readonly db: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

/** Whom a rule is about: all members must match, any entry of each; no members: everybody. */
export type Who = ReadonlyDeep<z.output<typeof who>>;

export interface AuthConfig extends Omit<
  File['mcp']['auth'],
  'mode' | 'keys' | 'issuers' | 'login' | 'admins' | 'viewers' | 'client_cert' | 'proxy' | 'keys_file'
> {
  readonly mode: 'none' | 'bearer';
  /** Every accepted contract token; empty under mode none. */
  readonly tokens: readonly string[];
  /** Those of the config, then those of `keys_file`. */
  readonly keys: readonly KeyConfig[];
  /** An absolute path. */
  readonly keys_file: string | undefined;
  readonly issuers: readonly IssuerConfig[];
  /** undefined: the gateway is no authorization server. */
  readonly login: LoginConfig | undefined;
  readonly client_cert: File['mcp']['auth']['client_cert'];
  readonly proxy: ProxyConfig | undefined;
  readonly admins: readonly Who[];
  readonly viewers: readonly Who[];
}

/** What is shown of a server that the file disables. Its references are not resolved. */
export interface DisabledServer {
  readonly name: string;
  readonly kind: 'stdio' | 'http';
  /** The command without arguments, or the URL without user and query values. */
  readonly target: string;
  readonly required: boolean;
}

/** The authorization server of the gateway, and the identity provider behind it. */
export interface LoginConfig extends Omit<
  NonNullable<File['mcp']['auth']['login']>,
  'client_secret_file' | 'client_secret_env'
> {
  /** undefined: the gateway is a public client of the identity provider. */
  readonly client_secret: string | undefined;
}

export interface KeyConfig extends Omit<ReadonlyDeep<z.output<typeof keyEntry>>, 'expires'> {
  /** Unix time in milliseconds. */
  readonly expires: number | undefined;
}

export interface IssuerConfig extends Omit<File['mcp']['auth']['issuers'][number], 'introspection'> {
  readonly introspection:
    { readonly client_id: string; readonly secret: string; readonly cache_seconds: number } | undefined;
}

export interface ProxyConfig {
  /** IP addresses and networks in CIDR notation. */
  readonly addresses: readonly string[];
  /** Names of headers in lower case. */
  readonly user: string | undefined;
  readonly groups: string | undefined;
}

export interface TlsConfig extends NonNullable<File['http']['tls']> {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  readonly client_ca: string | undefined;
  /** A hash of the contents of the files: a renewed certificate is a change. */
  readonly fingerprint: string;
}

/** Where the file has a value, for errors that are found later. */
export type Place = Omit<ConfigProblem, 'message' | 'fix'>;

export interface TargetConfig {
  readonly servers: readonly string[];
  /** undefined in all three: every kind of item. */
  readonly tools: readonly string[] | undefined;
  readonly prompts: readonly string[] | undefined;
  readonly resources: readonly string[] | undefined;
  readonly annotations: Readonly<Record<string, boolean>> | undefined;
  /** A condition in CEL. */
  readonly when: string | undefined;
  readonly place: Place;
}

export interface RuleConfig {
  readonly name: string;
  readonly who: Who;
  /** Scopes that a caller needs for what the rule allows. */
  readonly needs: readonly string[];
  readonly allow: readonly TargetConfig[];
  readonly deny: readonly TargetConfig[];
  readonly hold: readonly HoldConfig[];
}

/** Calls of tools that wait for a yes. */
export interface HoldConfig extends Pick<
  TargetConfig,
  'servers' | 'tools' | 'annotations' | 'when' | 'place'
> {
  readonly by: 'caller' | readonly Who[];
  readonly need: number;
  readonly expires_seconds: number;
  readonly confirm: 'client' | 'page';
  readonly repeat?: { readonly minutes: number; readonly covers: 'arguments' | 'tool' } | undefined;
}

export interface ApprovalsConfig extends Omit<File['approvals'], 'webhook' | 'wait_seconds'> {
  /** By the name of a client; `default`: of the others. */
  readonly wait_seconds: Readonly<Record<string, number>> & { readonly default: number };
  readonly webhook:
    | {
        readonly url: string;
        /** `whsec_...` */
        readonly secret: string;
        readonly arguments: 'none' | 'masked';
      }
    | undefined;
}

export interface PolicyConfig {
  readonly default: 'deny' | 'allow';
  readonly rules: readonly RuleConfig[];
  readonly sets: number;
  readonly cache_bytes: number;
}

export type OverrideConfig = ReadonlyDeep<z.output<typeof override>>;

export interface ProfileConfig {
  readonly name: string;
  readonly description: string | undefined;
  /** Whether the names of tools and prompts begin with their server's: always, only where two servers have the name, or never. */
  readonly prefix: 'always' | 'auto' | 'never';
  /** Replaces what servers say about themselves; undefined: theirs, joined. */
  readonly instructions: string | undefined;
  /** undefined: everything. */
  readonly allow: readonly TargetConfig[] | undefined;
  /** By `<server>__<tool>`. */
  readonly overrides: Readonly<Record<string, OverrideConfig>>;
  /** undefined: its tools are listed. */
  readonly search: SearchConfig | undefined;
}

export interface LimitRule extends Omit<File['limits']['rules'][number], 'who' | 'burst' | 'concurrent'> {
  readonly who: Who;
  readonly burst: number;
  /** undefined: any number of calls at a time. */
  readonly concurrent: number | undefined;
}

export type LogLevelName = Config['logging']['level'];

export type Limits = Config['limits'];

export interface ServerCommon extends Omit<Server, (typeof TRANSPORT_KEYS)[number]> {
  /** Where the file declares the server, for messages: `config.yaml:12`. */
  readonly where: string;
  /** Why this server alone cannot start (an unset variable, a missing secret file). It is shown as down, with this message. */
  readonly problem?: string;
  /** An operator has turned it off until a reload; `problem` says so. */
  readonly off?: true;
  /** The values that replaced `${}`, except those that every child gets anyway; absent if there are none. */
  readonly filled?: readonly string[];
  readonly quirks: Present<Server['quirks']>;
}

/** Where a secret comes from: the file or the environment, or a command that prints it. */
export type SecretSource =
  /** `file`: where it was read; it may have changed since. */
  { readonly value: string; readonly file?: string } | { readonly command: readonly string[] };

/** Where a JWT comes from that proves who the gateway is. `file`: an absolute path. */
export type AssertionSource = { readonly file: string } | { readonly command: readonly string[] };

/** The identity provider that callers sign in at. */
export interface IdpConfig {
  readonly issuer: string;
  readonly client_id: string;
  readonly client_secret: SecretSource | undefined;
}

type ServerAuth = Server['auth'];

export interface OAuthConfig extends Pick<
  ServerAuth,
  'grant' | 'per' | 'login_tool' | 'client_id' | 'client_metadata_url' | 'scopes' | 'params' | 'metadata'
> {
  readonly type: 'auto' | 'oauth';
  readonly issuer: string | undefined;
  readonly client_secret: SecretSource | undefined;
  /** `pem`: PKCS #8. */
  readonly private_key:
    | { readonly pem: string; readonly kid: string | undefined; readonly algorithm: ServerAuth['algorithm'] }
    | undefined;
  readonly assertion?: AssertionSource;
  /** There with `id_jag`. */
  readonly idp?: IdpConfig;
  readonly redirect_uri: string | undefined;
  /** `none`: it is not sent. */
  readonly resource: string | undefined;
  /** In lower case. */
  readonly allow_hosts: readonly string[];
  /** Whether `url` of the server is on a loopback address. */
  readonly isLoopback: boolean;
}

/** Neither a token nor a login. `per`: each user has headers of his own. */
export interface NoAuth {
  readonly type: 'none';
  readonly per?: 'user';
}

export interface BearerConfig {
  readonly type: 'bearer';
  /** As it was when the configuration was read; '': only `command` knows it. */
  readonly token: string;
  /** The absolute path of the file that it was read from. */
  readonly file?: string;
  /** Prints the token. */
  readonly command?: readonly string[];
}

/** A key that a person sets, in a header. */
export interface HeaderKeyAuth extends Pick<ServerAuth, 'per' | 'login_tool'> {
  readonly type: 'key';
  /** In lower case. */
  readonly header: string;
  /** Before the key; '': none. */
  readonly scheme: string;
}

/** A key that each user sets, in the environment of his child process. */
export interface ChildKeyAuth extends Pick<ServerAuth, 'login_tool'> {
  readonly type: 'key';
  readonly per: 'user';
  /** The name of the variable. */
  readonly env: string;
}

export interface HttpServerConfig
  extends ServerCommon, Pick<Server, 'protocol' | 'headers' | 'tls_skip_verify'> {
  readonly kind: 'http';
  readonly url: string;
  /** Headers of clients that it gets; absent: none. */
  readonly headers_from_client?: readonly PassedHeader[];
  /** Prints further headers, with `auth.per: user` those of each user; absent: none. */
  readonly headers_command?: readonly string[];
  readonly auth: NoAuth | BearerConfig | OAuthConfig | HeaderKeyAuth;
  /** The proxy for this URL, resolved from `proxy:` and the environment; absent: direct. */
  readonly proxy?: string;
  /** Absolute paths of readable files. */
  readonly tls: Present<Server['tls']> & {
    /** A hash of the contents of the three files: a renewed certificate is a change. */
    readonly fingerprint?: string;
  };
}

/** A header of clients that a server gets. Names in lower case. */
export interface PassedHeader {
  readonly from: string;
  readonly to: string;
}

/** A server that may ask for a login at an authorization server. */
export type OAuthServer = HttpServerConfig & { readonly auth: OAuthConfig };

export interface StdioServerConfig extends ServerCommon, Pick<Server, 'args' | 'env' | 'inherit_env'> {
  readonly kind: 'stdio';
  readonly command: string;
  /** The whole environment of the child: allow-list, `inherit_env`, `env`. */
  readonly environment: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly auth?: ChildKeyAuth;
}

/** A server that is shown a key that a person sets. */
export type KeyServer =
  | (HttpServerConfig & { readonly auth: HeaderKeyAuth })
  | (StdioServerConfig & { readonly auth: ChildKeyAuth });

/** A server that a person logs in to: at an authorization server, or with a key. */
export type LoginServer = OAuthServer | KeyServer;

export type ServerConfig = HttpServerConfig | StdioServerConfig;
