/** The commands: one row each. Their code is loaded when they run. */
import { EDITING } from './table-edit.js';
import { isRow, type Rows, type VerbRow } from './verb.js';

const CONFIG = ['PATH', 'the config file [env: MCPSTEAD_CONFIG]'] as const;
const URL_OPTION = [
  'URL',
  'the gateway to ask; defaults to that of the config, or http://127.0.0.1:8766',
] as const;

const VOTE = {
  digest: ['D', 'of the call that was read; without a terminal it is needed'],
  note: ['TEXT', 'for the caller and the audit log'],
} as const;
const JSON_FLAG = { json: 'one JSON document' } as const;
/** What asks a running gateway. */
const ONLINE = { config: CONFIG, url: URL_OPTION } as const;

export const TABLE: Readonly<Record<string, VerbRow | Rows>> = {
  ...EDITING,
  check: {
    usage: '',
    help: 'check a config and list all of its problems; with --connect, connect to its servers',
    words: [0, 0],
    values: { config: CONFIG },
    flags: { connect: 'connect to each server once, and say how long that took', ...JSON_FLAG },
    load: async () => (await import('./verbs/check.js')).check,
  },
  servers: {
    usage: '',
    help: 'list the servers of a running gateway: state, cause and way out',
    words: [0, 0],
    values: ONLINE,
    flags: JSON_FLAG,
    load: async () => (await import('./verbs/servers.js')).listServers,
  },
  status: {
    usage: '',
    help: 'show how a running gateway does; exit status 1 if a server needs somebody',
    words: [0, 0],
    values: ONLINE,
    flags: { watch: 'show it again each second, until Ctrl-C', ...JSON_FLAG },
    load: async () => (await import('./verbs/servers.js')).status,
  },
  tools: {
    usage: '[PATTERN]',
    help: 'list tools, by a glob of names or a word in their texts',
    words: [0, 1],
    values: { server: ['NAME', 'of one server'], profile: ['NAME', 'as this profile lists them'], ...ONLINE },
    flags: { schema: 'print whole definitions', ...JSON_FLAG },
    takesProgram: true,
    completes: 'tool',
    load: async () => (await import('./verbs/lists.js')).listTools,
  },
  call: {
    usage: 'TOOL [NAME=TEXT | NAME:=JSON | NAME=@FILE | {...} | -]...',
    help: 'call a tool; questions of its server are asked here',
    words: [1, Infinity],
    values: { era: ['ERA', 'legacy (2025-11-25) or modern (2026-07-28); legacy'], ...ONLINE },
    flags: { json: 'print the whole result' },
    takesProgram: true,
    completes: 'tool',
    load: async () => (await import('./verbs/call.js')).call,
  },
  inspect: {
    usage: '',
    help: 'run a throw-away gateway with one server and its console; with --watch, restart the server when files change',
    words: [0, 0],
    values: {
      watch: ['FOLDER', 'restart the server when a file in it changes'],
      port: ['N', '8766, or the next free port'],
    },
    flags: {},
    takesProgram: true,
    load: async () => (await import('./verbs/inspect.js')).inspect,
  },
  prompts: {
    usage: '[PATTERN]',
    help: 'list prompts',
    words: [0, 1],
    values: { server: ['NAME', 'of one server'], profile: ['NAME', 'as this profile lists them'], ...ONLINE },
    flags: JSON_FLAG,
    takesProgram: true,
    load: async () => (await import('./verbs/lists.js')).listPrompts,
  },
  resources: {
    usage: '[PATTERN]',
    help: 'list resources, and templates of resources',
    words: [0, 1],
    values: { server: ['NAME', 'of one server'], profile: ['NAME', 'as this profile lists them'], ...ONLINE },
    flags: JSON_FLAG,
    takesProgram: true,
    load: async () => (await import('./verbs/lists.js')).listResources,
  },
  logs: {
    usage: '',
    help: 'print the last lines of the log of a running gateway',
    words: [0, 0],
    values: ONLINE,
    flags: { follow: 'print what follows too, until Ctrl-C', ...JSON_FLAG },
    short: { f: 'follow' },
    load: async () => (await import('./verbs/logs.js')).logs,
  },
  restart: {
    usage: 'SERVER',
    help: 'connect to a server anew, or start it anew',
    words: [1, 1],
    values: ONLINE,
    flags: JSON_FLAG,
    completes: 'server',
    load: async () => (await import('./verbs/restart.js')).restart,
  },
  reload: {
    usage: '',
    help: 'have the running gateway read its config again',
    words: [0, 0],
    values: ONLINE,
    flags: JSON_FLAG,
    load: async () => (await import('./verbs/restart.js')).reload,
  },
  console: {
    usage: '',
    help: 'open the console of a running gateway in a browser, signed in',
    words: [0, 0],
    values: ONLINE,
    flags: {
      print: 'print the address instead',
      'new-key': 'replace the console key instead, which signs out the pages that use it',
      ...JSON_FLAG,
    },
    load: async () => (await import('./verbs/console.js')).openConsole,
  },
  login: {
    usage: 'SERVER',
    help: 'log in to a server that asks for it, for all clients of the gateway',
    words: [1, 1],
    values: { scope: ['A,B', 'scopes in addition to those that the server asks for'], ...ONLINE },
    flags: {
      'no-browser': 'print the address, and take the one that the browser ends at',
      device: 'log in on another device, with a code',
      ...JSON_FLAG,
    },
    completes: 'server',
    load: async () => (await import('./verbs/login.js')).login,
  },
  logout: {
    usage: 'SERVER',
    help: 'erase the login to a server, and withdraw it where that is possible',
    words: [1, 1],
    values: ONLINE,
    flags: { 'forget-client': 'forget the registration of the gateway there too', ...JSON_FLAG },
    completes: 'server',
    load: async () => (await import('./verbs/login.js')).logout,
  },
  connections: {
    usage: '',
    help: 'list the servers that take a login, and how each stands',
    words: [0, 0],
    values: {
      'client-metadata': [
        'URL',
        'print the document that auth.client_metadata_url names, to be hosted there, instead',
      ],
      ...ONLINE,
    },
    flags: { prune: 'erase the logins of servers that are gone from the config', ...JSON_FLAG },
    load: async () => (await import('./verbs/login.js')).connections,
  },
  service: {
    install: {
      usage: '',
      help: 'start the gateway with your session: a launchd agent, or a systemd user unit, with the PATH of today',
      words: [0, 0],
      values: { config: CONFIG },
      flags: { 'dry-run': 'print the file instead' },
      load: async () => (await import('./verbs/service.js')).installService,
    },
    remove: {
      usage: '',
      help: 'stop the service, and remove it',
      words: [0, 0],
      values: {},
      flags: {},
      load: async () => (await import('./verbs/service.js')).removeService,
    },
    status: {
      usage: '',
      help: 'say whether the service is installed and runs',
      words: [0, 0],
      values: {},
      flags: JSON_FLAG,
      load: async () => (await import('./verbs/service.js')).serviceStatus,
    },
  },
  doctor: {
    usage: '',
    help: 'look for what keeps gateway, servers and clients apart on this machine',
    words: [0, 0],
    values: ONLINE,
    flags: JSON_FLAG,
    load: async () => (await import('./verbs/doctor.js')).doctor,
  },
  explain: {
    usage: 'CODE',
    help: 'say what an error code means and what to do',
    words: [1, 1],
    values: {},
    flags: JSON_FLAG,
    completes: 'code',
    load: async () => (await import('./verbs/explain.js')).explainCode,
  },
  schema: {
    usage: '',
    help: 'print the JSON Schema of the config, or write it beside the config for editors',
    words: [0, 0],
    values: { config: CONFIG },
    flags: { write: 'write config.schema.json beside the config' },
    load: async () => (await import('./verbs/schema.js')).schema,
  },
  completion: {
    usage: 'SHELL',
    help: 'print the completion for bash, zsh, fish or pwsh',
    words: [1, 1],
    values: {},
    flags: {},
    load: async () => (await import('./verbs/completion.js')).completion,
  },
  keys: {
    create: {
      usage: 'NAME',
      help: 'make a key for a person or a machine: the key on stdout, its entry in mcp.auth.keys_file',
      words: [1, 1],
      values: {
        groups: ['A,B', 'its groups'],
        scopes: ['A,B', 'its scopes'],
        expires: ['90d', 'the days that it is valid, or its last date (2027-06-30)'],
        owner: ['PERSON', 'the person behind it, or none: it is a machine'],
        config: CONFIG,
        url: URL_OPTION,
      },
      flags: {
        approver: 'it is for votes on calls that wait for a yes, and for nothing else; needs --owner',
      },
      load: async () => (await import('./verbs/keys.js')).createKey,
    },
    list: {
      usage: '',
      help: 'list the keys of a config, without secrets',
      words: [0, 0],
      values: { config: CONFIG },
      flags: { json: 'one JSON document' },
      load: async () => (await import('./verbs/keys.js')).listKeys,
    },
    revoke: {
      usage: 'NAME',
      help: 'remove a key from mcp.auth.keys_file, and end what it has open',
      words: [1, 1],
      values: { config: CONFIG, url: URL_OPTION },
      flags: {},
      load: async () => (await import('./verbs/keys.js')).revokeKey,
    },
    hash: {
      usage: '',
      help: 'print the hash of a key that stdin holds, for mcp.auth.keys',
      words: [0, 0],
      values: {},
      flags: {},
      load: async () => (await import('./verbs/keys.js')).hashKey,
    },
  },
  grants: {
    list: {
      usage: '',
      help: 'list who has signed in at the gateway, and for which client (mcp.auth.login)',
      words: [0, 0],
      values: ONLINE,
      flags: JSON_FLAG,
      load: async () => (await import('./verbs/grants.js')).listGrants,
    },
    end: {
      usage: '[ID...]',
      help: 'end sign-ins, with their tokens and what they have open',
      words: [0, Infinity],
      values: {
        person: ['ID', 'all of a person: the id of the principal, such as login:ada'],
        client: ['NAME', 'all of the clients with this name'],
        ...ONLINE,
      },
      flags: { all: 'those of everybody', yes: 'do not ask before all end', ...JSON_FLAG },
      completes: 'grant',
      load: async () => (await import('./verbs/grants.js')).endGrants,
    },
    client: {
      usage: 'NAME URI...',
      help: 'print the id of a client that cannot register itself, for its settings',
      words: [2, Infinity],
      values: ONLINE,
      flags: JSON_FLAG,
      load: async () => (await import('./verbs/grants.js')).printClient,
    },
  },
  approvals: {
    list: {
      usage: '',
      help: 'list the calls that wait for a yes',
      words: [0, 0],
      values: ONLINE,
      flags: { all: 'those that were decided lately, too', ...JSON_FLAG },
      load: async () => (await import('./verbs/approvals.js')).listApprovals,
    },
    show: {
      usage: 'ID',
      help: 'show what would be sent, who asks, and who votes',
      words: [1, 1],
      values: ONLINE,
      flags: JSON_FLAG,
      completes: 'approval',
      load: async () => (await import('./verbs/approvals.js')).showApproval,
    },
    approve: {
      usage: 'ID',
      help: 'say yes to a call, with the key in MCPSTEAD_APPROVER_KEY',
      words: [1, 1],
      values: { ...VOTE, ...ONLINE },
      flags: { repeat: 'widen the yes, as the rule allows', yes: 'do not ask', ...JSON_FLAG },
      completes: 'approval',
      load: async () => (await import('./verbs/approvals.js')).approve,
    },
    deny: {
      usage: 'ID',
      help: 'say no to a call',
      words: [1, 1],
      values: { ...VOTE, ...ONLINE },
      flags: { yes: 'do not ask', ...JSON_FLAG },
      completes: 'approval',
      load: async () => (await import('./verbs/approvals.js')).deny,
    },
  },
  pins: {
    list: {
      usage: '[SERVER]',
      help: 'list pinned definitions, and what waits for an approval',
      words: [0, 1],
      values: { config: CONFIG, url: URL_OPTION },
      flags: { json: 'one JSON document' },
      load: async () => (await import('./verbs/pins.js')).listPins,
    },
    diff: {
      usage: 'SERVER [TOOL]',
      help: 'show what is new or changed of a server since it was approved',
      words: [1, 2],
      values: { config: CONFIG, url: URL_OPTION },
      flags: {},
      load: async () => (await import('./verbs/pins.js')).diffPins,
    },
    approve: {
      usage: 'SERVER [TOOL...]',
      help: 'approve what waits: all of a server, or some names',
      words: [1, Infinity],
      values: { config: CONFIG, url: URL_OPTION },
      flags: {},
      load: async () => (await import('./verbs/pins.js')).approvePins,
    },
    export: {
      usage: '',
      help: 'print all approved definitions as JSON',
      words: [0, 0],
      values: { config: CONFIG, url: URL_OPTION },
      flags: {},
      load: async () => (await import('./verbs/pins.js')).exportPins,
    },
  },
  policy: {
    explain: {
      usage: '',
      help: 'say what the policy of a running gateway decides for somebody, and which rule decides',
      words: [0, 0],
      values: {
        as: ['ID', 'the principal: key:ci, corp:alice, anonymous'],
        groups: ['A,B', 'its groups; a key has its own'],
        scopes: ['A,B', 'its scopes; a key has its own'],
        claims: ['JSON', 'its claims'],
        route: ['PATH', 'the endpoint: /mcp, /servers/<name>/mcp, /profiles/<name>/mcp'],
        tool: ['NAME', 'one tool, as clients of the endpoint call it'],
        args: ['JSON', 'arguments of a call, to check the conditions'],
        config: CONFIG,
        url: URL_OPTION,
      },
      flags: { json: 'one JSON document' },
      load: async () => (await import('./verbs/policy.js')).explainPolicy,
    },
  },
  audit: {
    verify: {
      usage: 'FILE...',
      help: 'check the chain of an audit log, across its files, and name the first line that was changed',
      words: [1, Infinity],
      values: { head: ['HASH', 'a head from the log of the gateway, which must be the hash of a line'] },
      flags: {},
      load: async () => (await import('./verbs/audit.js')).auditVerify,
    },
  },
};

/** A command, and what its name is. */
export interface Named {
  /** `keys create`. */
  readonly name: string;
  readonly row: VerbRow;
}

/** All commands, in the order of the help. */
export function allVerbs(): readonly Named[] {
  return Object.entries(TABLE).flatMap(([first, found]) =>
    isRow(found)
      ? [{ name: first, row: found }]
      : Object.entries(found).map(([second, row]) => ({ name: `${first} ${second}`, row })),
  );
}

/** `mcpstead keys create [--groups A,B] NAME`. */
export function usageOf({ name, row }: Named): string {
  const { usage, values, flags, takesProgram } = row;
  const options = [
    ...Object.entries(values).map(([option, [value]]) => `[--${option} ${value}]`),
    ...Object.keys(flags).map((flag) => `[--${flag}]`),
  ];
  return ['mcpstead', name, ...options, usage, takesProgram ? '[-- COMMAND...]' : '']
    .filter((part) => part !== '')
    .join(' ');
}
