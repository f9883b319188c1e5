/** The schema of the keys that decide who may do what: identities, policy, limits, the audit log, and how the port is protected. */
import { z } from 'zod';
import { atLeast, flag, now, positive, restart, words } from './keys.js';
import { search } from './search.js';

const name = z.string().min(1).max(128);
const list = () => z.array(z.string());
/** A mistyped key here could mean more rights: it is an error, not a warning. */
const strict = z.strictObject;

/** Whom a rule is about: all members must match, any entry of each; no members: everybody. */
export const who = strict({
  ids: list().optional(),
  groups: list().optional(),
  scopes: list().optional(),
  claims: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
  routes: list().optional(),
});

export const keyEntry = strict({
  name: name.regex(/^[A-Za-z0-9._@-]+$/, 'must be 1 to 128 of A-Z a-z 0-9 . _ @ -'),
  sha256: z
    .array(
      z
        .string()
        .regex(/^[A-Za-z0-9_-]{43}$/, 'must be 43 characters of base64url, as from mcpstead keys hash'),
    )
    .min(1, 'must have at least one hash, as from mcpstead keys hash'),
  groups: words(),
  scopes: words(),
  profile: name.optional(),
  /** A YAML date is a string here. The key is valid until the end of that day, UTC. */
  expires: z
    .string()
    .regex(/^\d{4}-\d{2}-\d{2}$/, 'must be a date such as 2027-06-30')
    .optional(),
  disabled: flag(false),
  owner: name.optional(),
  approver: flag(false),
});

export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;

/** The claims that say who somebody is. */
const claims = () =>
  strict({
    id: name.default('sub'),
    name: name.default('preferred_username'),
    groups: name.default('groups'),
  }).prefault({});

const issuer = strict({
  name: name.regex(/^[A-Za-z0-9._-]+$/, 'must be 1 to 128 of A-Z a-z 0-9 . _ -'),
  issuer: z.string().min(1),
  audiences: words(),
  clients: words(),
  algorithms: z
    .array(z.enum(ALGORITHMS))
    .min(1, 'must name at least one algorithm')
    .default(['RS256', 'PS256', 'ES256', 'EdDSA']),
  typ: z.enum(['at+jwt']).optional(),
  skew_seconds: z.number().min(0).max(600).default(60),
  claims: claims(),
  keep: words(),
  introspection: strict({
    client_id: z.string().min(1),
    secret_file: z.string().min(1),
    cache_seconds: z.number().min(0).max(3600).default(30),
  }).optional(),
});

const login = strict({
  issuer: z.string().min(1),
  client_id: z.string().min(1).max(512),
  client_secret_file: z.string().min(1).optional(),
  client_secret_env: z.string().min(1).optional(),
  scopes: list().default(['openid', 'email', 'offline_access']),
  params: z.record(z.string(), z.string()).default({}),
  claims: claims(),
  keep: words(),
  allow: z.array(who).default([]),
  register: z.array(z.enum(['cimd', 'dcr'])).default(['cimd', 'dcr']),
  redirects: list().default(['*']),
  access_minutes: z.number().min(1).max(1440).default(10),
  refresh_days: z.number().min(1).max(3650).default(30),
});

