// `npm run fleet:traffic`: SDK clients that call tools while replicas restart, and while one is killed. Exit status 0: no call failed that should
// not. Uses the fleet of `npm run fleet` if that runs, otherwise one of its own. Options: --clients 200, --balancer haproxy|nginx, --verbose.
import { parseArgs } from 'node:util';
import { TrafficClient } from './client.mjs';
import { Fleet } from './fleet.mjs';
import { sleep, statusOf, until } from './processes.mjs';
import { Refusal } from './programs.mjs';
import { readState } from './state-file.mjs';

const usage =
  'usage: npm run fleet:traffic -- [--clients 1 to 2000] [--balancer haproxy|nginx] [--only rolling|kill] [--verbose]';
/** Traffic before and after each phase. */
const CALM_MS = 5000;
/** After a replica was killed, all sessions answer within this time. */
const LIVE_MS = 6000;
/** Clients that connect at a time. */
const AT_ONCE = 20;

function options() {
  try {
    const { values } = parseArgs({
      options: {
        clients: { type: 'string', default: '200' },
        balancer: { type: 'string', default: 'haproxy' },
        only: { type: 'string' },
        verbose: { type: 'boolean', default: false },
      },
    });
    const clients = Number(values.clients);
    if (!Number.isInteger(clients) || clients < 1 || clients > 2000) throw new Error();
    if (!['haproxy', 'nginx'].includes(values.balancer)) throw new Error();
    if (![undefined, 'rolling', 'kill'].includes(values.only)) throw new Error();
    return { ...values, clients };
  } catch {
    throw new Refusal(usage);
  }
}

/** The fleet of `npm run fleet`, or one of this command. */
async function fleetOf(balancer) {
  const state = readState();
  if (state) {
    if (state.replicas.length < 2) throw new Refusal('the fleet that runs has one replica: it needs two');
    const pidOf = (name) => readState()?.replicas.find((replica) => replica.name === name)?.pid;
    return { url: state.url, replicas: state.replicas, pidOf, stop: async () => {} };
  }
  console.log('starting a fleet (npm run fleet is not running) ...');
  const fleet = new Fleet();
  try {
    await fleet.start({ balancer });
  } catch (error) {
    await fleet.stop();
    throw error;
  }
  const { url, replicas } = fleet;
  const pidOf = (name) => replicas.find((replica) => replica.name === name)?.pid;
  return { url, replicas, pidOf, stop: () => fleet.stop() };
}

/** Sends a signal to a replica, and waits until it has been started again and is ready. */
async function restarted({ pidOf }, { name, origin }, signal) {
  const before = pidOf(name);
  process.kill(before, signal);
  await until(() => pidOf(name) !== before, `${name}, started again`);
  await until(async () => (await statusOf(`${origin}/ready`)) === 200, `${name}, ready again`);
}

class Traffic {
  calls = [];
  clients = [];

