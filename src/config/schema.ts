import { z } from 'zod';
import {
  admin,
  audit,
  auth,
  httpTls,
  limitRules,
  approvals,
  policy,
  profiles,
  state,
  tracing,
} from './access-schema.js';
import { serverAuth } from './credentials-schema.js';
import { discovery } from './discovery-schema.js';
import { fleet, placement, watch } from './fleet-schema.js';
import { atLeast, flag, link, now, orNothing, positive, restart, text, words } from './keys.js';
import { shownKeys } from './shown-schema.js';

/**
 * The schema of the configuration file: the only place that declares a key, its default and its bounds.
 * docs/configuration.md is generated from it.
 */

/** The longest delay of a Node timer, 24.8 days. Longer ones are cut to it. */
export const LONGEST_MS = 2 ** 31 - 1;

export const LEGACY_REVISIONS = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'] as const;
export const MODERN_REVISIONS = ['2026-07-28'] as const;
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'off'] as const;

const session = z.object({
  idle_ttl_seconds: positive(3600).meta(restart('A session ends after this long without a request.')),
  gc_interval_seconds: positive(60).meta(restart('How often the gateway checks for idle sessions.')),
  shutdown_grace_seconds: positive(5).meta(
    restart('How long requests in flight may take to finish after SIGTERM and `http.drain_delay_seconds`.'),
  ),
});

const http = z.object({
  public_url: z
    .string()
    .nullable()
    .default(null)
    .meta(restart('The URL under which clients reach the gateway, if it is not the bind address.')),
  allowed_hosts: words().meta(now('Additional `Host` headers that a gateway on a loopback address accepts.')),
  allowed_origins: words().meta(
    now('Web origins (`https://app.example.com`) whose pages may call the gateway; they get CORS headers.'),
  ),
  keep_alive_ms: positive(15_000).meta(restart('How often an idle event stream gets a keep-alive comment.')),
  stream_after_ms: orNothing(5000).meta(
    restart(
      'A call that is not answered within this time becomes an event stream, if the client accepts one.',
    ),
  ),
  resume_seconds: orNothing(60).meta(
    restart('How long a client can resume the stream of a call after it has disconnected.'),
  ),
  drain_delay_seconds: orNothing(0).meta(
    restart(
      'How long the gateway keeps serving after SIGTERM while `/ready` already answers 503, so that load balancers notice.',
    ),
  ),
  idle_connection_ms: positive(75_000).meta(
    restart(
      'How long an idle client connection stays open; set it longer than the idle timeout of a load balancer in front.',
    ),
  ),
  tls: httpTls,
  reuse_port: flag(false).meta(
    restart(
      'Lets several processes of one machine listen on the same port; the kernel spreads connections over them. Needs Node.js 22.12 or later, and Linux.',
    ),
  ),
});

const startup = z.object({
  wait_ms: orNothing(8000).meta(
    now('How long lists and calls wait for the first connection to an upstream.'),
  ),
  parallel: atLeast(1, 4).meta(now('How many stdio servers start at the same time.')),
});

const cache = z.object({
  dir: z
    .string()
    .nullable()
    .default(null)
    .meta(
      restart(
        'Where the gateway stores the lists of its servers, to serve them at the next start until the servers have connected. `null`: `$CACHE_DIRECTORY`, `$XDG_CACHE_HOME/mcpstead` or `~/.cache/mcpstead` (Windows: `%LOCALAPPDATA%\\mcpstead`). `none`: they are not stored.',
      ),
    ),
});

