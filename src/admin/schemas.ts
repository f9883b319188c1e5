/**
 * The answers of the admin API, `/-/api/v1`, as schemas: docs/openapi.json is made from them, the console and the command line take their
 * types from them. Times are ISO 8601, durations in ms, sizes in bytes; null: not known. They contain no environment variables, headers,
 * tokens, query values or whole session ids. Members are only added, never removed or renamed.
 */
import { z } from 'zod';

const time = z.string().meta({ description: 'ISO 8601, UTC', examples: ['2026-11-27T12:00:00.000Z'] });
const ms = z.number().meta({ description: 'milliseconds' });
const json = z.record(z.string(), z.unknown());
const era = z.enum(['legacy', 'modern']);

/** What a person does about the state of a server. */
export const Action = z.object({
  text: z.string().meta({ description: 'what to do' }),
  command: z.string().optional().meta({ description: 'a command line that does it' }),
  post: z.string().optional().meta({ description: 'a path under /-/api/v1 that does it' }),
});

export const ServerStatus = z.object({
  name: z.string(),
  level: z.enum(['ok', 'wait', 'attention', 'failed', 'off']),
  word: z.string().meta({ description: 'up, starting, connecting, down, needs login, needs approval, off' }),
  since: time,
  cause: z.string().nullable().meta({ description: 'why it is not up, without secrets' }),
  action: Action.nullable(),
});

export const Server = ServerStatus.extend({
  kind: z.enum(['stdio', 'http']),
  target: z.string().meta({ description: 'the command, or the URL without user and query values' }),
  required: z.boolean(),
  era: era.nullable(),
  revision: z.string().nullable(),
  title: z.string().nullable().meta({ description: 'the title or name that the server gives itself' }),
  version: z.string().nullable(),
  tools: z.number(),
  prompts: z.number(),
  resources: z.number(),
  tokens: z.number().meta({ description: 'what its tools take of a context, estimated' }),
  in_flight: z.number(),
  reconnects: z.number(),
  calls_per_minute: z.number().meta({ description: 'over the last minute' }),
  failed_share: z.number().nullable().meta({ description: '0 to 1, of the calls of the last minute' }),
  p50_ms: ms.nullable(),
  p95_ms: ms.nullable(),
  recent: z
    .array(z.number())
    .meta({ description: 'calls in each of the last 30 intervals of 10 s, oldest first' }),
});

export const Transition = z.object({
  time,
  state: z.string(),
  cause: z.string().nullable(),
});

export const ServerDetail = Server.extend({
  capabilities: json.nullable(),
  instructions: z.string().nullable(),
  last_error: z.string().nullable(),
  legacy: z
    .object({ state: z.string(), revision: z.string().nullable(), error: z.string().nullable() })
    .nullable()
    .meta({
      description: 'the connection for clients of older revisions, where the server speaks both eras',
    }),
  lists: z.array(z.object({ kind: z.string(), stale: z.boolean(), error: z.string().nullable() })),
});

export const Tool = z.object({
  name: z.string().meta({ description: 'as clients of /mcp call it' }),
  server: z.string(),
  own_name: z.string(),
  title: z.string().nullable(),
  description: z.string().nullable(),
  tokens: z.number(),
  annotations: json.nullable(),
  definition: json.optional().meta({ description: 'as the server sent it; only with full=true' }),
});

export const Prompt = z.object({
  name: z.string(),
  server: z.string(),
  own_name: z.string(),
  title: z.string().nullable(),
  description: z.string().nullable(),
  definition: json.optional(),
});

export const Resource = z.object({
  uri: z.string().meta({ description: 'a URI, or the template of URIs' }),
  template: z.boolean(),
  server: z.string(),
  name: z.string().nullable(),
  title: z.string().nullable(),
  description: z.string().nullable(),
  mime_type: z.string().nullable(),
  definition: json.optional(),
});

export const Client = z.object({ name: z.string().nullable(), version: z.string().nullable() });