export const auth = z.object({
  mode: z
    .enum(['none', 'bearer'])
    .optional()
    .meta(
      now(
        'How clients authenticate. Not set: `bearer` if keys, issuers, `login`, `client_cert` or `proxy` are configured, otherwise `none`. `bearer` also reads tokens from `MCPSTEAD_BEARER_TOKEN` or the file that `MCPSTEAD_BEARER_TOKEN_FILE` names; the file has no key for a token.',
      ),
    ),
  keys: z
    .array(keyEntry)
    .default([])
    .meta(
      now(
        'Keys for people and machines, as from `mcpstead keys create`: `{name, sha256: [...], groups, scopes, profile, expires: 2027-06-30, disabled, owner, approver}`. Two hashes: the key is being rotated.',
      ),
    ),
  keys_file: z
    .string()
    .min(1)
    .optional()
    .meta(
      now('A YAML file with a list like `keys`, which `mcpstead keys` writes; read again on every reload.'),
    ),
  issuers: z
    .array(issuer)
    .default([])
    .meta(
      now(
        'Issuers whose access tokens are accepted (docs/identity-providers.md): `{name, issuer, audiences, clients, algorithms, typ, skew_seconds: 60, claims: {id, name, groups}, keep, introspection: {client_id, secret_file, cache_seconds: 30}}`.',
      ),
    ),
  login: login
    .optional()
    .meta(
      now(
        "Sign people in for their clients at an OpenID Connect provider (docs/login.md): `{issuer, client_id, client_secret_file | client_secret_env, scopes: [openid, email, offline_access], params, claims: {id, name, groups}, keep, allow: [who], register: [cimd, dcr], redirects: ['*'], access_minutes: 10, refresh_days: 30}`.",
      ),
    ),
  resource: z
    .enum(['route', 'gateway'])
    .default('route')
    .meta(
      now(
        'The resource that a token must be for (RFC 8707): `http.public_url` with the path of the route, or without it.',
      ),
    ),
  scopes: words().meta(now('The scopes that a client without a token is told to ask for.')),
  implies: z
    .record(z.string(), list())
    .default({})
    .meta(now('Scopes that another scope includes: `{admin: [files:read]}`.')),
  client_cert: strict({
    id: z.enum(['san_uri', 'san_email', 'san_dns', 'cn']),
    groups: words(),
    owners: z.record(z.string().min(1), name).optional(),
  })
    .optional()
    .meta(
      now(
        'Accept verified client certificates (`http.tls.client_ca_file`): `{id: san_uri | san_email | san_dns | cn, groups: [...], owners: {<name in the certificate>: <person>}}`.',
      ),
    ),
  proxy: strict({
    addresses: list().min(1, 'must name at least one address'),
    user: z.string().optional(),
    groups: z.string().optional(),
  })
    .optional()
    .meta(
      now(
        'A proxy that authenticates users: `{addresses: [10.1.0.0/16], user: X-Forwarded-User, groups: X-Forwarded-Groups}`. Without `user`, only its X-Forwarded-For is believed.',
      ),
    ),
  admins: z
    .array(who)
    .default([])
    .meta(
      now(
        'Operators: principals that may use all of `/-/`, as a list of `who` (docs/access.md). None: holders of `MCPSTEAD_BEARER_TOKEN`.',
      ),
    ),
  viewers: z
    .array(who)
    .default([])
    .meta(now('Principals that may read metrics and health, but change nothing.')),
});

const target = {
  servers: list().default(['*']),
  tools: list().optional(),
  prompts: list().optional(),
  resources: list().optional(),
  annotations: z.record(z.string(), z.boolean()).optional(),
};
const condition = { when: z.string().min(1).optional() };

/** Calls of tools that wait for a yes. */
const hold = strict({
  servers: target.servers,
  tools: target.tools,
  /** They are never held: named here for a clear error. */
  prompts: z.unknown().optional(),
  resources: z.unknown().optional(),
  annotations: target.annotations,
  ...condition,
  by: z.union([z.literal('caller'), z.array(who).min(1)], {
    error: 'must be caller, or a list of those who vote, such as [{groups: [finance]}]',
  }),
  need: z.int().min(1).max(20).default(1),
  expires_seconds: z.number().min(10).max(86_400).default(900),
  confirm: z.enum(['client', 'page']).default('client'),
  repeat: strict({
    minutes: z.number().min(1).max(1440),
    covers: z.enum(['arguments', 'tool']),
  }).optional(),
});

const rule = strict({
  name,
  who: who.prefault({}),
  needs: words(),
  allow: z.array(strict({ ...target, ...condition })).default([]),
  deny: z.array(strict({ ...target, ...condition })).default([]),
  hold: z.array(hold).default([]),
});