const limits = z.object({
  body_bytes: atLeast(1, 10_485_760).meta(now('Maximum size of a request body.')),
  message_bytes: atLeast(1, 67_108_864).meta(
    now(
      'Maximum size of an upstream message that has to be held in memory: a stdio line, an event that is parsed, an answer buffered to find its id. Answers that are streamed have no limit.',
    ),
  ),
  sessions: atLeast(1, 10_000).meta(
    now(
      'Maximum number of open sessions; beyond it the session that has been idle longest, without an open stream, ends.',
    ),
  ),
  parked: atLeast(0, 1000).meta(
    now(
      'Maximum number of calls that wait for their client to retry with its input (2026-07-28); beyond it the oldest one of the client or server with most of them fails. 0: none may wait.',
    ),
  ),
  parked_seconds: positive(300).meta(
    now('How long a client may take to retry with its input before the call is cancelled.'),
  ),
  in_flight: atLeast(1, 1000).meta(
    now('Maximum number of calls in flight to one upstream; more calls fail as `busy`.'),
  ),
  replay_bytes: atLeast(0, 67_108_864).meta(
    now('Maximum size of the events stored for clients that resume a stream.'),
  ),
  buffered_bytes: atLeast(1, 268_435_456).meta(now('Maximum size of all buffers together.')),
  per_client: atLeast(1, 100).meta(
    now('Maximum number of connections to one upstream under `session: per-client`.'),
  ),
  per_user: atLeast(1, 1000).meta(
    now(
      'Maximum number of connections to one upstream under `auth.per: user`; more users get `busy` until another one has been idle for `mcp.session.idle_ttl_seconds`.',
    ),
  ),
  name_length: atLeast(0, 0).meta(
    now(
      'Maximum length of the tool names (`<server>__<tool>`) that clients see; longer names get a shorter alias. 0: the 128 characters of the specification.',
    ),
  ),
  rules: limitRules,
  share: z
    .number()
    .gt(0)
    .max(1)
    .default(0.5)
    .meta(
      now(
        'The part of `limits.in_flight` of an upstream that one principal may use while others call it; more of its calls fail as `busy`.',
      ),
    ),
});

const logging = z.object({
  level: z.enum(LOG_LEVELS).default('info').meta(restart('The least severe level that is logged.')),
  format: z
    .enum(['auto', 'pretty', 'json'])
    .default('auto')
    .meta(restart('`auto`: readable lines on a terminal, JSON lines otherwise.')),
  calls: z
    .enum(['none', 'failed', 'all'])
    .default('failed')
    .meta(restart('Which calls are logged at `info`. `failed` includes calls slower than 10 s.')),
});

const timeouts = z.object({
  connect_ms: positive(10_000).meta(now('The time to open a connection to an HTTP upstream.')),
  probe_ms: positive(5000).meta(
    now(
      'How long a stdio server may take to answer which revisions it supports. One that has written something else by then is treated as legacy.',
    ),
  ),
  request_ms: orNothing(300_000).meta(
    now('How long a call may go without an answer or progress. 0: no limit.'),
  ),
  total_ms: orNothing(0).meta(now('How long a call may take in total. 0: no limit.')),
  start_ms: positive(120_000).meta(
    now(
      'The time from the start of a stdio server to its answer to `initialize`; a first `npx -y` takes a while.',
    ),
  ),
  input_ms: orNothing(600_000).meta(
    now('How long a client may take to answer a question of a server. 0: no limit.'),
  ),
});

const reconnect = z.object({
  max_attempts: atLeast(0, 0).meta(
    now(
      'Consecutive failures after which an upstream stays down until a reload; a `required` upstream then stops the gateway. 0: never give up.',
    ),
  ),
  backoff_base_ms: positive(1000).meta(
    now(
      'The delay after the first failure, doubled after each further one. The actual delay is a random fraction of it.',
    ),
  ),
  backoff_max_ms: positive(30_000).meta(now('The longest delay between two attempts.')),
});

const quirks = z.object({
  normalize_sse_events: flag(false).meta(now('Ignore the `event:` fields in event streams of the upstream.')),
  inject_accept_header: z
    .string()
    .min(1)
    .optional()
    .meta(now('Replaces the `Accept` header sent upstream (`application/json, text/event-stream`).')),
});

const tls = z.object({
  ca_file: z
    .string()
    .min(1)
    .optional()
    .meta(link('CA certificates to trust in addition to those of Node and the system.')),
  cert_file: z.string().min(1).optional().meta(link('The client certificate to present.')),
  key_file: z.string().min(1).optional().meta(link('The key of the client certificate.')),
  server_name: z
    .string()
    .min(1)
    .optional()
    .meta(link('The server name to verify, if it is not the host of the URL.')),
});