export const Call = z.object({
  id: z.string(),
  method: z.string(),
  server: z.string().nullable(),
  name: z.string().nullable().meta({ description: 'the tool, prompt or resource' }),
  client: Client,
  principal: z.string().nullable(),
  route: z.string().nullable(),
  session: z.string().nullable().meta({ description: 'the first 8 characters' }),
  client_era: era.nullable(),
  server_era: era.nullable(),
  started: time,
  state: z.enum(['open', 'over']),
  outcome: z
    .enum(['ok', 'tool_error', 'error', 'cancelled'])
    .nullable()
    .meta({ description: 'null while open' }),
  reason: z.string().nullable().meta({ description: 'why it failed' }),
  detail: z.string().nullable().meta({ description: 'the message of the error, without secrets' }),
  ms: ms.nullable().meta({ description: 'null while open' }),
  gateway_ms: ms.nullable().meta({ description: 'from its arrival until it was sent to its server' }),
  wait_ms: ms.nullable().meta({ description: 'until the answer began' }),
  stream_ms: ms.nullable().meta({ description: 'from the beginning of the answer to its end' }),
  bytes_in: z.number().nullable(),
  bytes_out: z.number().nullable(),
  asked: z.array(z.string()).meta({ description: 'methods by which the server asked the client' }),
  trace: z.string().nullable(),
  captured: z.boolean().meta({ description: 'whether calls/ID has its bodies' }),
});

export const CallDetail = Call.extend({
  request: z.string().nullable().meta({ description: 'captured, secrets masked, at most 16 KB' }),
  response: z.string().nullable(),
});

export const SessionRow = z.object({
  id: z.string().meta({ description: 'for sessions/ID/end; it opens nothing' }),
  session: z
    .string()
    .nullable()
    .meta({ description: 'the first 8 characters; null: the client has no session' }),
  client: Client,
  principal: z.string(),
  era,
  revision: z.string(),
  capabilities: z.array(z.string()),
  route: z.string(),
  opened: time.nullable(),
  last_seen: time,
  calls: z.number().meta({ description: 'in flight' }),
  listening: z.boolean(),
});

export const EraCell = z.object({
  client: z.string().meta({ description: 'name of the client' }),
  client_era: era,
  server: z.string(),
  server_era: era.nullable(),
  passed: z.number().meta({ description: 'calls without a translation' }),
  parked: z.number().meta({ description: 'calls of modern clients to legacy servers' }),
  unrolled: z.number().meta({ description: 'calls of legacy clients to modern servers' }),
});

export const Series = z.object({
  step_ms: ms,
  until: time,
  servers: z.record(
    z.string(),
    z.object({
      calls: z.array(z.number()),
      failed: z.array(z.number()),
      p50_ms: z.array(z.number().nullable()),
      p95_ms: z.array(z.number().nullable()),
      in_flight: z.array(z.number()),
      bytes: z.array(z.number()),
    }),
  ),
});

export const LogLine = z.object({
  time,
  level: z.enum(['debug', 'info', 'warn', 'error']),
  message: z.string(),
  fields: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});

export const ConfigProblem = z.object({
  message: z.string(),
  path: z.string().nullable().meta({ description: 'the key' }),
  line: z.number().nullable(),
  fix: z.string().nullable(),
});

export const ConfigView = z.object({
  file: z.string().nullable(),
  text: z
    .string()
    .nullable()
    .meta({ description: 'the file, secrets as ***; null: no file, or editing is off' }),
  etag: z.string().nullable(),
  editable: z.boolean(),
  resolved: json.meta({ description: 'with defaults, secrets as ***' }),
  warnings: z.array(z.string()),
  problems: z.array(ConfigProblem).meta({ description: 'of the file as it is now' }),
  pending: z
    .object({
      added: z.array(z.string()),
      removed: z.array(z.string()),
      restarted: z.array(z.string()),
      updated: z.array(z.string()),
      restart_required: z.array(z.string()),
    })
    .nullable()
    .meta({ description: 'what a reload would do now; null: the file has problems, or there is none' }),
});

export const ConfigCheck = z.object({
  problems: z.array(ConfigProblem),
  warnings: z.array(z.string()),
  diff: z.string().meta({ description: 'a unified diff against the file' }),
  effects: ConfigView.shape.pending,
});