export const policy = strict({
  default: z
    .enum(['deny', 'allow'])
    .default('deny')
    .meta(
      now('What happens to an item that no rule is about. Without the key `policy`, everything is allowed.'),
    ),
  rules: z
    .array(rule)
    .default([])
    .meta(
      now(
        'Rules (docs/access.md): `{name, who, needs: [scopes], allow: [targets], deny: [targets], hold: [holds]}`. A target: `{servers, tools, prompts, resources, annotations, when}`. A hold (docs/approvals.md): `{servers, tools, annotations, when, by: caller | [who], need: 1, expires_seconds: 900, confirm: client | page, repeat: {minutes, covers: arguments | tool}}`.',
      ),
    ),
  sets: atLeast(1, 256).meta(now('Maximum number of different sets of rules whose lists are cached.')),
  cache_bytes: atLeast(0, 67_108_864).meta(now('Maximum size of the cached lists that rules cut.')),
}).optional();

/** What a profile or a server changes of one argument of a tool. */
const argument = strict({
  /** Any JSON, `null` too. */
  value: z.unknown().optional(),
  description: z.string().min(1).optional(),
}).refine(
  (changes) => 'value' in changes || changes.description !== undefined,
  'must have a value, which clients then neither see nor send, or a description',
);

export const override = strict({
  name: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,128}$/, 'must be 1 to 128 of A-Z a-z 0-9 _ . -')
    .optional(),
  title: z.string().min(1).optional(),
  description: z.string().min(1).optional(),
  /** By the name of an argument: a property at the top of the tool's inputSchema. */
  arguments: z.record(z.string().min(1).max(128), argument).optional(),
});

export const profiles = z
  .array(
    strict({
      name: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 . _ -'),
      description: z.string().min(1).max(1024).optional(),
      prefix: z.enum(['always', 'auto', 'never']).default('always'),
      instructions: z.string().min(1).max(16_384).optional(),
      allow: z.array(strict(target)).optional(),
      overrides: z.record(z.string(), override).default({}),
      search,
    }),
  )
  .default([])
  .meta(
    now(
      'Selections of servers and tools with an endpoint of their own, `/profiles/<name>/mcp`: `{name, description, prefix: always | auto | never, instructions, allow: [targets], overrides: {<server>__<tool>: {name, title, description, arguments: {<argument>: {value, description}}}}, search: off | on | {always: [globs], limit: 5}}` (docs/profiles.md).',
    ),
  );

export const approvals = z.object({
  wait_seconds: z
    .record(z.string().min(1).max(128), z.number().min(0).max(3600))
    .default({ default: 50 })
    .meta(
      now(
        'How long a held call waits for its yes before it is answered with an error, by the name that the client gives itself: `{default: 50, claude-code: 240}`.',
      ),
    ),
  ignore_meta: list()
    .default(['claudecode/*', 'vscode.*', 'openai/*'])
    .meta(
      now(
        'Members of `_meta` that clients change with each call: they are shown, and are not part of the yes.',
      ),
    ),
  use_seconds: atLeast(10, 600).meta(now('How long a yes can be used, and a no counts for the same call.')),
  open: atLeast(1, 1000).meta(now('Maximum number of calls that wait for a yes.')),
  per_principal: atLeast(1, 20).meta(now('The same, of one principal.')),
  per_minute: atLeast(1, 10).meta(now('For how many calls a principal may ask in a minute.')),
  webhook: strict({
    url: z.string().min(1),
    secret_file: z.string().min(1),
    arguments: z.enum(['none', 'masked']).default('none'),
  })
    .optional()
    .meta(
      now(
        'Who is told of calls that wait, of votes and of ends (docs/approvals.md): `{url, secret_file, arguments: none | masked}`. Its answer decides nothing.',
      ),
    ),
});

