// `npm run conformance`: the official suites through `/servers/<name>/mcp` of a gateway, over an HTTP and over a stdio
// upstream, and its client scenarios with a gateway in the middle. Writes docs/conformance.md and fails unless every
// scenario is clean: every check a success, no failure, no warning.
//
//   node scripts/conformance.mjs [--keep DIR]    DIR gets what the suites and the servers wrote
import { execFileSync, spawn } from 'node:child_process';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { parse } from 'yaml';
import { createGateway } from '../dist/index.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const at = (path) => join(root, path);
const REPORT = 'docs/conformance.md';
const LEGACY = at('test/fixtures/servers/conformance.mjs');
const MODERN = at('test/fixtures/servers/modern.mjs');
const NEW = 'conformance-0.2';
const OLD = 'conformance-0.1';

const suiteFile = (suite, path) => at(`node_modules/${suite}/${path}`);
const versionOf = (suite) => JSON.parse(readFileSync(suiteFile(suite, 'package.json'), 'utf8')).version;
/** The gateway leaves authorisation between it and its upstreams to later. */
const withoutAuth = (names) => names.filter((name) => !name.startsWith('auth/'));
/** What the suite asks of a revision: {server, client}, each with what is required and what it runs besides. */
function requirementsOf(revision) {
  const file = parse(readFileSync(suiteFile(NEW, `requirements/${revision}.yaml`), 'utf8'));
  const of = (leg) => ({
    required: withoutAuth(file[leg]),
    more: withoutAuth(file.not_scored.filter((entry) => entry.leg === leg).map(({ scenario }) => scenario)),
  });
  return { server: of('server'), client: of('client') };
}
const REVISIONS = ['2025-11-25', '2026-07-28'];
const requirements = Object.fromEntries(REVISIONS.map((revision) => [revision, requirementsOf(revision)]));

const keepAt = process.argv.indexOf('--keep');
const kept = keepAt > 0 ? resolve(process.argv[keepAt + 1]) : undefined;
const folder = kept ?? mkdtempSync(join(tmpdir(), 'mcpstead-conformance-'));
mkdirSync(folder, { recursive: true });

/** The suites' command lines need Node 22 or later. */
function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= 22) return process.execPath;
  const ask = ['-y', '--loglevel=error', '-p', 'node@22', 'node', '-p', 'process.execPath'];
  return execFileSync('npx', ask, { encoding: 'utf8', shell: process.platform === 'win32' }).trim();
}

/** Two cores carry a few suites at a time; what waits here is not late, as each suite counts from its own start. */
const AT_ONCE = 6;
let running = 0;
const waiting = [];
async function inTurn(work) {
  if (running >= AT_ONCE) await new Promise((next) => waiting.push(next));
  else running++;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else running--;
  }
}

/** Runs a suite to its end; its checks are read afterwards. Gives its exit status. */
const runSuite = (...args) => inTurn(() => startSuite(...args));
function startSuite(node, suite, args, output) {
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const log = createWriteStream(`${output}.log`);
  const child = spawn(node, [suiteFile(suite, 'dist/index.js'), ...args, '-o', output], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (status) => log.end(() => done(status)));
  });
}

function listOf(node, suite, args) {
  const text = execFileSync(node, [suiteFile(suite, 'dist/index.js'), 'list', ...args], { encoding: 'utf8' });
  return [...text.matchAll(/^ +- (\S+)/gm)].map(([, name]) => name);
}

/** Stands for a scenario that checks nothing: the suite has yet to write it. */
const UNWRITTEN = Symbol('unwritten');
/**
 * A warning that says nothing of a gateway in front of a server over stdio: `retry` is for a stream that its server closes. There is none
 * to close, and the gateway makes no `retry` up (older Java SDKs refuse whole streams for one).
 */
