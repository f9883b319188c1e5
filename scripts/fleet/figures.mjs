// `npm run fleet:figures`: what a fleet costs on this machine. CPU time of all gateway processes together, from /proc (Linux); the median of several
// rounds, which take turns, so that other work on the machine counts little. On two cores or more, gateways have one core and the clients another:
// each is always busy, and pays for no wake-ups of the other. Options: --rounds 7, --calls 5000, --sessions 100000.
import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { startBenchServer } from './bench-server.mjs';
import { Fleet } from './fleet.mjs';
import { cpuOf, sleep, until } from './processes.mjs';
import { programOf, Refusal } from './programs.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    calls: { type: 'string', default: '5000' },
    sessions: { type: 'string', default: '100000' },
    only: { type: 'string', default: '' },
  },
});
const rounds = Number(values.rounds);
const calls = Number(values.calls);
/** Requests at a time, for each gateway: enough that it is never idle. */
const AT_ONCE = 64;
const SMALL = 200;
const LARGE = 100_000;

const agent = new Agent({ keepAlive: true, maxSockets: 2 * AT_ONCE });
let lastId = 0;

/** Sends a message to an endpoint, and resolves with status, headers and body. */
function post(origin, message, session) {
  const body = JSON.stringify({ jsonrpc: '2.0', ...message });
  const headers = {
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
    'Content-Length': Buffer.byteLength(body),
    ...(session && { 'Mcp-Session-Id': session, 'Mcp-Protocol-Version': '2025-11-25' }),
  };
  return new Promise((resolve, reject) => {
    const req = request(`${origin}/mcp`, { method: 'POST', agent, headers }, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('end', () => {
        resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(chunks) });
      });
      res.on('error', reject);
    });
    req.on('error', reject);
    req.end(body);
  });
}

async function open(origin) {
  const clientInfo = { name: 'figures', version: '0' };
  const params = { protocolVersion: '2025-11-25', capabilities: { elicitation: {}, roots: {} }, clientInfo };
  const { status, headers, body } = await post(origin, { id: ++lastId, method: 'initialize', params });
  if (status !== 200) throw new Error(`initialize was answered with ${status}: ${body.toString()}`);
  const session = headers['mcp-session-id'];
  await post(origin, { method: 'notifications/initialized' }, session);
  return session;
}

async function call(origin, session, bytes) {
  const params = { name: 'bench__text', arguments: { bytes } };
  const { status, body } = await post(origin, { id: ++lastId, method: 'tools/call', params }, session);
  if (status !== 200 || body.length < bytes || body.includes('"error"'))
    throw new Error(`a call was answered with ${status}: ${body.subarray(0, 300).toString()}`);
}

/** Does `work` `count` times, some at a time. */
async function many(count, work, atOnce = AT_ONCE) {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
}

/** The CPU time of processes for one call, in microseconds. */
async function cost({ pids, count, work, atOnce = AT_ONCE }) {
  const now = () => pids.reduce((sum, pid) => sum + cpuOf(pid), 0);
  const before = now();
  await many(count, work, atOnce);
  return ((now() - before) * 1000) / count;
}

/** Measures each case in turn, several times; returns the median of each. */
async function medians(cases) {
  for (const { count, work, atOnce } of cases) await many(Math.ceil(count / 2), work, atOnce);
  const found = cases.map(() => []);
  for (let round = 0; round < rounds; round++)
    for (const [index, each] of cases.entries()) found[index].push(await cost(each));
  return found.map((list) => list.sort((a, b) => a - b)[list.length >> 1]);
}

/** Gives processes a core of their own, and this one another. */
function pin(pids) {
  if (cpus().length < 2) return;
  const on = (core, pid) => spawnSync('taskset', ['-a', '-p', '-c', core, String(pid)]);
  on('0', process.pid);
  for (const pid of pids) on('1', pid);
}

const rows = [];
function say(what, figure) {
  rows.push([what, figure]);
  console.log(`${what}: ${figure}`);
}
const us = (value) => `${Math.round(value)} us`;
const times = (value, base) => `${(value / base).toFixed(2)} times`;

async function startFleet(options) {
  const fleet = new Fleet();
  cleanups.push(() => fleet.stop());
  return await fleet.start({ balancer: null, ...options });
}

const config = (url, more = {}) => ({
  servers: [{ name: 'bench', url }],
  http: { drain_delay_seconds: 0 },
  logging: { level: 'warn' },
  ...more,
});