  async connect(count, url) {
    const said = (call) => this.calls.push(call);
    // Nine of ten are of the first generation of the SDK, and half of the others have no session.
    for (let i = 0; i < count; i++) {
      const kind = i % 20 === 18 ? 'v2' : i % 20 === 19 ? 'modern' : 'v1';
      this.clients.push(new TrafficClient(kind, url, said));
    }
    const waiting = [...this.clients];
    const worker = async () => {
      for (let client = waiting.pop(); client; client = waiting.pop()) await client.connect();
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    await until(() => this.streaming === this.expected, 'the server streams of all clients');
    for (const client of this.clients) void client.run();
  }

  get withSession() {
    return this.clients.filter(({ hasSession }) => hasSession);
  }

  get expected() {
    return this.withSession.length;
  }

  get streaming() {
    return this.withSession.filter(({ isStreaming }) => isStreaming).length;
  }

  /** What was over since then, with what a phase is judged by. */
  async judge(phase, since, mayFail) {
    // Streams come back within the pauses of the SDKs.
    const back = await until(() => this.streaming === this.expected, 'streams', 15_000).catch(() => false);
    const dead = [];
    await Promise.all(
      this.withSession.map(async (client) => {
        const { error } = await client.call({ name: 'http__echo', args: { message: 'still there?' } });
        if (error) dead.push(error);
      }),
    );
    const calls = this.calls.filter(({ ended }) => ended >= since);
    const failed = calls.filter(({ error }) => error);
    const wrong = failed.filter((call) => !mayFail(call));
    const waits = calls
      .filter(({ name, error }) => !error && name.endsWith('echo'))
      .map(({ began, ended }) => ended - began)
      .sort((a, b) => a - b);
    return {
      ...{ phase, calls: calls.length, failed: failed.length, wrong, failures: failed },
      lost: dead.length,
      streams: `${this.streaming} of ${this.expected}`,
      longest: Math.round(waits.at(-1) ?? 0),
      p99: Math.round(waits[Math.floor(waits.length * 0.99)] ?? 0),
      passed: wrong.length === 0 && dead.length === 0 && back !== false,
    };
  }
}

async function rolling(fleet, traffic) {
  const since = performance.now();
  await sleep(CALM_MS);
  for (const replica of fleet.replicas) {
    console.log(`restarting ${replica.name} ...`);
    await restarted(fleet, replica, 'SIGTERM');
  }
  await sleep(CALM_MS);
  return await traffic.judge('rolling restart', since, () => false);
}

async function killed(fleet, traffic) {
  const since = performance.now();
  await sleep(CALM_MS);
  const victim = fleet.replicas[0];
  const inFlight = new Set(traffic.clients.flatMap(({ open }) => [...open]));
  console.log(`killing ${victim.name} ...`);
  const at = performance.now();
  const again = restarted(fleet, victim, 'SIGKILL');
  // Every session is asked at once, besides what its client does.
  const answered = traffic.withSession.map(async (client) => {
    const { error, ended } = await client.call({ name: 'http__echo', args: { message: 'and now?' } });
    return error ? Infinity : ended - at;
  });
  const slowest = Math.max(...(await Promise.all(answered)));
  await again;
  await sleep(CALM_MS);
  // Those that were being served when it was killed, or were on their way.
  const mayFail = (call) => inFlight.has(call) || call.began - at < 50;
  const result = await traffic.judge('one killed', since, mayFail);
  return { ...result, slowest, passed: result.passed && slowest <= LIVE_MS };
}

function show(results, isVerbose) {
  const rows = results.map((result) => ({
    phase: result.phase,
    calls: result.calls,
    'failed calls': result.failed,
    'of them wrongly': result.wrong.length,
    'lost sessions': result.lost,
    'streams back': result.streams,
    'p99, ms': result.p99,
    'longest wait, ms': result.longest,
    'all live after, ms': result.slowest === undefined ? '' : Math.round(result.slowest),
    passed: result.passed ? 'yes' : 'NO',
  }));
  console.table(Object.fromEntries(rows.map(({ phase, ...row }) => [phase, row])));
  for (const { phase, wrong, failures } of results) {
    const shown = isVerbose ? failures : wrong;
    for (const { client, name, began, ended, error } of shown.slice(0, 40))
      console.log(`${phase}: ${client.kind} ${name}, ${Math.round(ended - began)} ms: ${error.message}`);
  }
}

async function main() {
  const { clients, balancer, only, verbose } = options();
  const fleet = await fleetOf(balancer);
  const traffic = new Traffic();
  const results = [];
  try {
    console.log(`${clients} clients at ${fleet.url} ...`);
    await traffic.connect(clients, fleet.url);
    if (only !== 'kill') results.push(await rolling(fleet, traffic));
    if (only !== 'rolling') results.push(await killed(fleet, traffic));
  } finally {
    for (const client of traffic.clients) client.stop();
    await Promise.all(traffic.clients.map((client) => client.close()));
    await fleet.stop();
  }
  show(results, verbose);
  if (!results.every(({ passed }) => passed)) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Refusal ? `fleet:traffic: ${error.message}` : error);
  process.exitCode = 1;
}