export const Reloaded = z.object({
  added: z.number(),
  removed: z.number(),
  restarted: z.number(),
  updated: z.number(),
  unchanged: z.number(),
  servers: z.object({
    added: z.array(z.string()),
    removed: z.array(z.string()),
    restarted: z.array(z.string()),
    updated: z.array(z.string()),
  }),
  restart_required: z.array(z.string()),
});

export const Capture = z.object({
  server: z.string(),
  tool: z.string().nullable(),
  until: time,
  left: z.number().meta({ description: 'calls that it still takes' }),
  by: z.string(),
});

export const Fleet = z.object({
  replica: z.string().meta({ description: 'the id of the replica that answers' }),
  store: z.enum(['up', 'down']),
  replicas: z
    .array(
      z.object({
        replica: z.string().meta({ description: 'its id, another one after each start' }),
        name: z.string(),
        draining: z.boolean(),
        self: z.boolean().meta({ description: 'it is the one that answers' }),
      }),
    )
    .meta({ description: 'the live replicas, the one that answers first' }),
  differs: z
    .array(
      z.object({
        what: z.enum(['config', 'lists']).meta({
          description: 'their configurations, or the tools, prompts and resources that they list',
        }),
        since: time,
        warned: z.boolean().meta({ description: 'for a minute: the log and /health say so' }),
        groups: z
          .array(z.array(z.string()))
          .meta({ description: 'ids of replicas that agree with each other, the largest group first' }),
      }),
    )
    .meta({ description: 'in what the replicas differ; empty: in nothing' }),
});

export const Me = z.object({
  principal: z.object({ id: z.string(), name: z.string() }),
  role: z.enum(['operator', 'viewer', 'none']),
  version: z.string(),
  git_sha: z.string(),
  started: time,
  now: time,
  replica: z.string(),
  state: z.enum(['starting', 'serving', 'draining']),
  endpoint: z.string().meta({ description: 'the URL of /mcp as clients use it' }),
  auth: z.enum(['none', 'bearer']),
  has: z.object({
    explain: z.boolean(),
    pins: z.boolean(),
    connections: z.boolean(),
    fleet: z.boolean().meta({ description: 'whether it is a replica of a fleet' }),
    sign_ins: z.boolean().meta({ description: 'whether people sign in at the gateway' }),
    approvals: z.boolean().meta({ description: 'whether a rule of the policy holds calls' }),
    edit: z.boolean(),
    logs: z.boolean(),
  }),
  capture: Capture.nullable(),
});

/** The answers of the lists: objects, so that members can be added. */
export const Servers = z.object({ servers: z.array(Server) });
export const History = z.object({ history: z.array(Transition).meta({ description: 'oldest first' }) });
export const Stderr = z.object({
  lines: z.array(z.string()).meta({ description: 'the last 100 lines, oldest first, secrets as ***' }),
});
export const Tools = z.object({
  tools: z.array(Tool),
  tokens: z.number().meta({ description: 'what all of them take of a context, estimated' }),
});
export const Profile = z.object({
  name: z.string(),
  description: z.string().nullable(),
  path: z.string().meta({ description: 'of its endpoint: /profiles/<name>/mcp' }),
  prefix: z.enum(['always', 'auto', 'never']),
  tools: z.number(),
  tokens: z.number().meta({ description: 'what its tools take of a context, estimated' }),
});
export const Profiles = z.object({ profiles: z.array(Profile) });
export const Prompts = z.object({ prompts: z.array(Prompt) });
export const Resources = z.object({ resources: z.array(Resource) });
export const Calls = z.object({
  calls: z.array(Call).meta({ description: 'the newest first' }),
  watched: z
    .boolean()
    .meta({ description: 'whether all calls are kept now; otherwise failed and slow ones alone' }),
});
export const Sessions = z.object({ sessions: z.array(SessionRow) });
export const Eras = z.object({
  eras: z.array(EraCell),
  since: time
    .nullable()
    .meta({ description: 'calls are counted while somebody watches: when that began; null: it has not' }),
});
export const Logs = z.object({ logs: z.array(LogLine).meta({ description: 'oldest first' }) });

/** What is done to a server, a call or a session. */
export const Done = z.object({ done: z.boolean() });