export const serverSchema = z.object({
  name: z
    .string()
    .default('')
    .meta(
      link(
        'Required and unique; the prefix of its tools (`<name>__<tool>`). 1 to 64 of `A-Z a-z 0-9 _ -`, without `__`. Other names work with a warning: model APIs reject the tool names, and a name with characters other than these and dots, or with a trailing `_`, has no route `/servers/<name>/`.',
      ),
    ),
  url: z.string().optional().meta(link('The endpoint of an HTTP upstream.')),
  command: z
    .string()
    .optional()
    .meta(link('The program of a stdio upstream. A server has a `url` or a `command`.')),
  args: z.array(text).default([]).meta(link('Arguments of the command.')),
  env: z
    .record(z.string(), text)
    .default({})
    .meta(
      link(
        'Environment variables of the command, in addition to a short allow-list from the environment of the gateway.',
      ),
    ),
  cwd: z
    .string()
    .min(1)
    .optional()
    .meta(link('The working directory of the command, relative to the folder of this file.')),
  inherit_env: words().meta(
    link('Names of additional variables that the command inherits from the environment of the gateway.'),
  ),
  protocol: z
    .enum(['auto', 'streamable', 'sse'])
    .default('auto')
    .meta(
      link(
        'The transport of an HTTP upstream: Streamable HTTP, HTTP+SSE of 2024-11-05, or the one that answers.',
      ),
    ),
  required: flag(false).meta(now('Serve nothing until this upstream has connected once.')),
  auth: z
    .preprocess((value) => (typeof value === 'string' ? { type: value } : value), serverAuth)
    .prefault({})
    .meta(link('How the gateway authenticates to the upstream.')),
  headers: z
    .record(z.string(), text)
    .default({})
    .meta(link('Headers sent with every request to the upstream.')),
  headers_command: z
    .array(z.string().min(1))
    .default([])
    .meta(
      link(
        'Prints further headers as `{"headers": {"authorization": "..."}, "expires_in": 300}`: program and arguments, run without a shell, within 10 s, with the environment of a stdio server and `MCPSTEAD_SERVER`; before the first connection, after `expires_in` seconds, and when the server refuses them.',
      ),
    ),
  headers_from_client: z
    .record(z.string(), z.string())
    .default({})
    .meta(
      link(
        'Headers of clients that the upstream gets, by the name that it gets them under: `{x-upstream-token: authorization}`. Clients with the same values share a connection. Never `Authorization` or `Cookie` of a client.',
      ),
    ),
  reconnect: reconnect.prefault({}),
  tools: z
    .object({
      ttl_seconds: positive(300).meta(
        now('How often the gateway refreshes the lists of this server, which is also its health check.'),
      ),
    })
    .prefault({}),
  timeouts: timeouts.prefault({}),
  tls_skip_verify: flag(false).meta(link('Accept any certificate from this upstream.')),
  tls: tls.prefault({}),
  proxy: z
    .string()
    .min(1)
    .default('env')
    .meta(
      link(
        '`env`: use HTTP_PROXY, HTTPS_PROXY and NO_PROXY; `none`: connect directly; or the URL of a proxy.',
      ),
    ),
  quirks: quirks.prefault({}),
  revision: z
    .string()
    .default('auto')
    .meta(
      link(
        'The MCP revision to use with the upstream: `auto`, `legacy`, `modern`, or the date of a revision. `auto` asks the upstream.',
      ),
    ),
  session: z
    .enum(['shared', 'per-client'])
    .default('shared')
    .meta(
      link(
        '`shared`: one upstream session for all clients. `per-client`: each client session has its own upstream session (for a stdio server, its own child process), with the capabilities and roots of that client.',
      ),
    ),
  placement,
  roots: words().meta(now('File URIs that the gateway returns when a shared upstream asks for roots.')),
  drain_seconds: orNothing(30).meta(
    now('How long calls may take to finish on the old connection after a reload has replaced it.'),
  ),
  restart: z
    .enum(['overlap', 'serial'])
    .default('overlap')
    .meta(
      now(
        '`serial` stops the old process before it starts the new one; calls wait in the meantime. With `placement: fleet` it is always so.',
      ),
    ),
  disabled: flag(false).meta(
    link(
      'Do not connect to this server, as in client configuration files. Commands and the console show it as off.',
    ),
  ),
  ...shownKeys,
});

