import { z } from 'zod';

/**
 * The configuration as it is written: the one place where a key, its default and its bounds stand.
 * docs/configuration.md is generated from here.
 */

/** Timers of the platform hold no more; longer waits are cut to this, 24.8 days. */
export const LONGEST_MS = 2 ** 31 - 1;

export const LEGACY_REVISIONS = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'] as const;
export const MODERN_REVISIONS = ['2026-07-28'] as const;
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'off'] as const;

/**
 * What a reload does with a changed key. `now`: takes effect at once, without a new connection. `link`: the server gets a new connection.
 * `restart`: the old value stays in force, with a warning, until the gateway restarts.
 */
export type Reload = 'now' | 'link' | 'restart';

/** What `.meta()` says about a key; docs/configuration.md shows both. */
type KeyMeta = Readonly<{ description: string; reload: Reload }>;

const key =
  (reload: Reload) =>
  (description: string): KeyMeta => ({ description, reload });
const now = key('now');
const link = key('link');
const restart = key('restart');

const flag = (value: boolean) => z.boolean().default(value);
/** A length of time or an interval that cannot be nothing. */
const positive = (value: number) => z.number().gt(0).default(value);
const atLeast = (least: number, value: number) => z.int().min(least).default(value);
const orNothing = (value: number) => z.number().min(0).default(value);
/** Numbers and switches are common among arguments and variables; they are taken as text. */
const text = z
  .union([z.string(), z.number(), z.boolean()], { error: 'must be text' })
  .transform((value) => String(value));
const words = () => z.array(z.string()).default([]);

const auth = z.object({
  mode: z
    .enum(['none', 'bearer'])
    .default('none')
    .meta(
      now(
        'Who may call. `bearer` takes its tokens from `MCPSTEAD_BEARER_TOKEN` or the file that `MCPSTEAD_BEARER_TOKEN_FILE` names; there is no key for a token.',
      ),
    ),
});

const session = z.object({
  idle_ttl_seconds: positive(3600).meta(restart('A session without a request for this long ends.')),
  gc_interval_seconds: positive(60).meta(restart('How often idle sessions are looked for.')),
  shutdown_grace_seconds: positive(5).meta(
    restart(
      'How long requests in flight may go on after SIGTERM, once `http.drain_delay_seconds` have passed.',
    ),
  ),
});

const http = z.object({
  public_url: z
    .string()
    .nullable()
    .default(null)
    .meta(restart('The URL under which clients reach the gateway, if it is not the bind address.')),
  allowed_hosts: words().meta(
    now('Further values of the `Host` header that a gateway on a loopback address accepts.'),
  ),
  allowed_origins: words().meta(
    now('Web origins (`https://app.example.com`) whose pages may call; they get CORS headers.'),
  ),
  keep_alive_ms: positive(15_000).meta(restart('How often an idle event stream gets a comment.')),
  stream_after_ms: orNothing(5000).meta(
    restart('A call without an answer after this long becomes an event stream, if the client takes one.'),
  ),
  resume_seconds: orNothing(60).meta(restart('How long a call whose client has left may be come back to.')),
  drain_delay_seconds: orNothing(0).meta(
    restart(
      'How long everything goes on after SIGTERM while `/ready` already answers 503, for load balancers to notice.',
    ),
  ),
  idle_connection_ms: positive(75_000).meta(
    restart(
      'How long an idle connection of a client stays open; longer than the idle time-out of a balancer in front.',
    ),
  ),
});

const startup = z.object({
  wait_ms: orNothing(8000).meta(
    now('How long lists and calls wait for an upstream that connects for the first time.'),
  ),
  parallel: atLeast(1, 4).meta(now('How many stdio servers start at once.')),
});

const cache = z.object({
  dir: z
    .string()
    .nullable()
    .default(null)
    .meta(
      restart(
        'Where the lists of servers are kept for the next start, which shows them while its servers start. `null`: `$CACHE_DIRECTORY`, `$XDG_CACHE_HOME/mcpstead` or `~/.cache/mcpstead` (Windows: `%LOCALAPPDATA%\\mcpstead`). `none`: nowhere.',
      ),
    ),
});

const limits = z.object({
  body_bytes: atLeast(1, 10_485_760).meta(now('The body of a request.')),
  message_bytes: atLeast(1, 67_108_864).meta(
    now(
      'What may be held of one upstream message: a stdio line, an event that is parsed, an answer buffered for its id. What flows through has no limit.',
    ),
  ),
  sessions: atLeast(1, 10_000).meta(
    now('Open sessions; at the limit the one longest idle without an open stream makes room.'),
  ),
  parked: atLeast(0, 1000).meta(
    now(
      'Calls that wait for input of clients which come back with it (2026-07-28); further ones fail. 0: none.',
    ),
  ),
  parked_seconds: positive(300).meta(
    now('How long a client may take to come back with its input; then the call is cancelled.'),
  ),
  in_flight: atLeast(1, 1000).meta(now('Calls in flight to one upstream; further ones fail as `busy`.')),
  replay_bytes: atLeast(0, 67_108_864).meta(now('Events kept for clients that come back to a stream.')),
  buffered_bytes: atLeast(1, 268_435_456).meta(now('All buffers together.')),
  per_client: atLeast(1, 100).meta(now('Sessions of one upstream under `session: per-client`.')),
  name_length: atLeast(0, 0).meta(
    now(
      'The longest `<server>__<tool>` that clients are shown; longer names get a shorter alias. 0: only the 128 of the specification.',
    ),
  ),
});

