// `npm run compat`: real servers and real clients, by name and version from their registries, each straight and through a
// gateway with the same script; what the client saw is compared. Writes docs/compatibility.md and fails if something
// differs without a reason of reasons.mjs, or could not be run.
//
//   npm run compat -- [--only NAME]... [--cache DIR] [--keep DIR] [--jobs N] | --from DIR
//     --only   one server or client, by a part of its name, or one pair, 'SERVER, TRANSPORT <- CLIENT'; writes no document
//     --cache  where the software is installed; default $XDG_CACHE_HOME/mcpstead-compat or ~/.cache/mcpstead-compat
//     --keep   gets the logs and all differences; with --only, what is there of other pairs stays
//     --jobs   servers at a time, by default as many as there are cores
//     --from   runs nothing: finds the reasons anew for what a whole run kept, and writes the document
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Driver, stopAll } from './driver.mjs';
import { ensure } from './install.mjs';
import { runPair } from './pair.mjs';
import { reasons } from './reasons.mjs';
import { writeReport } from './report.mjs';
import { connect } from './script.mjs';
import { clients, REFERENCE_CLIENTS, REFERENCE_SERVERS, servers } from './software.mjs';
import { freePort, Gateway, Server } from './stage.mjs';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    cache: { type: 'string' },
    keep: { type: 'string' },
    jobs: { type: 'string' },
    from: { type: 'string' },
  },
});
const cacheHome = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
const cache = resolve(options.cache ?? join(cacheHome, 'mcpstead-compat'));
const folder = options.keep ? resolve(options.keep) : mkdtempSync(join(tmpdir(), 'mcpstead-compat-'));
for (const path of [cache, folder]) mkdirSync(path, { recursive: true });
process.once('exit', stopAll);
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

const setups = servers.flatMap((server) => server.transports.map((transport) => ({ server, transport })));
const titleOf = ({ server, transport }) => `${server.name}, ${transport.name}`;
const columns = clients.flatMap((client) => client.eras.map((era) => ({ client, era })));
const columnOf = ({ client, era }) => (client.eras.length > 1 ? `${client.name}, ${era}` : client.name);
const names = (list, title) => list.some((part) => title.toLowerCase().includes(part.toLowerCase()));

/** Every server with the reference clients, every client with the reference servers; of those what --only names. */
function isWanted(setup, column) {
  const title = titleOf(setup);
  const usual = ['stdio', 'http'].includes(setup.transport.name);
  const own = REFERENCE_CLIENTS.slice(0, usual ? undefined : 1).includes(columnOf(column));
  if (!own && !REFERENCE_SERVERS.includes(title)) return false;
  return !options.only || names(options.only, `${title} <- ${columnOf(column)}`);
}

/** What could not be had: name -> why. */
const notRun = new Map();
async function installed(kind, entry) {
  try {
    return await ensure(cache, kind, entry);
  } catch (error) {
    if (!notRun.has(entry.name)) {
      notRun.set(entry.name, error.message.split('\n')[0]);
      console.error(`${entry.name} is not run: ${error.message}`);
    }
    return undefined;
  }
}

/** A client that is there and does nothing: whatever it is asked or told is not for it. */
async function startWitness(gateway, log) {
  const client = clients.find(({ name }) => name === 'TypeScript SDK 1.32');
  const path = await installed('client', client);
  const witness = new Driver(client.driver(path), log);
  await connect(witness, gateway.merged, 'legacy');
  return witness;
}

const FOREIGN = new Set(['question', 'progress', 'log', 'updated']);

async function runSetup(setup, wanted) {
  const { server: entry, transport } = setup;
  const title = titleOf(setup);
  const path = await installed('server', entry);
  if (path === undefined) return;
  const plan = { ...entry.plan, ...transport.plan };
  const logName = title.toLowerCase().replaceAll(/[^a-z0-9.]+/g, '-');
  const own = join(folder, logName);
  mkdirSync(own, { recursive: true });
  const logTo = (name) => createWriteStream(join(own, `${name}.log`));
  const [port, gatewayPort] = [await freePort(), await freePort()];
  const kind = transport.name === 'sse' ? 'sse' : 'http';
  const server = new Server(transport.start(path, port), { kind, port, log: logTo('server') });
  const session = plan.session ?? 'per-client';
  const gateway = new Gateway(server, { folder: own, port: gatewayPort, session, log: logTo('gateway') });
  let witness;
  try {
    await server.start();
    await gateway.start();
    witness = await startWitness(gateway, logTo('witness'));
    for (const column of wanted) {
      const clientPath = await installed('client', column.client);
      if (clientPath === undefined) continue;
      const log = logTo(
        columnOf(column)
          .toLowerCase()
          .replaceAll(/[^a-z0-9.]+/g, '-'),
      );
      const began = Date.now();
      const newDriver = () => new Driver(column.client.driver(clientPath), log);
      const throughStdio = transport.name === 'stdio' && column.client.name === 'Python mcp 2.3';
      const before = witness.events.length;
      const result = await runPair({ server, gateway, plan }, newDriver, column.era, { stdio: throughStdio });
      const foreign = witness.events.slice(before).filter(({ event }) => FOREIGN.has(event));
      const pair = {
        server: entry.name,
        transport: transport.name,
        client: column.client.name,
        era: column.era,
      };
      for (const event of foreign)
        result.differences?.push({
          way: 'own',
          step: 'another client',
          path: '',
          straight: undefined,
          through: event,
        });
      const judgedResult = { title, column: columnOf(column), pair, ...judged(result, pair) };
      results.push(judgedResult);
      tell(judgedResult, Date.now() - began);
    }
  } catch (error) {
    notRun.set(title, error.message);
    console.error(`${title}: ${error.stack}`);
  } finally {
    await witness?.stop();
    await gateway.stop();
    await server.stop();
    keep();
  }
}

