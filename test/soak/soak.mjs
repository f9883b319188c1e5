// `npm run soak -- --minutes 10 --seed 1 [--fleet] [--clients 200]`: real servers and clients, one gateway or a fleet, and faults by the seed.
// Whatever breaks, no answer may be wrong, no call may fail without a fault that explains it, and in the end nothing may be left. Prints a
// table; exits with 1 at the first broken invariant, and writes what is needed to look into it and to run it again.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { sleep, until } from '../../scripts/fleet/processes.mjs';
import { SoakClient } from './client.mjs';
import { plan, runPlan } from './faults.mjs';
import { Broken, Ledger } from './ledger.mjs';
import { Load, LOAD_METRICS } from './load.mjs';
import { PythonClients } from './python.mjs';
import { Random } from './random.mjs';
import { report } from './report.mjs';
import { IDLE_S, KEYS } from './settings.mjs';
import { World } from './world.mjs';

const USAGE =
  'usage: npm run soak -- [--minutes 10] [--seed TEXT] [--clients 200] [--fleet] [--keep FOLDER] [--report FILE]';
/** After the last fault everything is up again within this time. */
const UP_MS = 60_000;
/** How long what clients have left behind may take to end. */
const QUIET_MS = (IDLE_S + 40) * 1000;
/** Between two things that a client does, on average, times the number of clients: what this machine bears. */
const PAUSE_MS = 12;
const WARM_MS = 20_000;
/** How long idle connections may stay open. */
const SETTLE_MS = 90_000;
const LOOK_MS = 2000;
const AT_ONCE = 20;

function options() {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: 'string', default: '10' },
        seed: { type: 'string', default: String(Date.now() % 1_000_000) },
        clients: { type: 'string', default: '200' },
        fleet: { type: 'boolean', default: false },
        keep: { type: 'string' },
        report: { type: 'string' },
      },
    });
    const [minutes, clients] = [Number(values.minutes), Number(values.clients)];
    if (!(minutes > 0) || !Number.isInteger(clients) || clients < 10 || clients > 2000)
      throw new Error(USAGE);
    return { ...values, minutes, clients };
  } catch (error) {
    console.error(error.message === USAGE ? USAGE : `${error.message}\n${USAGE}`);
    process.exit(2);
  }
}

const asked = options();
const started = performance.now();
const seconds = () => ((performance.now() - started) / 1000).toFixed(1).padStart(7);
const timeline = [];
function log(line) {
  const text = `${seconds()} s  ${line}`;
  timeline.push(text);
  console.log(text);
}

/** Aborted when an invariant is broken, or when somebody ends the run. */
const stopped = new AbortController();
let broken;
const ledger = new Ledger((error) => {
  if (broken) return;
  broken = error;
  log(`BROKEN ${error.message}`);
  stopped.abort();
});

class Clients {
  all = [];

  constructor(world, random, round) {
    const each = (count, make) => Array.from({ length: count }, (_, at) => make(at));
    const python = Math.round(asked.clients * 0.15);
    const kindOf = (at) => ['v1', 'v1', 'v2', 'modern'][at % 4];
    this.all = each(asked.clients - python, (at) => {
      const name = `${kindOf(at)}${round}n${at}`;
      return new SoakClient({
        ...{ name, kind: kindOf(at), world, user: at % KEYS },
        ...{ random: random.fork(name), ledger, pauseMs: PAUSE_MS * asked.clients },
      });
    });
    this.python = new PythonClients({
      ...{ world, ledger, count: python, round, seed: random.fork('python').next() },
      pauseMs: PAUSE_MS * asked.clients,
    });
  }

  async connect() {
    await inTurns(this.all, (client) => client.connect());
    await this.python.start();
  }

  run() {
    this.working = this.all.map((client) => client.run());
    this.python.run();
  }

  /** Ends what they do, so that each has its answer. */
  async rest() {
    for (const client of this.all) client.stop();
    await this.python.rest();
    await Promise.all(this.working ?? []);
  }

  async close() {
    await inTurns(this.all, (client) => client.close());
    await this.python.close();
  }
}