const logging = z.object({
  level: z.enum(LOG_LEVELS).default('info').meta(restart('The least important lines that are written.')),
  format: z
    .enum(['auto', 'pretty', 'json'])
    .default('auto')
    .meta(restart('`auto`: a human line on a terminal, JSON lines otherwise.')),
  calls: z
    .enum(['none', 'failed', 'all'])
    .default('failed')
    .meta(restart('Which calls are a line at `info`. `failed` includes those slower than 10 s.')),
});

const serverAuth = z.object({
  type: z
    .enum(['none', 'bearer'])
    .default('none')
    .meta(link('`auth: none` is short for `auth: {type: none}`.')),
  token_env: z
    .string()
    .min(1)
    .optional()
    .meta(link('The environment variable that holds the token; read at start-up and on every reload.')),
  token_file: z
    .string()
    .min(1)
    .optional()
    .meta(link('The file that holds the token; read at start-up and on every reload.')),
});

const timeouts = z.object({
  connect_ms: positive(10_000).meta(now('To open a connection to an HTTP upstream.')),
  probe_ms: positive(5000).meta(
    now(
      'How long a stdio server that speaks, but does not answer, may take to say which revisions it knows; then it is taken for a legacy one.',
    ),
  ),
  request_ms: orNothing(300_000).meta(now('The longest silence of a call; progress counts. 0: never.')),
  total_ms: orNothing(0).meta(now('The longest a call may take as a whole. 0: no limit.')),
  start_ms: positive(120_000).meta(
    now('From the start of a stdio server to its answer to `initialize`; a first `npx -y` takes a while.'),
  ),
  input_ms: orNothing(600_000).meta(now('To wait for a client that was asked a question. 0: never.')),
});

const reconnect = z.object({
  max_attempts: atLeast(0, 0).meta(
    now(
      'Failures in a row after which an upstream stays down until a reload; a `required` one then ends the gateway. 0: never give up.',
    ),
  ),
  backoff_base_ms: positive(1000).meta(
    now(
      'The wait after the first failure, doubled after each further one; the actual wait is a random part of it.',
    ),
  ),
  backoff_max_ms: positive(30_000).meta(now('The longest wait between two attempts.')),
});

const quirks = z.object({
  normalize_sse_events: flag(false).meta(now('Ignore the `event:` lines of the upstream.')),
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
    .meta(link('Certificates trusted beside those of Node and the system.')),
  cert_file: z.string().min(1).optional().meta(link('The client certificate to show.')),
  key_file: z.string().min(1).optional().meta(link('The key of the client certificate.')),
  server_name: z.string().min(1).optional().meta(link("The name to verify, if it is not the URL's host.")),
});