/** Calls on their own replica, and forwarded ones. */
async function callCosts(url) {
  const alone = await startFleet({ replicas: 2, alone: true, config: config(url) });
  const plain = await startFleet({ replicas: 2, config: config(url) });
  const tls = await startFleet({ replicas: 2, config: config(url, { fleet: { listen: { tls: 'psk' } } }) });
  pin([alone, plain, tls].flatMap(({ replicas }) => replicas.map(({ pid }) => pid)));
  const caseOf = async ({ replicas }, through, bytes) => {
    const session = await open(replicas[0].origin);
    const { origin } = replicas[through];
    return {
      pids: replicas.map(({ pid }) => pid),
      count: bytes === LARGE ? Math.ceil(calls / 4) : calls,
      work: () => call(origin, session, bytes),
    };
  };
  const two = await inTurn(alone, plain);
  for (const bytes of [SMALL, LARGE]) {
    const size = bytes === SMALL ? '0.2 KB' : '100 KB';
    const [one, own, forwarded, secure] = await medians([
      await caseOf(alone, 0, bytes),
      await caseOf(plain, 0, bytes),
      await caseOf(plain, 1, bytes),
      await caseOf(tls, 1, bytes),
    ]);
    say(`call of ${size}, gateway alone`, us(one));
    say(`call of ${size} on its own replica`, `${us(own)}, ${times(own, one)}`);
    say(
      `forwarded call of ${size}, both replicas`,
      `${us(forwarded)}, ${times(forwarded, own)} a direct one`,
    );
    say(`the same with TLS`, `${us(secure)}, ${times(secure, own)} a direct one`);
    if (bytes === SMALL)
      say(
        'forwarded, against two gateways in turn',
        `${times(forwarded, two)}, with TLS ${times(secure, two)}`,
      );
  }
}

/** What two replicas do with the clients of both, against two gateways that know nothing of each other: the machine takes its part of both. */
async function inTurn(alone, plain) {
  const caseOf = async ({ replicas }) => {
    const sessions = [];
    for (const { origin } of replicas) sessions.push(await open(origin));
    let turn = 0;
    return {
      pids: replicas.map(({ pid }) => pid),
      count: 2 * calls,
      atOnce: 2 * AT_ONCE,
      work: () => {
        const index = turn++ % replicas.length;
        return call(replicas[index].origin, sessions[index], SMALL);
      },
    };
  };
  const one = { replicas: alone.replicas.slice(0, 1) };
  const [single, two, fleet] = await medians([await caseOf(one), await caseOf(alone), await caseOf(plain)]);
  say('call of 0.2 KB, a gateway alone with twice the clients', us(single));
  say('the same, two gateways without a fleet in turn', `${us(two)}, ${times(two, single)}`);
  say(
    'the same, two replicas in turn',
    `${us(fleet)}, ${times(fleet, single)}; ${times(fleet, two)} without a fleet`,
  );
  return two;
}

/** The first request of a session whose replica has left, against the next one. */
async function adoption(url) {
  const fleet = await startFleet({ replicas: 3, config: config(url) });
  const [left, other] = fleet.replicas;
  const sessions = [];
  for (let i = 0; i < 300; i++) sessions.push(await open(left.origin));
  // Written in the background.
  await sleep(1500);
  left.process.kill('SIGTERM');
  await left.process.ended;
  await sleep(1500);
  const first = [];
  const next = [];
  for (const session of sessions) {
    for (const found of [first, next]) {
      const began = performance.now();
      await call(other.origin, session, SMALL);
      found.push(performance.now() - began);
    }
  }
  const at = (list, share) => list.sort((a, b) => a - b)[Math.floor(list.length * share)];
  const ms = (value) => `${value.toFixed(1)} ms`;
  say(
    'first call after a take-over, over the next call',
    `median ${ms(at(first, 0.5) - at(next, 0.5))}, 95% ${ms(at(first, 0.95) - at(next, 0.95))}`,
  );
}

const cli = (port, ...args) =>
  spawnSync(programOf('redis-cli'), ['-p', String(port), ...args], { encoding: 'utf8' }).stdout;

/** How often clients have sent something. What scripts call is counted by Redis as well, but not here. */
function sent(port) {
  const text = cli(port, 'info', 'commandstats');
  const of = (name) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(text)?.[1] ?? 0);
  return of('evalsha') + of('eval');
}

