// A client on the Python SDK of a fleet of three replicas, in both eras. Each of its requests goes to the next replica; meanwhile
// connections are cut, replicas are restarted one after another, and the one that has the session is killed.
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { Fleet } from '../fleet/fleet.mjs';
import { statusOf, until } from '../fleet/processes.mjs';
import { runSteps } from './processes.mjs';
import { at, LEGACY, MODERN } from './suites.mjs';

const CLIENT = at('test/fixtures/clients/fleet.py');
const SERVER = at('test/fixtures/servers/stdio-upstream.mjs');
/** How long a client may take. */
const LIMIT_MS = 120_000;
/** What the client prints for each step: its name in the report. */
const STEPS = new Map([
  ['lists', 'lists tools'],
  ['calls', 'calls tools'],
  ['progress', 'is told of progress, in order'],
  ['question', 'is asked once, and its answer arrives'],
  ['cancel', 'cancels a call'],
  ['stream', 'hears of changes on its server stream'],
  ['resumed', 'resumes the stream of a call, without a lost or doubled event'],
  ['restarts', 'calls while all replicas are restarted, one after another'],
  ['killed', 'is told that a call is gone with its replica, and goes on'],
]);
const server = (name) => ({
  ...{ name, command: process.execPath, args: [SERVER, '{}'] },
  placement: 'each',
});

/** {revision: step -> what is wrong}. */
export async function runFleet(folder, { python }) {
  const fleet = await new Fleet().start({
    balancer: null,
    // A server over stdio asks only a sole caller: each client has one for questions alone.
    config: { servers: ['s', 'legacy', 'modern'].map(server), http: { drain_delay_seconds: 1 } },
  });
  const balancer = await startRoundRobin(fleet);
  try {
    const found = {};
    for (const [revision, mode, asking] of [
      [LEGACY, 'legacy', 'legacy'],
      [MODERN, MODERN, 'modern'],
    ]) {
      const log = join(folder, `fleet-${asking}.log`);
      const does = {
        cut: () => balancer.cut(),
        restart: () => restartAll(fleet),
        kill: () => killOwner(fleet),
      };
      found[revision] = await runSteps(
        [python, CLIENT, balancer.url, mode, asking],
        { steps: STEPS, does, limitMs: LIMIT_MS },
        log,
      );
    }
    return found;
  } finally {
    balancer.close();
    await fleet.stop();
  }
}

/** Ends the replicas in good order, one after another; each is started again. */
async function restartAll(fleet) {
  for (const replica of fleet.replicas) {
    const { starts } = replica;
    replica.process.kill('SIGTERM');
    await until(() => replica.starts > starts, `the restart of ${replica.name}`);
    await fleet.ready(replica);
    await together(fleet);
  }
}

/** Kills the replica that has the only session. */
async function killOwner(fleet) {
  for (const replica of fleet.replicas) {
    const metrics = await (await fetch(`${replica.origin}/metrics`)).text();
    const [, count] = /^mcpstead_downstream_sessions_active(?:\{.*\})? (\d+)/m.exec(metrics) ?? [];
    if (Number(count) > 0) return void replica.process.kill('SIGKILL');
  }
  throw new Error('no replica has a session');
}

/** Each replica sees all. */
async function together(fleet) {
  await until(async () => {
    const states = await Promise.all(
      fleet.replicas.map(async ({ origin }) => (await (await fetch(`${origin}/health`)).json()).fleet),
    );
    return states.every(({ replicas }) => replicas === fleet.replicas.length);
  }, 'the replicas to see each other');
}

/**
 * A proxy that sends each request to the next replica, whatever its session. As balancers do, it leaves out those that answer `/ready` with
 * anything but 200, and tries another one where a connection is refused. {url, cut, close}.
 */
async function startRoundRobin({ replicas }) {
  const sockets = new Set();
  let turn = 0;
  let open = replicas;
  const look = async () => {
    const states = await Promise.all(replicas.map(({ origin }) => statusOf(`${origin}/ready`)));
    const ready = replicas.filter((_, index) => states[index] === 200);
    if (ready.length > 0) open = ready;
  };
  const looking = setInterval(() => void look(), 250);
  const pass = (req, res, body, tries) => {
    const { port } = open[turn++ % open.length];
    const { method, headers, url: path } = req;
    const passed = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (answer) => {
      res.writeHead(answer.statusCode, answer.rawHeaders);
      // A stream may begin with nothing.
      res.flushHeaders();
      answer.pipe(res);
      answer.once('error', () => res.destroy());
    });
    passed.on('error', (error) => {
      if (error.code === 'ECONNREFUSED' && tries > 0) pass(req, res, body, tries - 1);
      else res.destroy();
    });
    res.once('close', () => passed.destroy());
    passed.end(body);
  };
  const proxy = createServer(async (req, res) => {
    const pieces = [];
    try {
      for await (const piece of req) pieces.push(piece);
    } catch {
      return;
    }
    pass(req, res, Buffer.concat(pieces), replicas.length * 2);
  });
  proxy.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${proxy.address().port}/mcp`,
    cut,
    close() {
      clearInterval(looking);
      proxy.close();
      cut();
    },
  };
}