const NOT_OVER_STDIO = 'server-sse-retry-field';
/** What a suite found: scenario -> what is wrong; an empty list is clean. */
function readChecks(output, scenarios, excused) {
  const folders = readdirSync(output, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return new Map(
    scenarios.map((scenario) => {
      const own = folders.find(({ name }) =>
        name.replace(/^server-/, '').startsWith(`${scenario.replace('/', '-')}-2`),
      );
      if (!own) return [scenario, ['it did not run']];
      const file = join(output, own.name, 'checks.json');
      if (!existsSync(file)) return [scenario, ['it did not run to its end']];
      const checks = JSON.parse(readFileSync(file, 'utf8'));
      const wrong = checks
        .filter(({ id, status }) => status === 'FAILURE' || (status === 'WARNING' && id !== excused))
        .map(({ id, status, errorMessage }) => `${status} ${id}: ${errorMessage ?? ''}`);
      if (checks.length > 0 && checks.every(({ status }) => status === 'SKIPPED'))
        return [scenario, UNWRITTEN];
      if (!checks.some(({ status }) => status === 'SUCCESS')) wrong.push('no check succeeded');
      return [scenario, wrong];
    }),
  );
}

/** A fixture over HTTP: its URL, and its end. */
function startFixture(file) {
  const log = createWriteStream(join(folder, `${basename(file)}.log`));
  const child = spawn(process.execPath, [file, 'http'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stderr.pipe(log);
  // Whatever ends this, a server does not outlive it.
  process.on('exit', () => child.kill());
  return new Promise((ready, fail) => {
    child.on('error', fail);
    child.on('exit', (code) => fail(new Error(`the fixture ended with ${code}`)));
    child.stdout
      .setEncoding('utf8')
      .once('data', (text) => ready({ url: text.trim(), stop: () => child.kill() }));
  });
}

/** What is not connected by then fails in its scenarios. */
async function untilConnected(gateway) {
  const missing = () => gateway.health().servers.filter(({ connected }) => !connected);
  for (const end = Date.now() + 15_000; missing().length > 0 && Date.now() < end;)
    await new Promise((next) => setTimeout(next, 50));
  for (const { name, last_error: error } of missing()) console.error(`${name} is not connected: ${error}`);
}

/** These ask the client. On a channel that clients share only who called alone lately is asked: each gets a server of its own. */
const ASKING = [
  'tools-call-sampling',
  'tools-call-elicitation',
  'elicitation-sep1034-defaults',
  'elicitation-sep1330-enums',
];
const LEGACY_UPSTREAMS = {
  http: { title: 'HTTP' },
  stdio: { title: 'stdio', shared: true },
  own: { title: 'stdio, one for each client', session: 'per-client' },
};
const MODERN_UPSTREAMS = {
  'modern-http': { title: 'HTTP' },
  'modern-stdio': { title: 'stdio' },
};

/** One suite through one upstream: scenario -> what is wrong. */
async function runServerSuite(node, suite, port, upstream, args, scenarios, alone = []) {
  const through = (name) => ['server', '--url', `http://127.0.0.1:${port}/servers/${name}/mcp`];
  const output = join(folder, `${suite}-${upstream}`);
  const excused = upstream.endsWith('http') ? undefined : NOT_OVER_STDIO;
  const apart = alone.map(async (scenario) => {
    const own = `${output}-${scenario}`;
    const name = `${suite}-${scenario}`;
    await runSuite(node, suite, [...through(name), '--scenario', scenario, ...args.one], own);
    return [...readChecks(own, [scenario], excused)];
  });
  await runSuite(node, suite, [...through(upstream), ...args.all], output);
  return new Map([...readChecks(output, scenarios, excused), ...(await Promise.all(apart)).flat()]);
}

/** The scenarios of a revision through one upstream of it: {title, required, more}. */
async function runRevision(node, port, revision, upstream, { title, shared }) {
  const { required, more } = requirements[revision].server;
  const found = await runServerSuite(
    node,
    NEW,
    port,
    upstream,
    { all: ['--requirements', revision], one: ['--spec-version', revision] },
    [...required, ...more],
    shared ? ASKING : [],
  );
  const only = (names) => new Map(names.map((name) => [name, found.get(name)]));
  return { title, required: only(required), more: only(more) };
}

async function runOldSuite(node, port, old, upstream, { title, shared }) {
  const version = ['--spec-version', '2025-06-18'];
  const args = { all: ['--suite', 'all', ...version], one: version };
  const alone = shared ? ASKING.filter((scenario) => old.includes(scenario)) : [];
  // Log messages on a shared channel go to a sole caller: the other suite is at work at the same time.
  const server = shared ? `${upstream}-${OLD}` : upstream;
  return { title, old: await runServerSuite(node, OLD, port, server, args, old, alone) };
}

async function runServerSuites(node) {
  const [legacyHttp, modernHttp] = await Promise.all([startFixture(LEGACY), startFixture(MODERN)]);
  const log = createWriteStream(join(folder, 'gateway.log'));
  const line = (level) => (message, fields) =>
    log.write(JSON.stringify({ level, message, ...fields }) + '\n');
  const logger = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  const stdio = (file) => ({ command: process.execPath, args: [file, 'stdio'] });
  const old = listOf(node, OLD, ['--server', '--spec-version', '2025-06-18']);
  const gateway = createGateway(
    {
      host: '127.0.0.1',
      port: 0,
      // server-sse-polling looks at the stream of a call, and its tool takes a second.
      http: { stream_after_ms: 50 },
      servers: [
        { name: 'http', url: legacyHttp.url },
        { name: 'stdio', ...stdio(LEGACY) },
        { name: `stdio-${OLD}`, ...stdio(LEGACY) },
        { name: 'own', ...stdio(LEGACY), session: LEGACY_UPSTREAMS.own.session },
        ...ASKING.map((scenario) => ({ name: `${NEW}-${scenario}`, ...stdio(LEGACY) })),
        ...ASKING.filter((scenario) => old.includes(scenario)).map((scenario) => ({
          name: `${OLD}-${scenario}`,
          ...stdio(LEGACY),
        })),
        { name: 'modern-http', url: modernHttp.url },
        { name: 'modern-stdio', ...stdio(MODERN) },
      ],
    },
    { logger },
  );
  try {
    const { port } = await gateway.listen();
    await untilConnected(gateway);
    const each = (upstreams, run) =>
      Promise.all(Object.entries(upstreams).map(([name, upstream]) => run(name, upstream)));
    const [modern, legacy, oldest] = await Promise.all([
      each(MODERN_UPSTREAMS, (...to) => runRevision(node, port, '2026-07-28', ...to)),
      each(LEGACY_UPSTREAMS, (...to) => runRevision(node, port, '2025-11-25', ...to)),
      each(LEGACY_UPSTREAMS, (...to) => runOldSuite(node, port, old, ...to)),
    ]);
    return { modern, legacy, oldest };
  } finally {
    await gateway.close();
    legacyHttp.stop();
    modernHttp.stop();
    log.end();
  }
}

async function runClientScenarios(node, revision) {
  const { required, more } = requirements[revision].client;
  const command = `${process.execPath} ${at('scripts/conformance-client.mjs')}`;
  const found = await Promise.all(
    [...required, ...more].map(async (scenario) => {
      const output = join(folder, `client-${revision}-${scenario}`);
      const client = ['client', '--command', command, '--scenario', scenario];
      const status = await runSuite(node, NEW, [...client, '--spec-version', revision], output);
      const wrong = readChecks(output, [scenario]).get(scenario);
      const failed = status === 0 ? [] : [`the client or the suite ended with ${status}`];
      if (wrong === UNWRITTEN) return [scenario, failed.length > 0 ? failed : UNWRITTEN];
      return [scenario, [...wrong, ...failed]];
    }),
  );
  return new Map(found);
}

function tableOf(columns, results) {
  const cell = (wrong) =>
    wrong === UNWRITTEN ? 'checks nothing yet' : wrong.length === 0 ? 'clean' : '**not clean**';
  const scenarios = [...results[0].keys()];
  return [
    `| scenario | ${columns.join(' | ')} |`,
    `| --- |${' --- |'.repeat(columns.length)}`,
    ...scenarios.map(
      (name) => `| ${name} | ${results.map((result) => cell(result.get(name))).join(' | ')} |`,
    ),
  ].join('\n');
}

const countOf = (results) => {
  const all = results.flatMap((result) => [...result.values()]).filter((wrong) => wrong !== UNWRITTEN);
  return `${all.filter((wrong) => wrong.length === 0).length} of ${all.length} clean`;
};

function problemsOf(title, results) {
  return results.flatMap(({ through, found }) =>
    [...found].flatMap(([scenario, wrong]) =>
      (wrong === UNWRITTEN ? [] : wrong).map(
        (what) =>
          `- ${title}, ${scenario}${through ? ` over ${through}` : ''}: ${what.replaceAll('\n', ' ')}`,
      ),
    ),
  );
}

const node = findNode();
const [servers, ...clients] = await Promise.all([
  runServerSuites(node),
  ...REVISIONS.map((revision) => runClientScenarios(node, revision)),
]);
const [legacyClient, modernClient] = clients;
const columns = (group) => group.map(({ title }) => title);
const of = (group, key) => group.map((server) => server[key]);
const through = (group, key) => group.map((server) => ({ through: server.title, found: server[key] }));
const { modern, legacy, oldest } = servers;
const problems = [
  ...problemsOf('2026-07-28', [...through(modern, 'required'), ...through(modern, 'more')]),
  ...problemsOf('2025-11-25', [...through(legacy, 'required'), ...through(legacy, 'more')]),
  ...problemsOf('2025-06-18', through(oldest, 'old')),
  ...problemsOf('client of 2026-07-28', [{ found: modernClient }]),
  ...problemsOf('client of 2025-11-25', [{ found: legacyClient }]),
];

const serverTables = (
  group,
) => `The scenarios that suite ${versionOf(NEW)} requires, through \`/servers/<name>/mcp\`: ${countOf(of(group, 'required'))}.

${tableOf(columns(group), of(group, 'required'))}

Run besides, not required: ${countOf(of(group, 'more'))}.

${tableOf(columns(group), of(group, 'more'))}`;

const report = `# Conformance

Written by \`npm run conformance\`: the official suite, \`@modelcontextprotocol/conformance\`, against a gateway. A scenario is
clean if every check in it succeeded, without a failure and without a warning. Behind the gateway are servers that speak
one era each, the same as the client: how the eras meet is not in the suite, but in [eras.md](eras.md).

## Servers of 2026-07-28

The server is \`test/fixtures/servers/modern.mjs\`, over HTTP and over stdio. ${serverTables(modern)}

## Servers of 2025-11-25

The server is \`test/fixtures/servers/conformance.mjs\`, over HTTP, over stdio (one child for all clients) and over stdio with
\`session: per-client\`. What one child asks goes to a client only if no other called it in the last ten seconds: over plain
stdio each scenario with questions has a server of its own. Over stdio the suite's warning that an event stream had no \`retry\` does not
count: that is for a stream which its server closes, and over stdio there is none. ${serverTables(legacy)}

## Servers of 2025-06-18

All scenarios that suite ${versionOf(OLD)} has for it, the servers as before: ${countOf(of(oldest, 'old'))}.

${tableOf(columns(oldest), of(oldest, 'old'))}

## Clients of 2026-07-28

The scenario's server is the upstream of a gateway, an SDK v2 client pinned to the revision uses it through
\`/servers/<name>/mcp\`. Scenarios without authorisation: ${countOf([modernClient])}.

${tableOf(['through the gateway'], [modernClient])}

## Clients of 2025-11-25

The same with an SDK v1 client: ${countOf([legacyClient])}.

${tableOf(['through the gateway'], [legacyClient])}
${problems.length > 0 ? `\n## Not clean\n\n${problems.join('\n')}\n` : ''}`;

writeFileSync(
  at(REPORT),
  await format(report, { ...(await resolveConfig(at(REPORT))), filepath: at(REPORT) }),
);
for (const problem of problems) console.error(problem);
for (const [title, found] of [
  ['servers of 2026-07-28', of(modern, 'required')],
  ['servers of 2026-07-28, not required', of(modern, 'more')],
  ['servers of 2025-11-25', of(legacy, 'required')],
  ['servers of 2025-11-25, not required', of(legacy, 'more')],
  ['servers of 2025-06-18', of(oldest, 'old')],
  ['clients of 2026-07-28', [modernClient]],
  ['clients of 2025-11-25', [legacyClient]],
])
  console.log(`${title}: ${countOf(found)}`);
if (kept === undefined) rmSync(folder, { recursive: true, force: true });
else console.log(`what the suites wrote is in ${folder}`);
process.exitCode = problems.length > 0 ? 1 : 0;