const consoleKeys = z.object({
  enabled: flag(true).meta(
    now('Whether the console, its API and `/-/mcp` are served. False: they answer 404.'),
  ),
  edit: flag(false).meta(
    now(
      'Whether operators may change this file in the console. It can name programs, which the gateway then starts.',
    ),
  ),
  calls: z
    .int()
    .min(1)
    .max(10_000)
    .default(500)
    .meta(now('How many calls the console remembers while somebody watches.')),
  minutes: z.int().min(1).max(1440).default(60).meta(now('How far back the charts of the console reach.')),
});

/** Keys of servers over HTTP alone, but for `auth` with `type: key`. */
export const HTTP_KEYS = [
  'protocol',
  'auth',
  'headers',
  'headers_command',
  'headers_from_client',
  'tls_skip_verify',
  'tls',
  'proxy',
  'quirks',
] as const;

/** Keys that only one kind of server has, or that are resolved into another form. */
export const TRANSPORT_KEYS = [
  ...(['url', 'command', 'args', 'env', 'cwd', 'inherit_env'] as const),
  ...HTTP_KEYS,
  'disabled',
] as const;

/** Values of `type` in client configuration files, and the transports they mean. */
export const CLIENT_TYPES: Readonly<Record<string, 'auto' | 'streamable' | 'sse' | 'stdio'>> = {
  stdio: 'stdio',
  local: 'stdio',
  http: 'auto',
  remote: 'auto',
  sse: 'sse',
  'streamable-http': 'streamable',
  streamable_http: 'streamable',
  streamableHttp: 'streamable',
  streamable: 'streamable',
};

export const fileSchema = z.object({
  host: z
    .string()
    .default('127.0.0.1')
    .meta(restart('The address to listen on. Overridden by `MCPSTEAD_HOST`.')),
  port: z
    .int()
    .min(0)
    .max(65_535)
    .default(8766)
    .meta(restart('The port to listen on; 0 picks a free one. Overridden by `MCPSTEAD_PORT`.')),
  mcp: z.object({ auth: auth.prefault({}), session: session.prefault({}) }).prefault({}),
  metrics: z
    .object({
      enabled: flag(true).meta(now('Whether `GET /metrics` answers.')),
      auth: z
        .enum(['none', 'bearer'])
        .optional()
        .meta(
          now(
            'Who may read `GET /metrics`: everybody, or viewers and operators. Not set: everybody, unless there is a `policy` and no `admin.port`.',
          ),
        ),
    })
    .prefault({}),
  policy,
  profiles,
  approvals: approvals.prefault({}),
  audit: audit.prefault({}),
  tracing: tracing.prefault({}),
  admin: admin.prefault({}),
  state: state.prefault({}),
  discovery: discovery.prefault({}),
  fleet: fleet.prefault({}),
  watch,
  console: consoleKeys.prefault({}),
  logging: logging.prefault({}),
  http: http.prefault({}),
  startup: startup.prefault({}),
  cache: cache.prefault({}),
  limits: limits.prefault({}),
});

/** What the file says, with defaults, before variables are expanded. Times fit a timer (at most 24.8 days); sizes are bytes. */
export type FileValues = z.output<typeof fileSchema>;
export type ServerValues = z.output<typeof serverSchema>;

/** A server in a configuration file, or in the configuration passed to `createGateway`. */
export type ServerInput = Omit<z.input<typeof serverSchema>, 'auth'> & {
  auth?: 'none' | z.input<typeof serverAuth>;
};

/** The configuration in a file, or passed to `createGateway`. Every key is optional, except a server's name and its `url` or `command`. */
export type ConfigInput = z.input<typeof fileSchema> & {
  servers?: readonly ServerInput[];
  /** Servers by name, as in client configuration files. */
  mcpServers?: Readonly<Record<string, Omit<ServerInput, 'name'> & { type?: string }>>;
};
