// Runs the official suite, in the two versions that are dev dependencies, and reads what it found.
import { execFileSync } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { start } from './processes.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const at = (path) => join(root, path);
export const NEW = 'conformance-0.2';
export const OLD = 'conformance-0.1';
export const LEGACY = '2025-11-25';
export const MODERN = '2026-07-28';

const suiteFile = (suite, path) => at(`node_modules/${suite}/${path}`);
export const versionOf = (suite) =>
  JSON.parse(readFileSync(suiteFile(suite, 'package.json'), 'utf8')).version;

/** Scenarios with authorization have a client and a section of their own. The gateway does not bind tokens to a key (DPoP). */
const isAuth = (name) => name.startsWith('auth/') && !name.startsWith('auth/dpop');
const isPlain = (name) => !name.startsWith('auth/');
/** What the suite asks of a revision: {server, client, auth}, each with what is required and what it runs besides. */
function requirementsOf(revision) {
  const file = parse(readFileSync(suiteFile(NEW, `requirements/${revision}.yaml`), 'utf8'));
  const of = (leg, which) => ({
    required: file[leg].filter(which),
    more: file.not_scored
      .filter((entry) => entry.leg === leg)
      .map(({ scenario }) => scenario)
      .filter(which),
  });
  return { server: of('server', isPlain), client: of('client', isPlain), auth: of('client', isAuth) };
}
export const requirements = { [LEGACY]: requirementsOf(LEGACY), [MODERN]: requirementsOf(MODERN) };

/** The suites' command lines need Node 22 or later. */
function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= 22) return process.execPath;
  const ask = ['-y', '--loglevel=error', '-p', 'node@22', 'node', '-p', 'process.execPath'];
  return execFileSync('npx', ask, { encoding: 'utf8', shell: process.platform === 'win32' }).trim();
}
let foundNode;
const node = () => (foundNode ??= findNode());

/**
 * The suites wait for some messages for half a second: no more of them at a time than two cores carry, each with its client, its
 * gateway and its server. What waits here is not late, as each suite counts from its own start.
 */
const AT_ONCE = 2;
/** A suite takes seconds, and gives up a scenario after 30. */
const SUITE_LIMIT_MS = 300_000;
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

/** Runs a suite to its end; its checks are read afterwards. `hear` gets what it prints. Gives its exit status. */
export const runSuite = (suite, args, output, hear) =>
  inTurn(() => {
    rmSync(output, { recursive: true, force: true });
    mkdirSync(output, { recursive: true });
    const log = createWriteStream(`${output}.log`);
    const child = start(node(), [suiteFile(suite, 'dist/index.js'), ...args, '-o', output], {
      cwd: root,
      timeout: SUITE_LIMIT_MS,
    });
    child.stdout.pipe(log, { end: false });
    if (hear) child.stdout.setEncoding('utf8').on('data', hear);
    child.stderr.pipe(log, { end: false });
    return new Promise((done, fail) => {
      child.on('error', fail);
      child.on('close', (status) => log.end(() => done(status)));
    });
  });

export function listOf(suite, args) {
  const text = execFileSync(node(), [suiteFile(suite, 'dist/index.js'), 'list', ...args], {
    encoding: 'utf8',
  });
  return [...text.matchAll(/^ +- (\S+)/gm)].map(([, name]) => name);
}

/** Stands for a scenario that checks nothing: the suite has yet to write it, or says that it does not apply. */
export const NOTHING = Symbol('nothing');
/**
 * A warning that says nothing of a gateway in front of a server over stdio: `retry` is for a stream that its server closes. There is none
 * to close, and the gateway makes no `retry` up (older Java SDKs refuse whole streams for one).
 */
export const NOT_OVER_STDIO = 'server-sse-retry-field';
/** A warning about a server that says its list changed where it did not: the gateway tells its clients of changes alone. */
export const NOT_CHANGED = 'sep-2575-server-sends-tools-list-changed-on-subscription';
const fault = (check, message = '') => ({ check, message });
/** What a suite found: scenario -> what is wrong, as {check, message}; an empty list is clean. */
export function readChecks(output, scenarios, excused = []) {
  // The suite makes a folder of the part of a scenario's name before the slash, except for servers of both kinds.
  const folders = readdirSync(output, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ parentPath, name }) => relative(output, join(parentPath, name)).replaceAll('\\', '/'));
  return new Map(
    scenarios.map((scenario) => {
      const starts = [scenario, scenario.replace('/', '-')].map((name) => `${name}-2`);
      const own = folders.find((path) =>
        starts.some((start) => path.replace(/^(?:authorization-)?server-/, '').startsWith(start)),
      );
      if (!own) return [scenario, [fault('it did not run')]];
      const file = join(output, own, 'checks.json');
      if (!existsSync(file)) return [scenario, [fault('it did not run to its end')]];
      const checks = JSON.parse(readFileSync(file, 'utf8'));
      const wrong = checks
        .filter(({ id, status }) => status === 'FAILURE' || (status === 'WARNING' && !excused.includes(id)))
        .map(({ id, status, errorMessage }) => fault(`${status} ${id}`, errorMessage));
      if (checks.length > 0 && checks.every(({ status }) => status === 'SKIPPED' || status === 'INFO'))
        return [scenario, NOTHING];
      if (!checks.some(({ status }) => status === 'SUCCESS')) wrong.push(fault('no check succeeded'));
      return [scenario, wrong];
    }),
  );
}

/** The lists of a revision against a URL: scenario -> what is wrong. */
export async function runLists(revision, url, output, excused) {
  const { required, more } = requirements[revision].server;
  await runSuite(NEW, ['server', '--url', url, '--requirements', revision], output);
  return readChecks(output, [...required, ...more], excused);
}

/** The client scenarios of a revision, without authorization or (`auth`) with it: scenario -> what is wrong. */
export async function runClientScenarios(revision, folder, leg = 'client') {
  const { required, more } = requirements[revision][leg];
  const file = leg === 'auth' ? 'auth-client' : 'client';
  const command = `${process.execPath} ${at(`scripts/conformance/${file}.mjs`)}`;
  const found = await Promise.all(
    [...required, ...more].map(async (scenario) => {
      const output = join(folder, `${leg}-${revision}-${scenario.replace('/', '-')}`);
      const client = ['client', '--command', command, '--scenario', scenario];
      // Extensions belong to no revision, and run in each.
      const force = leg === 'auth' ? ['--force'] : [];
      const status = await runSuite(NEW, [...client, '--spec-version', revision, ...force], output);
      const wrong = readChecks(output, [scenario]).get(scenario);
      const failed = status === 0 ? [] : [fault(`the client or the suite ended with ${status}`)];
      if (wrong === NOTHING) return [scenario, failed.length > 0 ? failed : NOTHING];
      return [scenario, [...wrong, ...failed]];
    }),
  );
  return new Map(found);
}

/** Scenarios with authorization: {revision: scenario -> what is wrong}. */
export async function runAuthScenarios(folder) {
  const [modern, legacy] = await Promise.all([
    runClientScenarios(MODERN, folder, 'auth'),
    runClientScenarios(LEGACY, folder, 'auth'),
  ]);
  return { [MODERN]: modern, [LEGACY]: legacy };
}