export const serverSchema = z.object({
  name: z
    .string()
    .default('')
    .meta(
      link(
        'Required and unique; the prefix of its tools (`<name>__<tool>`). 1 to 64 of `A-Z a-z 0-9 _ -`, without `__`. Other names work with a warning: APIs of models refuse the names of their tools, and with more than a dot, or `_` at the end, they have no route of their own.',
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
    .meta(link('Variables of the command, beside a short allow-list from the gateway.')),
  cwd: z
    .string()
    .min(1)
    .optional()
    .meta(link('Where the command runs; relative to the folder of this file.')),
  inherit_env: words().meta(
    link("Names of further variables of the gateway's environment that the command gets."),
  ),
  protocol: z
    .enum(['auto', 'streamable', 'sse'])
    .default('auto')
    .meta(
      link(
        'The transport of an HTTP upstream: Streamable HTTP, HTTP+SSE of 2024-11-05, or whichever answers.',
      ),
    ),
  required: flag(false).meta(now('The gateway serves nothing before this upstream was up once.')),
  auth: z
    .preprocess((value) => (typeof value === 'string' ? { type: value } : value), serverAuth)
    .prefault({})
    .meta(link('How the gateway authenticates to the upstream.')),
  headers: z
    .record(z.string(), text)
    .default({})
    .meta(link('Headers sent with every request to the upstream.')),
  reconnect: reconnect.prefault({}),
  tools: z
    .object({
      ttl_seconds: positive(300).meta(
        now('How often the lists are read again, which is also the health check.'),
      ),
    })
    .prefault({}),
  timeouts: timeouts.prefault({}),
  tls_skip_verify: flag(false).meta(link('Accept any certificate of this upstream.')),
  tls: tls.prefault({}),
  proxy: z
    .string()
    .min(1)
    .default('env')
    .meta(link('`env`: as HTTP_PROXY, HTTPS_PROXY and NO_PROXY say; `none`: direct; or the URL of a proxy.')),
  quirks: quirks.prefault({}),
  revision: z
    .string()
    .default('auto')
    .meta(
      link(
        'The MCP revision spoken with the upstream: `auto`, `legacy`, `modern`, or the date of one. `auto` asks the upstream.',
      ),
    ),
  session: z
    .enum(['shared', 'per-client'])
    .default('shared')
    .meta(
      link(
        '`shared`: one upstream session for all clients. `per-client`: every client session has one of its own (a child process of its own for a stdio server), with the capabilities and roots of that client.',
      ),
    ),
  roots: words().meta(now('File URIs that the gateway answers with when a shared upstream asks for roots.')),
  drain_seconds: orNothing(30).meta(
    now('How long calls may finish on the old connection after a restart by reload.'),
  ),
  restart: z
    .enum(['overlap', 'serial'])
    .default('overlap')
    .meta(now('`serial` stops the old process before the new one starts; calls wait meanwhile.')),
  disabled: flag(false).meta(link('Leave this server out, as in the files of clients.')),
});

/** Keys that only one kind of server has, or that are resolved into another form. */
export const TRANSPORT_KEYS = [
  'url',
  'command',
  'args',
  'env',
  'cwd',
  'inherit_env',
  'protocol',
  'auth',
  'headers',
  'tls_skip_verify',
  'tls',
  'proxy',
  'quirks',
  'disabled',
] as const;

/** What clients write in `type`, and the transport it stands for. */
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
    .meta(restart('The address to listen on. `MCPSTEAD_HOST` overrides it.')),
  port: z
    .int()
    .min(0)
    .max(65_535)
    .default(8766)
    .meta(restart('The port to listen on; 0 takes any free one. `MCPSTEAD_PORT` overrides it.')),
  mcp: z.object({ auth: auth.prefault({}), session: session.prefault({}) }).prefault({}),
  metrics: z.object({ enabled: flag(true).meta(now('Whether `GET /metrics` answers.')) }).prefault({}),
  logging: logging.prefault({}),
  http: http.prefault({}),
  startup: startup.prefault({}),
  cache: cache.prefault({}),
  limits: limits.prefault({}),
});

/** What the file says, with defaults, before variables are expanded. Times fit a timer (at most 24.8 days); sizes are bytes. */
export type FileValues = z.output<typeof fileSchema>;
/** The same for one server. */
export type ServerValues = z.output<typeof serverSchema>;

/** One server as it is written in a file or handed to `createGateway`. */
export type ServerInput = Omit<z.input<typeof serverSchema>, 'auth'> & {
  auth?: 'none' | z.input<typeof serverAuth>;
};

/** A configuration as it is written in a file or handed to `createGateway`; every key but a server's is optional. */
export type ConfigInput = z.input<typeof fileSchema> & {
  servers?: readonly ServerInput[];
  /** The form of clients' own files: servers by name. */
  mcpServers?: Readonly<Record<string, Omit<ServerInput, 'name'> & { type?: string }>>;
};

type AnySchema = z.core.$ZodType;

/** The schema that says what a value looks like, without what only supplies or turns it. */
export function unwrap(schema: AnySchema): AnySchema {
  const { type, innerType, in: front, out: back } = schema._zod.def as Wrapper;
  // preprocess() has its schema behind, transform() in front.
  if (front && back) return unwrap(back._zod.def.type === 'transform' ? front : back);
  return innerType && WRAPPERS.has(type) ? unwrap(innerType) : schema;
}

interface Wrapper {
  type: string;
  innerType?: AnySchema;
  in?: AnySchema;
  out?: AnySchema;
}

const WRAPPERS = new Set(['default', 'prefault', 'optional', 'nullable']);

/** The keys of an object schema, or undefined for anything else. */
export function keysOf(schema: AnySchema): Readonly<Record<string, AnySchema>> | undefined {
  const bare = unwrap(schema);
  return bare instanceof z.ZodObject ? bare.shape : undefined;
}

/** Every key of a schema, as `mcp.session.idle_ttl_seconds`, with its schema. */
export function leavesOf(schema: AnySchema, prefix = ''): (readonly [path: string, schema: AnySchema])[] {
  return Object.entries(keysOf(schema) ?? {}).flatMap(([key, member]) =>
    keysOf(member) ? leavesOf(member, `${prefix}${key}.`) : [[prefix + key, member] as const],
  );
}

/** What a reload does with the key that `schema` describes; undefined if it does not say. */
export function reloadOf(schema: AnySchema): Reload | undefined {
  return z.globalRegistry.get(schema)?.['reload'] as Reload | undefined;
}

/** The keys of `schema` that a reload treats as `reload`, as paths of their resolved values. */
export function keysWith(reload: Reload, schema: AnySchema): string[] {
  return leavesOf(schema).flatMap(([path, member]) => (reloadOf(member) === reload ? [path] : []));
}
