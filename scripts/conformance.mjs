// `npm run conformance`: the official suites through `/servers/<name>/mcp` of a gateway, over an HTTP and over a stdio
// upstream, and its client scenarios with a gateway in the middle. Writes docs/conformance.md and fails unless every
// scenario is clean: every check a success, no failure, no warning.
//
//   node scripts/conformance.mjs [--keep DIR]    DIR gets what the suites and the servers wrote
import { execFileSync, spawn } from 'node:child_process';
import {
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { parse } from 'yaml';
import { createGateway } from '../dist/index.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const at = (path) => join(root, path);
const REPORT = 'docs/conformance.md';
const FIXTURE = at('test/fixtures/servers/conformance.mjs');
const NEW = 'conformance-0.2';
const OLD = 'conformance-0.1';

const suiteFile = (suite, path) => at(`node_modules/${suite}/${path}`);
const versionOf = (suite) => JSON.parse(readFileSync(suiteFile(suite, 'package.json'), 'utf8')).version;
const required = parse(readFileSync(suiteFile(NEW, 'requirements/2025-11-25.yaml'), 'utf8'));
/** The gateway leaves authorisation between it and its upstreams to later. */
const withoutAuth = (names) => names.filter((name) => !name.startsWith('auth/'));
const unscored = (leg) =>
  withoutAuth(required.not_scored.filter((entry) => entry.leg === leg).map(({ scenario }) => scenario));

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

/** Runs a suite to its end; its checks are read afterwards. Gives its exit status. */
function runSuite(node, suite, args, output) {
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

/** What a suite found: scenario -> what is wrong; an empty list is clean. */
function readChecks(output, scenarios) {
  const folders = readdirSync(output, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return new Map(
    scenarios.map((scenario) => {
      const own = folders.find(({ name }) =>
        name.replace(/^server-/, '').startsWith(`${scenario.replace('/', '-')}-2`),
      );
      if (!own) return [scenario, ['it did not run']];
      const checks = JSON.parse(readFileSync(join(output, own.name, 'checks.json'), 'utf8'));
      const wrong = checks
        .filter(({ status }) => status === 'FAILURE' || status === 'WARNING')
        .map(({ id, status, errorMessage }) => `${status} ${id}: ${errorMessage ?? ''}`);
      if (!checks.some(({ status }) => status === 'SUCCESS')) wrong.push('no check succeeded');
      return [scenario, wrong];
    }),
  );
}

/** The fixture over HTTP: its URL, and its end. */
function startFixture() {
  const log = createWriteStream(join(folder, 'fixture.log'));
  const child = spawn(process.execPath, [FIXTURE, 'http'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stderr.pipe(log);
  return new Promise((ready, fail) => {
    child.on('error', fail);
    child.on('exit', (code) => fail(new Error(`the fixture ended with ${code}`)));
    child.stdout
      .setEncoding('utf8')
      .once('data', (text) => ready({ url: text.trim(), stop: () => child.kill() }));
  });
}

async function untilConnected(gateway) {
  for (const end = Date.now() + 15_000; gateway.health().servers.some(({ connected }) => !connected);) {
    if (Date.now() > end) throw new Error(`not connected: ${JSON.stringify(gateway.health().servers)}`);
    await new Promise((next) => setTimeout(next, 50));
  }
}

/** These ask the client. On a channel that clients share only who called alone lately is asked: each gets a server of its own. */
const ASKING = [
  'tools-call-sampling',
  'tools-call-elicitation',
  'elicitation-sep1034-defaults',
  'elicitation-sep1330-enums',
];
const UPSTREAMS = {
  http: { title: 'HTTP' },
  stdio: { title: 'stdio', shared: true },
  own: { title: 'stdio, one for each client', session: 'per-client' },
};

/** One suite through one upstream: scenario -> what is wrong. */
async function runServerSuite(node, suite, port, upstream, args, scenarios) {
  const through = (name) => ['server', '--url', `http://127.0.0.1:${port}/servers/${name}/mcp`];
  const output = join(folder, `${suite}-${upstream}`);
  await runSuite(node, suite, [...through(upstream), ...args.all], output);
  const found = readChecks(output, scenarios);
  if (UPSTREAMS[upstream].shared)
    for (const scenario of ASKING.filter((name) => found.has(name))) {
      const alone = `${output}-${scenario}`;
      await runSuite(
        node,
        suite,
        [...through(`${suite}-${scenario}`), '--scenario', scenario, ...args.one],
        alone,
      );
      found.set(scenario, readChecks(alone, [scenario]).get(scenario));
    }
  return found;
}

async function runServerSuites(node) {
  const fixture = await startFixture();
  const log = createWriteStream(join(folder, 'gateway.log'));
  const line = (level) => (message, fields) =>
    log.write(JSON.stringify({ level, message, ...fields }) + '\n');
  const logger = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  const stdio = { command: process.execPath, args: [FIXTURE, 'stdio'] };
  const old = listOf(node, OLD, ['--server', '--spec-version', '2025-06-18']);
  const gateway = createGateway(
    {
      host: '127.0.0.1',
      port: 0,
      // server-sse-polling looks at the stream of a call, and its tool takes a second.
      http: { stream_after_ms: 50 },
      servers: [
        { name: 'http', url: fixture.url },
        { name: 'stdio', ...stdio },
        { name: 'own', ...stdio, session: UPSTREAMS.own.session },
        ...ASKING.map((scenario) => ({ name: `${NEW}-${scenario}`, ...stdio })),
        ...ASKING.filter((scenario) => old.includes(scenario)).map((scenario) => ({
          name: `${OLD}-${scenario}`,
          ...stdio,
        })),
      ],
    },
    { logger },
  );
  try {
    const { port } = await gateway.listen();
    await untilConnected(gateway);
    const runs = Object.entries(UPSTREAMS).map(async ([upstream, { title }]) => {
      const first = await runServerSuite(
        node,
        NEW,
        port,
        upstream,
        { all: ['--requirements', '2025-11-25'], one: ['--spec-version', '2025-11-25'] },
        [...required.server, ...unscored('server')],
      );
      const version = ['--spec-version', '2025-06-18'];
      const second = await runServerSuite(
        node,
        OLD,
        port,
        upstream,
        { all: ['--suite', 'all', ...version], one: version },
        old,
      );
      const only = (names) => new Map(names.map((name) => [name, first.get(name)]));
      return { title, required: only(required.server), more: only(unscored('server')), old: second };
    });
    return await Promise.all(runs);
  } finally {
    await gateway.close();
    fixture.stop();
    log.end();
  }
}

async function runClientScenarios(node) {
  const scenarios = [...withoutAuth(required.client), ...unscored('client')];
  const command = `${process.execPath} ${at('scripts/conformance-client.mjs')}`;
  const found = await Promise.all(
    scenarios.map(async (scenario) => {
      const output = join(folder, `client-${scenario}`);
      const client = ['client', '--command', command, '--scenario', scenario];
      const status = await runSuite(node, NEW, [...client, '--spec-version', '2025-11-25'], output);
      const found = readChecks(output, [scenario]);
      if (status !== 0) found.get(scenario).push(`the client or the suite ended with ${status}`);
      return [...found];
    }),
  );
  return new Map(found.flat());
}

function tableOf(columns, results) {
  const cell = (wrong) => (wrong.length === 0 ? 'clean' : '**not clean**');
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
  const all = results.flatMap((result) => [...result.values()]);
  return `${all.filter((wrong) => wrong.length === 0).length} of ${all.length} clean`;
};

function problemsOf(title, results) {
  return results.flatMap(({ through, found }) =>
    [...found].flatMap(([scenario, wrong]) =>
      wrong.map(
        (what) =>
          `- ${title}, ${scenario}${through ? ` over ${through}` : ''}: ${what.replaceAll('\n', ' ')}`,
      ),
    ),
  );
}

const node = findNode();
const servers = await runServerSuites(node);
const client = await runClientScenarios(node);
const columns = servers.map(({ title }) => title);
const of = (key) => servers.map((server) => server[key]);
const problems = [
  ...['required', 'more', 'old'].flatMap((key) =>
    problemsOf(
      key === 'old' ? '2025-06-18' : '2025-11-25',
      servers.map(({ title, [key]: found }) => ({ through: title, found })),
    ),
  ),
  ...problemsOf('client', [{ found: client }]),
];

const report = `# Conformance

Written by \`npm run conformance\`: the official suite, \`@modelcontextprotocol/conformance\`, against a gateway. A scenario is
clean if every check in it succeeded, without a failure and without a warning. The server behind the gateway is
\`test/fixtures/servers/conformance.mjs\`, over HTTP, over stdio (one child for all clients) and over stdio with
\`session: per-client\`. What one child asks goes to a client only if no other called it in the last ten seconds: over plain
stdio each scenario with questions has a server of its own.

## Servers of 2025-11-25

The scenarios that suite ${versionOf(NEW)} requires, through \`/servers/<name>/mcp\`: ${countOf(of('required'))}.

${tableOf(columns, of('required'))}

Run besides, not required: ${countOf(of('more'))}.

${tableOf(columns, of('more'))}

## Servers of 2025-06-18

All scenarios that suite ${versionOf(OLD)} has for it: ${countOf(of('old'))}.

${tableOf(columns, of('old'))}

## Clients of 2025-11-25

The scenario's server is the upstream of a gateway, an SDK v1 client uses it through \`/servers/<name>/mcp\`. Scenarios
without authorisation: ${countOf([client])}.

${tableOf(['through the gateway'], [client])}
${problems.length > 0 ? `\n## Not clean\n\n${problems.join('\n')}\n` : ''}`;

writeFileSync(
  at(REPORT),
  await format(report, { ...(await resolveConfig(at(REPORT))), filepath: at(REPORT) }),
);
for (const problem of problems) console.error(problem);
for (const [title, found] of [
  ['servers of 2025-11-25', of('required')],
  ['servers of 2025-11-25, not required', of('more')],
  ['servers of 2025-06-18', of('old')],
  ['clients of 2025-11-25', [client]],
])
  console.log(`${title}: ${countOf(found)}`);
if (kept === undefined) rmSync(folder, { recursive: true, force: true });
else console.log(`what the suites wrote is in ${folder}`);
process.exitCode = problems.length > 0 ? 1 : 0;
