// The memory that many sessions, and many waiting calls, occupy after garbage collection.
import { Agent, request } from 'node:http';
import { modernCall } from './cases.mjs';
import { BOTH, bytesOf, headersOf, open, session, textOf, times } from './client.mjs';
import { sessionsOf, warmUp } from './memory.mjs';
import { mostFiles } from './processes.mjs';
import { median, minimum, progress, say, table, verdictOf } from './report.mjs';
import { http, ours, run, settling } from './targets.mjs';

const settings = { limits: { sessions: 20_000, parked: 10_000, in_flight: 10_000 } };
const BYTES = 1024 * 1024;

/** Sends and keeps the socket open; `done` when the headers of an answer came, or once it is written. */
function hold(url, { method, body, headers, accept }, until) {
  return new Promise((resolve, reject) => {
    const req = request(url, { method, agent: false, headers: headersOf({ accept, headers }) });
    // Nobody listens to the promise any more when all is over.
    req.on('error', reject);
    req.on('response', (answer) => {
      req.status = answer.statusCode;
      answer.resume();
      resolve(req);
    });
    req.end(body, () => until === 'sent' && resolve(req));
  });
}

/** The growth in MB after `act`, which gives what to destroy in the end: requests, or an agent. */
async function growth(target, options, act) {
  const gateway = await run(target, http(`${options.upstream}/mcp`, settings));
  let held;
  try {
    await warmUp(gateway);
    const before = await gateway.settled();
    held = await act(gateway);
    const grown = (await gateway.settled()) - before;
    const refused = [held ?? []].flat().find(({ status = 200 }) => status !== 200);
    if (refused) throw new Error(`one was answered ${refused.status}`);
    return grown;
  } finally {
    for (const one of [held ?? []].flat()) one.destroy();
    await gateway.stop();
  }
}

const measured = ours.map((target) => (target.name === 'mcpstead' ? settling : target));

async function idle(gateway, count, withStream) {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const held = [];
  await times(count, async () => {
    const headers = await session(gateway.url, agent);
    const stream = { method: 'GET', headers, accept: 'text/event-stream' };
    if (withStream) held.push(await hold(gateway.url, stream));
  });
  agent.destroy();
  const active = await sessionsOf(gateway);
  if (active < count) throw new Error(`only ${active} sessions are open`);
  return held;
}

async function sessions(options) {
  const wanted = options.quick ? 1000 : 10_000;
  const count = Math.min(wanted, mostFiles() - 1000);
  const rows = [];
  for (const [what, withStream, limit] of [
    ['without a stream', false, 40],
    ['with a GET stream each', true],
  ]) {
    const row = [what];
    let own;
    for (const target of measured) {
      const grown = await growth(target, options, (gateway) => idle(gateway, count, withStream)).catch(
        (error) => progress(target.name, error.message),
      );
      if (target.name === 'mcpstead') own = grown;
      row.push(grown === undefined ? 'fails' : `${grown.toFixed(1)}`);
    }
    const verdict =
      limit && own !== undefined && count === 10_000 ? `<= ${limit}: ${own <= limit ? 'yes' : 'NO'}` : '';
    rows.push([...row, own === undefined ? '' : ((own * BYTES) / count / 1024).toFixed(1), verdict]);
    progress(...rows.at(-1));
  }
  say(`## Growth by ${count.toLocaleString('en')} idle sessions, in MB`);
  say();
  table(['sessions', ...measured.map(({ name }) => name), 'mcpstead, KB each', 'limit'], rows);
}

export const idleSessions = { title: 'idle sessions', run: sessions };

/** Calls that never get an answer: a client that waits, and a socket towards the upstream. */
async function hanging(gateway, count) {
  const held = [];
  const { body, headers } = modernCall('bench__hang');
  await times(count, async () => {
    held.push(await hold(gateway.url, { method: 'POST', body, headers, accept: BOTH }, 'sent'));
  });
  return held;
}

/** Idle clients that keep their socket after an answer that needed no upstream. */
async function connected(gateway, count) {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: count });
  const health = `${gateway.base}/health`;
  const one = async () => bytesOf(await open(health, undefined, { method: 'GET', agent }));
  await Promise.all(Array.from({ length: count }, one));
  return agent;
}

/** Calls whose server asks the client something: the client has the question, the server waits. */
async function parked(gateway, count) {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  await times(count, async () => {
    const call = modernCall('bench__ask');
    const text = await textOf(await open(gateway.url, call.body, { ...call, agent }));
    if (!text.includes('input_required')) throw new Error(`not parked: ${text.slice(0, 300)}`);
  });
  agent.destroy();
}

const PARKED_LIMIT_KB = 8;

async function parkedTable(options) {
  const count = options.quick ? 500 : 2000;
  const each = { connected: [], hanging: [], parked: [] };
  for (let round = 0; round < (options.quick ? 1 : 3); round++)
    for (const [name, act] of Object.entries({ connected, hanging, parked }))
      each[name].push(
        ((await growth(settling, options, (gateway) => act(gateway, count))) * BYTES) / count / 1024,
      );
  // A call that hangs holds two sockets; what a client's takes is known from those that do nothing.
  const upstream = each.hanging.map((value, round) => value - each.connected[round]);
  const beside = each.parked.map((value, round) => value - upstream[round]);
  const rows = [
    ['a connection of a client', each.connected],
    ['a call that hangs: both connections', each.hanging],
    ['a parked call: the connection to its server', each.parked],
    ['a parked call, less one that hangs', each.parked.map((value, round) => value - each.hanging[round])],
    ['a parked call, less the connection to its server', beside, PARKED_LIMIT_KB],
  ].map(([name, list, limit]) => [
    name,
    `${median(list).toFixed(1)} (${minimum(list).toFixed(1)})`,
    verdictOf(list, limit) ?? '',
  ]);
  for (const row of rows) progress(...row);
  say(`## Memory of one waiting call, in KB: growth by ${count.toLocaleString('en')} of them`);
  say();
  table(['of', 'mcpstead', 'limit'], rows);
}

export const parkedCalls = { title: 'parked calls', run: parkedTable };