async function inTurns(list, work) {
  const waiting = [...list];
  const worker = async () => {
    for (let each = waiting.shift(); each && !stopped.signal.aborted; each = waiting.shift())
      await work(each);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

const ERRORS = 'mcpstead_internal_errors_total';

/** What must hold all the time. Resolves with the load, once it is over. */
async function watch(world) {
  const load = new Load();
  while (!stopped.signal.aborted && !watch.isOver) {
    await sleep(LOOK_MS);
    for (const gateway of world.gateways) {
      try {
        const metrics = await world.metrics([ERRORS, ...LOAD_METRICS], gateway);
        if (metrics[ERRORS] > 0)
          ledger.broken(
            new Broken('a gateway has no internal error', `${gateway.name} counts ${metrics[ERRORS]}`),
          );
        load.saw(gateway.name, metrics);
      } catch {
        // A replica that is stopped or starts again.
      }
    }
    if (!world.isFleet && world.gateway.isOver)
      ledger.broken(new Broken('the gateway runs', `it has ended: ${world.gateway.output.slice(-2000)}`));
  }
  return load;
}

/** Resolves once nothing is left of clients that are gone. Times out with what is left. */
async function quiet(world) {
  const names = [
    'mcpstead_downstream_sessions_active',
    'mcpstead_requests_in_flight',
    'mcpstead_parked_calls',
  ];
  let left = [];
  const isQuiet = async () => {
    left = [];
    for (const gateway of world.gateways)
      for (const name of names) {
        const count = await world.metric(name, gateway).catch(() => NaN);
        if (count !== 0) left.push(`${gateway.name} ${name} ${count}`);
      }
    return left.length === 0;
  };
  await until(isQuiet, 'the end of what clients have left', QUIET_MS).catch(() => {
    throw new Broken('nothing is left of clients that are gone', left.join(', '));
  });
}

async function heldBy(world) {
  const rows = {};
  for (const gateway of world.gateways) rows[gateway.name] = await world.held(gateway);
  return rows;
}

const ROOM = {
  'heap, MB': [1.3, 15],
  descriptors: [1, 12],
  children: [1, 0],
  timers: [1.2, 10],
  sockets: [1, 12],
  sessions: [1, 0],
};

/** What a gateway holds in the end is what it held before, within the room that caches may take. */
function compare(before, after) {
  const grown = [];
  for (const [name, row] of Object.entries(after))
    for (const [what, count] of Object.entries(row)) {
      const [times, more] = ROOM[what];
      const was = before[name]?.[what] ?? 0;
      if (count > was * times + more)
        grown.push(`${name}: ${was.toFixed(0)} ${what} before, ${count.toFixed(0)} after`);
    }
  return grown;
}

/** Connections that nobody uses close a little later. */
async function settled(world, before) {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const after = await heldBy(world);
    const grown = compare(before, after);
    if (grown.length === 0) return after;
    if (performance.now() > deadline)
      throw new Broken('what a gateway holds returns to where it was', grown.join('; '));
    await sleep(5000);
  }
}

async function soak(world) {
  const random = new Random(asked.seed);
  await world.start();
  ledger.begin('hostile server', ['hostile']);
  log(`${asked.fleet ? 'fleet' : 'gateway'} at ${world.url}, ${asked.clients} clients`);
  const warm = new Clients(world, random, 0);
  await warm.connect();
  log('all clients are connected');
  warm.run();
  await sleep(WARM_MS, undefined, { signal: stopped.signal }).catch(() => {});
  await warm.rest();
  await warm.close();
  ledger.forgetClients();
  if (broken) return {};
  await quiet(world);
  await sleep(SETTLE_MS / 6);
  const before = await heldBy(world);
  log('everything is warm: faults begin');

  const clients = new Clients(world, random, 1);
  await clients.connect();
  clients.run();
  const watched = watch(world);
  const list = plan(random.fork('faults'), asked.minutes * 60_000, asked.fleet);
  const ran = performance.now();
  await runPlan(list, { world, ledger, log, signal: stopped.signal });
  const last = performance.now();
  const ms = last - ran;
  if (!broken) {
    log('the last fault is over');
    await until(() => world.isWell(), 'servers', UP_MS).catch(async () => {
      throw new Broken('all is up within a minute of the last fault', (await world.illness()).join('; '));
    });
  }
  const upMs = performance.now() - last;
  await clients.rest();
  const result = { before, list, ms, upMs };
  if (!broken) {
    for (const fault of ledger.faults) fault.graceMs = 0;
    // Nothing excuses these.
    await inTurns(clients.all, (client) => client.round());
    if (!broken) log('every client had its answer from every server');
  }
  await clients.close();
  watch.isOver = true;
  result.load = await watched;
  if (broken) return result;
  await quiet(world);
  result.after = await settled(world, before);
  try {
    world.verifyAudit();
  } catch (error) {
    throw new Broken('the audit chain is whole', String(error.stdout || error.stderr || error));
  }
  return result;
}

/** Writes down what is needed to look into a broken run, and to run it again. */
function keep(world, folder) {
  mkdirSync(folder, { recursive: true });
  const { faults, recent } = ledger;
  const again = `npm run soak -- --minutes ${asked.minutes} --seed ${asked.seed} --clients ${asked.clients}${asked.fleet ? ' --fleet' : ''}`;
  const { invariant, message, details } = broken;
  writeFileSync(join(folder, 'broken.json'), JSON.stringify({ again, invariant, message, details }, null, 2));
  writeFileSync(join(folder, 'timeline.txt'), `${timeline.join('\n')}\n`);
  writeFileSync(join(folder, 'faults.json'), JSON.stringify(faults, null, 2));
  writeFileSync(join(folder, 'calls.json'), JSON.stringify(recent, null, 1));
  for (const { name, replica } of world.gateways ?? [])
    writeFileSync(join(folder, `${name}.log`), (replica?.process ?? world.gateway).output);
  for (const [name, { process: each }] of world.programs)
    writeFileSync(join(folder, `server-${name}.log`), each.output);
  if (world.fleet?.balancer) writeFileSync(join(folder, 'balancer.log'), world.fleet.balancer.output);
  for (const [name, line] of world.lines)
    if (line)
      writeFileSync(join(folder, `line-${name}.txt`), `${[...line.refusals, ...line.pieces].join('\n')}\n`);
  cpSync(world.folder, join(folder, 'world'), {
    recursive: true,
    filter: (path) => !/\/(go-server|gateway)$/.test(path),
  });
  log(`what is needed to look into it is in ${folder}; again: ${again}`);
}

const folder = mkdtempSync(join(tmpdir(), 'mcpstead-soak-'));
const world = new World({ folder, isFleet: asked.fleet });
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () =>
    ledger.broken(new Broken('the run ends by itself', `it was ended by ${signal}`)),
  );
let result = {};
try {
  result = await soak(world);
} catch (error) {
  ledger.broken(error instanceof Broken ? error : new Broken('the soak works', error.stack, {}));
}
if (broken) keep(world, resolve(asked.keep ?? `soak-${asked.seed}`));
await world.stop();
rmSync(folder, { recursive: true, force: true });
report({ asked, ledger, broken, ...result });
process.exit(broken ? 1 : 0);