/** `POST capture`: one server, or one of its tools by the name that the server gives it. */
export const CaptureWish = z.object({ server: z.string(), tool: z.string().nullable().optional() });

/** `POST config/check` and `config/apply`: the whole file. An untouched *** keeps its value. */
export const ConfigText = z.object({ text: z.string() });
export const Applied = z.object({
  etag: z.string(),
  backup: z.string().meta({ description: 'where the file before is kept' }),
  reloaded: Reloaded,
});

/** `POST ticket`: the body and the answer. */
export const TicketExchange = z.object({ ticket: z.string().min(1).max(64) });
export const Key = z.object({ key: z.string().meta({ description: 'the console key' }) });
/** `POST ticket/new`. */
export const Ticket = z.object({
  ticket: z.string(),
  url: z.string().meta({ description: 'the console with the ticket in its fragment' }),
  expires: time,
});

export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number(),
    code: z.string(),
    detail: z.string(),
    action: z.string().nullable(),
  })
  .meta({ description: 'application/problem+json (RFC 9457)' });

export const TOPICS = ['status', 'servers', 'calls', 'sessions', 'logs', 'series', 'approvals'] as const;
export const Topic = z.enum(TOPICS);

const open = z
  .number()
  .optional()
  .meta({ description: 'how many calls wait for a yes, as far as this replica has looked' });

/**
 * The events of `GET /-/api/v1/events`, each the JSON of `data:`; `event:` is its kind. First a `snapshot` of each topic, then `change`s,
 * gathered for 100 ms.
 */
export const Events = {
  snapshot: z.object({
    topic: Topic,
    servers: z.array(Server).optional(),
    calls: z.array(Call).optional(),
    sessions: z.array(SessionRow).optional(),
    logs: z.array(LogLine).optional(),
    series: Series.optional(),
    open,
  }),
  change: z.object({
    topic: Topic,
    servers: z.array(Server).optional().meta({ description: 'the servers that changed' }),
    removed: z.array(z.string()).optional().meta({ description: 'names of servers that are gone' }),
    calls: z.array(Call).optional().meta({ description: 'calls that began or ended' }),
    sessions: z.array(SessionRow).optional().meta({ description: 'all of them' }),
    logs: z.array(LogLine).optional().meta({ description: 'new lines' }),
    series: Series.optional().meta({ description: 'the last interval alone' }),
    open,
    changed: z
      .boolean()
      .optional()
      .meta({ description: 'calls that wait for a yes, or votes, changed: read approvals again' }),
    lists: z
      .boolean()
      .optional()
      .meta({ description: 'tools, prompts or resources changed: read them again' }),
    dropped: z.number().optional().meta({
      description:
        'calls that were left out, because the reader is slow or there were too many: GET calls has them',
    }),
  }),
};

export type Action = z.output<typeof Action>;
export type ServerStatus = z.output<typeof ServerStatus>;
export type Server = z.output<typeof Server>;
export type ServerDetail = z.output<typeof ServerDetail>;
export type Transition = z.output<typeof Transition>;
export type Tool = z.output<typeof Tool>;
export type Profile = z.output<typeof Profile>;
export type Prompt = z.output<typeof Prompt>;
export type Resource = z.output<typeof Resource>;
export type Call = z.output<typeof Call>;
export type CallDetail = z.output<typeof CallDetail>;
export type SessionRow = z.output<typeof SessionRow>;
export type EraCell = z.output<typeof EraCell>;
export type Series = z.output<typeof Series>;
export type LogLine = z.output<typeof LogLine>;
export type ConfigProblem = z.output<typeof ConfigProblem>;
export type ConfigView = z.output<typeof ConfigView>;
export type ConfigCheck = z.output<typeof ConfigCheck>;
export type Reloaded = z.output<typeof Reloaded>;
export type Capture = z.output<typeof Capture>;
export type Fleet = z.output<typeof Fleet>;
export type Me = z.output<typeof Me>;
export type Tools = z.output<typeof Tools>;
export type Calls = z.output<typeof Calls>;
export type Problem = z.output<typeof Problem>;
export type Topic = z.output<typeof Topic>;
export type SnapshotEvent = z.output<typeof Events.snapshot>;
export type ChangeEvent = z.output<typeof Events.change>;