export const limitRules = z
  .array(
    strict({
      name,
      who: who.prefault({}),
      servers: list().default(['*']),
      tools: list().default(['*']),
      per: z.enum(['principal', 'server', 'tool']).default('principal'),
      per_second: z.number().gt(0).max(1_000_000),
      burst: z.int().min(1).max(1_000_000).optional(),
      concurrent: z.int().min(1).optional(),
      shared: z.boolean().default(false),
    }),
  )
  .default([])
  .meta(
    now(
      'Rate limits: `{name, who, servers, tools, per: principal | server | tool, per_second, burst, concurrent, shared}`. All that fit apply. `shared: true`: one rate for all replicas of a `fleet`; `concurrent` stays that of each.',
    ),
  );

export const audit = z.object({
  file: z
    .string()
    .min(1)
    .optional()
    .meta(restart('The audit log: a JSON line per call, refusal and act of an operator (docs/audit.md).')),
  arguments: z
    .enum(['none', 'hash', 'keep'])
    .default('none')
    .meta(
      now('Whether arguments of calls are recorded: not at all, as an HMAC, or as they are, up to 8 KB.'),
    ),
  redact: list()
    .default(['password', 'secret', 'token', 'authorization', 'cookie', 'api_key'])
    .meta(now('Members whose values are recorded as `***`, at any depth.')),
  rotate_bytes: atLeast(4096, 104_857_600).meta(now('The size at which a new file is begun.')),
  keep: atLeast(1, 10).meta(now('How many full files are kept.')),
  on_full: z
    .enum(['block', 'count'])
    .default('block')
    .meta(
      now(
        'What happens when the log cannot be written: calls are refused, or the lost lines are only counted.',
      ),
    ),
});

export const tracing = z.object({
  endpoint: z
    .string()
    .min(1)
    .optional()
    .meta(restart('Where spans are sent: the URL of an OTLP/HTTP collector (docs/tracing.md).')),
  headers: z.record(z.string(), z.string()).default({}).meta(restart('Headers for the collector.')),
  ratio: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .meta(restart('The part of the calls without a sampled parent that is sampled.')),
  per_second: positive(100).meta(
    restart('Maximum number of calls per second that the gateway itself samples.'),
  ),
});

export const httpTls = z
  .object({
    cert_file: z
      .string()
      .min(1)
      .meta(now('The certificate chain of the port, PEM; read again on every reload.')),
    key_file: z.string().min(1).meta(now('The key of the certificate, PEM.')),
    client_ca_file: z
      .string()
      .min(1)
      .optional()
      .meta(now('CA certificates that client certificates must be from, PEM.')),
    client_cert: z
      .enum(['none', 'optional', 'required'])
      .default('none')
      .meta(restart('Whether clients are asked for a certificate.')),
    min_version: z
      .enum(['TLSv1.2', 'TLSv1.3'])
      .default('TLSv1.2')
      .meta(restart('The oldest version of TLS that is spoken.')),
  })
  .optional();

export const admin = z.object({
  port: z
    .int()
    .min(0)
    .max(65_535)
    .optional()
    .meta(restart('A port of its own for `/metrics` and `/-/*`, which the main port then does not serve.')),
  host: z.string().default('127.0.0.1').meta(restart('The address of that port.')),
});

export const state = z.object({
  dir: z
    .string()
    .optional()
    .meta(
      restart(
        'Where the gateway keeps what must outlive it, encrypted. Not set: `$STATE_DIRECTORY`, `$XDG_STATE_HOME/mcpstead` or `~/.local/state/mcpstead` (Windows: `%LOCALAPPDATA%\\mcpstead`); without any of them, memory.',
      ),
    ),
  key_command: list()
    .default([])
    .meta(
      restart(
        'A command that prints the key of that folder, as a list of program and arguments. Not set: `MCPSTEAD_STATE_KEY`, or the file `key` in the folder.',
      ),
    ),
});