async function commands(url) {
  const fleet = await startFleet({ replicas: 2, config: config(url) });
  const { storePort } = fleet;
  const { origin } = fleet.replicas[0];
  await sleep(3000);
  const quiet = sent(storePort);
  const quietFrom = performance.now();
  await sleep(10_000);
  const perSecond = (sent(storePort) - quiet) / ((performance.now() - quietFrom) / 1000);
  const phase = async (what, count, work) => {
    const before = sent(storePort);
    const from = performance.now();
    await work();
    await sleep(2000);
    const ticks = perSecond * ((performance.now() - from) / 1000);
    say(`store commands ${what}`, (Math.max(0, sent(storePort) - before - ticks) / count).toFixed(3));
  };
  say('store commands a replica and second', (perSecond / 2).toFixed(2));
  const sessions = [];
  await phase('to open a session', 500, () => many(500, async () => sessions.push(await open(origin))));
  await phase('a call', 5000, () => many(5000, () => call(origin, sessions[0], SMALL)));
  const end = (session) =>
    fetch(`${origin}/mcp`, { method: 'DELETE', headers: { 'Mcp-Session-Id': session } });
  await phase('to end a session', 500, () => many(500, () => end(sessions.pop())));
}

/** Records of sessions, written as replicas write them. */
async function records() {
  const { FleetKeys } = await import('../../build/fleet/keys.js');
  const { SessionIds } = await import('../../build/fleet/ids.js');
  const { makeReplicaId } = await import('../../build/protocol/elsewhere.js');
  const { SessionRecords } = await import('../../build/fleet/records.js');
  const { openStore } = await import('../../build/fleet/store.js');
  const { readStore } = await import('../../build/config/fleet.js');
  const fleet = await startFleet({ replicas: 0 });
  const log = { debug() {}, info() {}, warn: console.error, error: console.error };
  const store = openStore(readStore(fleet.storeUrl), { log, measured() {}, changed() {} });
  cleanups.push(() => store.close());
  await until(() => store.upSince !== undefined, 'the store');
  const self = makeReplicaId();
  const keys = new FleetKeys(randomBytes(32), []);
  const ids = new SessionIds(keys, self);
  const kept = {
    ...{ principal: 'anonymous', route: '/mcp', revision: '2025-11-25', clientInfo: 'claude-code 2.1.0' },
    capabilities: { elicitation: { form: {}, url: {} }, roots: { listChanged: true }, sampling: {} },
  };
  const written = new SessionRecords({ store, keys, prefix: 'mcpstead', ttlMs: 4_200_000, stranger() {} });
  const memory = () => Number(/used_memory:(\d+)/.exec(cli(fleet.storePort, 'info', 'memory'))?.[1]);
  const count = Number(values.sessions);
  const names = Array.from({ length: count }, () => ids.make());
  const put = async (id) => {
    await written.put(id, { generation: 1, owner: self, kept });
  };
  const before = memory();
  let index = 0;
  await many(count, () => put(names[index++]), 64);
  say(`memory of ${count} sessions in the store`, `${((memory() - before) / 1e6).toFixed(1)} MB`);
  const pid = fleet.store.pid;
  let least = Infinity;
  let most = 0;
  for (let round = 0; round < rounds; round++) {
    const cpu = cpuOf(pid);
    const from = performance.now();
    const renewals = Math.min(count, 20_000);
    let at = 0;
    await many(renewals, () => put(names[at++]), 64);
    least = Math.min(least, ((cpuOf(pid) - cpu) * 1000) / renewals);
    most = Math.max(most, renewals / ((performance.now() - from) / 1000));
  }
  // A million sessions in use, each renewed every 10 minutes.
  const wanted = 1e6 / 600;
  say(
    'writes of a million sessions in use',
    `${Math.round(wanted)} a second: ${((wanted * least) / 1e4).toFixed(1)}% of a core of the store (${us(least)} each; one writer reached ${Math.round(most)} a second)`,
  );
}

const cleanups = [];
async function cleanUp() {
  for (const end of cleanups.splice(0).reverse()) await end();
}

async function main() {
  const bench = await startBenchServer();
  const parts = { callCosts, adoption, commands, records };
  try {
    for (const [name, part] of Object.entries(parts)) {
      if (name.includes(values.only)) await part(bench.url);
      await cleanUp();
    }
  } finally {
    await cleanUp();
    bench.close();
    agent.destroy();
  }
  console.log(`\n| what | figure |\n| --- | --- |`);
  for (const [what, figure] of rows) console.log(`| ${what} | ${figure} |`);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Refusal ? `fleet:figures: ${error.message}` : error);
  process.exitCode = 1;
}
