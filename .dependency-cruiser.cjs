// The layers of docs/architecture.md: a module imports only from lower layers, and modules of one layer share types in
// protocol/ports.ts. Run by `npm run check:layers`.

/** The lowest layer: each module imports only itself. */
const LEAVES = {
  lib: '^src/lib/',
  wire: '^src/wire/',
  errors: '^src/errors\\.ts$',
  'observe/stats and observe/log': '^src/observe/(stats|log|sink|boundary)\\.ts$',
};
const GROUND = '^src/(lib/|wire/|errors\\.ts$|observe/(stats|log|sink|boundary)\\.ts$)';

/** `from` may import itself, `allowed`, packages and Node; of src nothing else. */
const only = (name, from, allowed, comment) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from },
  to: { path: '^src/', pathNot: [from, ...allowed] },
});

/** `what` is imported by `files` alone. */
const keptIn = (name, what, files, comment) => ({
  name,
  comment,
  severity: 'error',
  from: { path: '^src/', pathNot: files },
  to: { path: what },
});

const package_ = (name) => `(^|/)node_modules/${name}/`;

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one file, or need a third.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-unresolved',
      comment: 'An import that leads nowhere.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'runtime-dependencies-only',
      comment: 'What is published imports what package.json installs with it.',
      severity: 'error',
      from: { path: '^src/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'npm-optional', 'npm-peer'],
        // Optional, and loaded when they are configured.
        pathNot: [package_('@opentelemetry'), package_('ioredis')],
      },
    },

    ...Object.entries(LEAVES).map(([module, path]) =>
      only(
        `ground-${module.split(/\W/)[0]}`,
        path,
        module.startsWith('observe') ? ['^src/errors\\.ts$'] : [],
        `${module} imports no other module of the gateway.`,
      ),
    ),

    only('protocol', '^src/protocol/', [GROUND], 'MCP without I/O imports only the lowest layer.'),
    only('config', '^src/config/', [GROUND], 'Configuration does not import the modules that it configures.'),
    only(
      'observe',
      '^src/observe/',
      [GROUND, '^src/protocol/', '^src/config/'],
      'Logger and metrics read counters and calls; they import no other module.',
    ),

    ...['auth', 'catalog', 'session', 'upstream'].map((module) =>
      only(
        module,
        `^src/${module}/`,
        [GROUND, '^src/protocol/', '^src/config/'],
        'auth, catalog, session and upstream never import each other: shared types are in protocol/ports.ts.',
      ),
    ),

    only(
      'policy',
      '^src/policy/',
      [GROUND, '^src/(protocol|config)/'],
      'What rules say about a principal, a name and a route; nothing here reaches a server.',
    ),
    only(
      'state',
      '^src/state/',
      [GROUND, '^src/(protocol|config)/'],
      'What outlives the process knows nothing of those who keep it there.',
    ),
    only(
      'credentials',
      '^src/credentials/',
      [GROUND, '^src/(protocol|config)/'],
      'Requests go out by the fetch that it is given, and what it keeps goes to the state that it is given.',
    ),
    only(
      'authorization-server',
      '^src/authorization-server/',
      [GROUND, '^src/(protocol|config)/'],
      'What it needs of identities, rules and state it is given as functions.',
    ),
    only(
      'fleet',
      '^src/fleet/',
      [GROUND, '^src/(protocol|config|session|state|policy)/'],
      'What replicas share. It implements ports of the session, the state and the policy, and knows nothing of messages.',
    ),
    only(
      'approvals',
      '^src/approvals/',
      [GROUND, '^src/(protocol|config)/', '^src/state/sealed\\.ts$'],
      'Records of calls that wait for a yes. Rules, identities and requests it is given as functions.',
    ),
    {
      name: 'approvals-state-types',
      comment: 'The store is given; of the state it knows the port.',
      severity: 'error',
      from: { path: '^src/approvals/' },
      to: { path: '^src/state/', dependencyTypesNot: ['type-only'] },
    },
    only(
      'bridge',
      '^src/bridge/',
      [GROUND, '^src/(protocol|config|auth|catalog|session|upstream)/'],
      'The bridge translates between the eras.',
    ),
    only(
      'proxy',
      '^src/proxy/',
      [GROUND, '^src/observe/calls\\.ts$', '^src/(protocol|config|auth|catalog|policy|session|bridge)/'],
      'The proxy uses servers through the Link of protocol/ports.ts.',
    ),
    only(
      'admin',
      '^src/admin/',
      [GROUND, '^src/observe/(calls|audit/redact)\\.ts$', '^src/(protocol|config)/'],
      'The admin API reads what admin/source.ts hands over, and nothing else of the gateway.',
    ),
    only(
      'downstream',
      '^src/downstream/',
      [GROUND, '^src/(protocol|config)/', '^src/proxy/gate\\.ts$'],
      'Transports call the gate and nothing behind it.',
    ),

    {
      name: 'gateway-is-the-only-root',
      comment: 'Only the composition root imports all modules, and only index.ts imports the root.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(index|gateway)\\.ts$|^src/gateway/' },
      to: { path: '^src/gateway(\\.ts$|/)' },
    },
    only(
      'index',
      '^src/index\\.ts$',
      ['^src/gateway\\.ts$', '^src/config/', '^src/lib/', '^src/observe/log\\.ts$'],
      'The library is the gateway and its configuration.',
    ),
    only(
      'client',
      '^src/client/',
      [],
      'The MCP client of the console and of commands imports nothing of the gateway.',
    ),
    {
      name: 'client-runs-in-a-browser',
      comment: 'The console loads it.',
      severity: 'error',
      from: { path: '^src/client/' },
      to: { dependencyTypes: ['core', 'npm'] },
    },
    only('terminal', '^src/terminal/', [], 'What commands share imports nothing of the gateway.'),
    only(
      'cli',
      '^src/cli/',
      [
        '^src/lib/',
        '^src/index\\.ts$',
        '^src/config/',
        '^src/observe/(log|logger)\\.ts$',
        '^src/terminal/',
        '^src/client/index\\.ts$',
        '^src/demo/demo\\.ts$',
        '^src/downstream/join\\.ts$',
        '^src/observe/audit/verify\\.ts$',
        // The types of the answers of the admin API.
        '^src/admin/((login|grant|approval)-)?schemas\\.ts$',
        '^src/client/',
      ],
      'Commands use the library like any other program; connecting to a running gateway needs no library.',
    ),
    only(
      'demo',
      '^src/demo/',
      ['^src/index\\.ts$', '^src/lib/', '^src/observe/logger\\.ts$', '^src/terminal/'],
      'The demo is a command of its own: src/cli starts it and it does not import src/cli.',
    ),
    {
      name: 'gateway',
      comment: 'The root does not import commands.',
      severity: 'error',
      from: { path: '^src/gateway(\\.ts$|/)' },
      to: { path: '^src/(cli|demo|terminal)/|^src/index\\.ts$' },
    },

    keptIn(
      'undici',
      package_('undici'),
      '^src/(upstream/http/dispatcher|fleet/hop)\\.ts$',
      'Its next major version must be a change of one place.',
    ),
    keptIn(
      'zod',
      package_('zod'),
      '^src/(config|admin)/',
      'Only the configuration and the admin API are described by schemas.',
    ),
    keptIn(
      'oauth4webapi',
      package_('oauth4webapi'),
      '^src/(credentials/(oauth|client-authentication)|authorization-server/provider)\\.ts$',
      'One file for logins to servers, and one for sign-ins at the identity provider.',
    ),
    keptIn('stricli', package_('@stricli/core'), '^src/cli/app\\.ts$', 'Commands are rows of a table.'),
    keptIn(
      'json-schema',
      package_('@cfworker/json-schema'),
      '^src/proxy/schema-check\\.ts$',
      'Only calls through a search are checked; with the first of them is it loaded.',
    ),
    keptIn('tokenx', package_('tokenx'), '^src/admin/tokens\\.ts$', 'Tokens are estimated in one place.'),
    keptIn(
      'clack',
      package_('@clack/prompts'),
      '^src/cli/(prompts|ask)\\.ts$',
      'It is loaded when something asks.',
    ),
    keptIn('smol-toml', package_('smol-toml'), '^src/cli/edit/toml\\.ts$', 'One client has TOML.'),
    keptIn(
      'jose',
      package_('jose'),
      '^src/auth/(issuer|jwt)\\.ts$|^src/authorization-server/signing-keys\\.ts$',
      'Tokens of issuers are verified, those of the gateway signed; only with one of them is it loaded.',
    ),
    keptIn('yaml', package_('yaml'), '^src/config/', 'Only the configuration is YAML.'),
    keptIn(
      'CEL',
      package_('@bufbuild/(cel|re2)'),
      '^src/policy/condition\\.ts$',
      'Its limits are enforced in one place.',
    ),
    keptIn(
      'pino',
      package_('pino'),
      '^src/observe/logger\\.ts$',
      'Modules get the Logger of observe/log.ts.',
    ),
    keptIn(
      'opentelemetry',
      package_('@opentelemetry'),
      '^src/observe/tracing\\.ts$',
      'It is loaded when tracing is configured, and not installed otherwise.',
    ),
    keptIn(
      'ioredis',
      package_('ioredis'),
      '^src/fleet/store\\.ts$',
      'It is loaded when a store is configured, and not installed otherwise.',
    ),
    keptIn(
      'cross-spawn',
      package_('cross-spawn'),
      '^src/upstream/stdio/child\\.ts$',
      'One place starts children.',
    ),
    keptIn(
      'children',
      '^(node:)?child_process$',
      '^src/(upstream/stdio/(child|watcher)|lib/run-command|cli/programs)\\.ts$',
      'What starts a process must also end it.',
    ),
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