/** Finds the reason of every difference; one without is open. */
function judged(result, pair) {
  const used = new Set();
  const onItsOwn = new Set();
  const open = [];
  for (const difference of result.differences ?? []) {
    const reason = reasons.find(({ fits }) => fits(difference, pair, result.differences));
    if (reason === undefined) open.push(difference);
    else if (reason.verdict !== 'same') {
      used.add(reason);
      if (difference.way === 'own') onItsOwn.add(reason);
    }
  }
  return { ...result, reasons: [...used], onItsOwn: [...onItsOwn], open };
}

function tell({ title, column, open, reasons: used, unsupported, failed }, ms) {
  const how =
    unsupported ?? (open.length > 0 ? `${open.length} OPEN` : used.map(({ id }) => id).join(', ') || 'same');
  console.log(`${title} <- ${column}: ${failed ? `straight fails (${failed}); ` : ''}${how} (${ms} ms)`);
  const cut = (value) => (JSON.stringify(value) ?? 'nothing').slice(0, options.only ? 600 : 200);
  for (const { way, step, path, straight, through } of open)
    console.log(
      `    ${way}: ${step} ${path}\n      straight: ${cut(straight)}\n      through:  ${cut(through)}`,
    );
}

const work = setups
  .map((setup) => ({ setup, wanted: columns.filter((column) => isWanted(setup, column)) }))
  .filter(({ wanted }) => wanted.length > 0);
if (work.length === 0) {
  console.error(`no server and no client is called ${options.only?.join(' or ')}`);
  process.exit(2);
}
// The longest first, so that none runs alone in the end.
work.sort((a, b) => b.wanted.length - a.wanted.length);
const results = [];
const keptFile = (path) => join(path, 'results.json');
const pairOf = ({ title, column }) => `${title}\n${column}`;
const older =
  options.keep && options.only && existsSync(keptFile(folder))
    ? readKept(folder)
    : { results: [], notRun: [] };
function readKept(path) {
  return JSON.parse(readFileSync(keptFile(path), 'utf8'));
}
/** What does not depend on the reasons; they may be found anew with --from. */
function keep() {
  const now = new Map([...older.results, ...results].map((result) => [pairOf(result), result]));
  const kept = [...now.values()].map(({ reasons: _, onItsOwn: _own, open: _open, ...rest }) => rest);
  const had = new Set(kept.map(({ title }) => title));
  const without = [...older.notRun, ...notRun].filter(([name]) => !had.has(name));
  writeFileSync(keptFile(folder), JSON.stringify({ notRun: without, results: kept }));
}
if (options.from) {
  const kept = readKept(resolve(options.from));
  for (const [name, why] of kept.notRun) notRun.set(name, why);
  results.push(...kept.results.map((result) => ({ ...result, ...judged(result, result.pair) })));
  for (const result of results) tell(result, 0);
} else {
  const jobs = Number(options.jobs ?? availableParallelism());
  const queue = [...work];
  const runNext = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await runSetup(next.setup, next.wanted);
  };
  await Promise.all(Array.from({ length: jobs }, runNext));
  keep();
}

const ran = results.filter(({ unsupported }) => unsupported === undefined);
const open = ran.filter((one) => one.open.length > 0);
const count = (verdict) => ran.filter((one) => one.open.length === 0 && verdictOf(one) === verdict).length;
function verdictOf({ reasons: used }) {
  if (used.length === 0) return 'same';
  return used.every(({ verdict }) => verdict === 'better') ? 'better' : 'differs';
}
console.log(
  `${ran.length} pairs: ${count('same')} same, ${count('better')} better, ${count('differs')} differ with a reason, ` +
    `${open.length} without`,
);
for (const [name, why] of notRun) console.log(`not run: ${name}: ${why}`);
if (!options.only)
  await writeReport({
    columns: columns.map(columnOf),
    results,
    notRun,
    servers,
    clients,
  });
if (options.keep) console.log(`logs and all differences are in ${folder}`);
else rmSync(folder, { recursive: true, force: true });
process.exit(open.length > 0 || notRun.size > 0 ? 1 : 0);
