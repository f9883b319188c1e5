// What goes wrong, when and for how long: a plan that the seed makes, and how each fault begins and ends.
import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { statusOf, until } from '../../scripts/fleet/processes.mjs';
import { Broken } from './ledger.mjs';
import { KEYS } from './settings.mjs';

/** How long a server may take to be back after its fault. */
const BACK_MS = 8000;
/** How long a fleet may take until all know that a replica is gone, or back. */
const SURE_MS = 10_000;
/** How long until a call has a token asked for again after many failures, and twice as much for a busy machine. */
const RENEWED_MS = 60_000;
/** How long replicas may take to write again what a store has missed or lost. */
const WRITTEN_MS = 8000;
const PROGRAMS = ['web', 'events', 'python', 'go', 'guarded'];
const LINES = ['web', 'events', 'python', 'go'];
const CHILDREN = ['child', 'files', 'memory', 'odd', 'later'];

const of = (name) => [name];

/**
 * Kinds: `targets`, how often (`weight`), how long in seconds (`lasts`), whose calls it excuses (`servers`; none: it may fail nothing), and what
 * it does: `begin` resolves with how it ends.
 */
const KINDS = {
  'server killed': {
    ...{ targets: PROGRAMS, weight: 6, lasts: [0.2, 5], servers: of, graceMs: BACK_MS },
    async begin(world, name) {
      const program = world.programs.get(name);
      await program.kill();
      return () => program.start();
    },
  },
  'server stopped': {
    ...{ targets: PROGRAMS, weight: 4, lasts: [0.5, 6], servers: of, graceMs: BACK_MS },
    begin(world, name) {
      const { process: each } = world.programs.get(name);
      each.kill('SIGSTOP');
      return () => each.kill('SIGCONT');
    },
  },
  'child killed': {
    ...{ targets: CHILDREN, weight: 5, lasts: [0, 0], servers: of, graceMs: BACK_MS },
    begin: (world, name) => signal(world, name, 'SIGKILL'),
  },
  'child stopped': {
    ...{ targets: CHILDREN, weight: 3, lasts: [0.5, 5], servers: of, graceMs: BACK_MS },
    begin(world, name) {
      signal(world, name, 'SIGSTOP');
      return () => signal(world, name, 'SIGCONT');
    },
  },
  'server answers 503': { weight: 4, ...line('refuses', of) },
  'server breaks off': { weight: 4, ...line('cuts', of) },
  'server stands still': { weight: 3, ...line('still', of) },
  'server is slow': { weight: 3, ...line('slow', () => []) },
  'connections cut': {
    ...{ targets: LINES, weight: 4, lasts: [0, 0], servers: of, graceMs: 2000 },
    begin: (world, name) => world.lines.get(name).cut(),
  },
  'issuer away': {
    ...{ targets: ['guarded'], weight: 2, lasts: [5, 40], servers: of, graceMs: RENEWED_MS },
    begin(world) {
      world.oidc.down();
      return () => world.oidc.up();
    },
  },
  'server added': {
    ...{ targets: ['new'], weight: 3, lasts: [2, 6], servers: () => [] },
    async begin(world) {
      const { servers } = world.config;
      const python = servers.find(({ name }) => name === 'python');
      await reloaded(world, { servers: [...servers, { ...python, name: 'new' }] });
      return () => reloaded(world, {});
    },
  },
  'server changed': {
    // Its tasks are those of the connection before.
    ...{
      targets: ['web', 'python'],
      weight: 3,
      lasts: [2, 6],
      servers: of,
      operations: ['task'],
      graceMs: BACK_MS,
    },
    async begin(world, target) {
      const servers = world.config.servers.map((each) =>
        each.name === target ? { ...each, headers: { 'x-changed': String(Date.now()) } } : each,
      );
      await reloaded(world, { servers });
      return () => reloaded(world, {});
    },
  },
  'bad config': {
    ...{ targets: ['config'], weight: 3, lasts: [0.5, 2], servers: () => [] },
    async begin(world) {
      const { servers } = world.config;
      world.writeConfig({ ...world.config, servers: [...servers, servers[0]] });
      const statuses = await world.reload();
      if (statuses.some((status) => status !== 400 && status !== 0))
        throw new Broken('a bad config is refused', `the reload was answered ${statuses.join(', ')}`);
      return () => reloaded(world, {});
    },
  },
  'key revoked': {
    ...{ targets: Array.from({ length: KEYS }, (_, n) => n), weight: 3, lasts: [1, 4], servers: () => null },
    ...{ users: (n) => [n], losesSessions: true, graceMs: 4000 },
    async begin(world, n) {
      world.revoke(n);
      await reloaded(world, {});
      return async () => {
        world.restore(n);
        await reloaded(world, {});
      };
    },
  },
  'key changed': {
    ...{ targets: Array.from({ length: KEYS }, (_, n) => n), weight: 3, lasts: [2, 5], servers: () => [] },
    // Both count for a while, as those who run a gateway change a key.
    async begin(world, n, { ledger, stopped }) {
      const key = world.addKey(n);
      await reloaded(world, {});
      world.showKey(n, key);
      const since = performance.now();
      return async () => {
        // A session ends with the last key that it has shown.
        while (!ledger.haveAsked(since, n) && !stopped.aborted) await sleep(100);
        world.dropKeys(n);
        await reloaded(world, {});
      };
    },
  },
  'reader stops': {
    ...{ targets: ['odd'], weight: 3, lasts: [3, 15], servers: () => [] },
    begin: (world) => stoppedReaders(world),
  },
};

/** A fleet has its certificates at the balancer. */
const SINGLE_KINDS = {
  'certificate changed': {
    ...{ targets: ['http.tls'], weight: 3, lasts: [0, 2], servers: () => [] },
    async begin(world) {
      const fingerprint = world.certificates.change();
      await reloaded(world, {});
      await meets(world, fingerprint);
    },
  },
  'bad certificate': {
    ...{ targets: ['http.tls'], weight: 2, lasts: [0.5, 2], servers: () => [] },
    async begin(world) {
      const before = await fingerprintOf(world);
      world.certificates.spoil();
      const statuses = await world.reload();
      if (statuses.some((status) => status !== 400))
        throw new Broken('a bad certificate is refused', `the reload was answered ${statuses.join(', ')}`);
      await meets(world, before);
      return async () => {
        const fingerprint = world.certificates.change();
        await reloaded(world, {});
        await meets(world, fingerprint);
      };
    },
  },
};

const FLEET_KINDS = {
  'replica killed': {
    ...{ targets: [0, 1, 2], weight: 6, lasts: [0, 0], servers: () => null, graceMs: SURE_MS },
    async begin(world, n) {
      const { replica } = world.gateways[n];
      process.kill(replica.pid, 'SIGKILL');
      return () => serves(replica);
    },
  },
  'replica restarted': {
    // Its tasks end with it, if their clients have sessions, and calls that wait for input. The kernel resets a connection that comes
    // in the moment in which the port closes, and nginx must not send its request again.
    ...{
      targets: [0, 1, 2],
      weight: 5,
      lasts: [0, 0],
      servers: () => null,
      operations: ['task', 'question'],
      once: /502 Bad Gateway|Server returned an error response/,
      graceMs: SURE_MS,
    },
    async begin(world, n) {
      const { replica } = world.gateways[n];
      const { pid } = replica;
      process.kill(pid, 'SIGTERM');
      return async () => {
        while (replica.pid === pid) await sleep(100);
        await serves(replica);
      };
    },
  },
  'replica stopped': {
    ...{ targets: [0, 1, 2], weight: 4, lasts: [0.5, 6], servers: () => null, graceMs: SURE_MS },
    begin(world, n) {
      const { pid } = world.gateways[n].replica;
      process.kill(pid, 'SIGSTOP');
      return () => process.kill(pid, 'SIGCONT');
    },
  },
  'store stopped': ofStore({ weight: 4, lasts: [0.5, 2.5], begin: ({ store }) => store.pause() }),
  'store failed over': ofStore({
    ...{ weight: 3, lasts: [1, 6] },
    async begin({ store }, run) {
      await allAreHeld(run);
      return store.failOver();
    },
  }),
  'store emptied': ofStore({
    ...{ weight: 3, lasts: [0, 0] },
    async begin({ store }, run) {
      await allAreHeld(run);
      await store.empty();
    },
  }),
};

function line(mode, servers) {
  return {
    ...{ targets: LINES, lasts: [0.5, 5], servers, graceMs: BACK_MS },
    begin(world, name) {
      const at = world.lines.get(name);
      at.mode = mode;
      return () => {
        at.mode = 'fine';
        if (mode === 'still') at.cut();
      };
    },
  };
}

function signal(world, name, what) {
  for (const { pid } of world.childrenOf(name)) process.kill(pid, what);
}

/** A fault of the store. When it is over, replicas get the time to write again what the store has missed or lost. */
function ofStore({ begin, ...rest }) {
  return {
    ...{ targets: ['store'], servers: () => [], ...rest },
    async begin(world, _, run) {
      const end = await begin(world, run);
      return async () => {
        await end?.();
        await sleep(WRITTEN_MS);
      };
    },
  };
}

/** Sessions of a replica that has ended are in the store alone until their clients come back: if that loses its data as well, they are lost. */
async function allAreHeld({ ledger, stopped }) {
  const ends = ledger.faults.filter(({ kind }) => kind.startsWith('replica')).map(({ to }) => to);
  const since = Math.max(0, ...ends);
  while (!ledger.haveAsked(since) && !stopped.aborted) await sleep(100);
}

/** A replica takes requests; its servers may have faults of their own. */
async function serves({ origin }) {
  await until(async () => (await statusOf(`${origin}/ready`)) === 200, 'a replica that was ended');
}

/** Puts a configuration in force that is good. */
async function reloaded(world, more) {
  world.writeConfig({ ...world.config, ...more });
  const statuses = await world.reload();
  if (statuses.some((status) => status !== 200 && status !== 0))
    throw new Broken('a good config is taken', `the reload was answered ${statuses.join(', ')}`);
}

/** The fingerprint of the certificate that a new connection meets. */
function fingerprintOf({ origin, ca }) {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), ca }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

async function meets(world, wanted) {
  const met = await fingerprintOf(world);
  if (met !== wanted) throw new Broken('a new certificate is used', `a connection met ${met}, not ${wanted}`);
}

/** Clients that ask for much and read nothing of it. */
function stoppedReaders(world) {
  const request = world.ca ? requestTls : requestPlain;
  const asked = Array.from({ length: 8 }, (_, id) => {
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'stopped', version: '0' },
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    const params = { name: 'odd__big', arguments: { mark: 'stopped', bytes: 4_000_000 }, _meta: meta };
    const req = request(world.url, {
      ...{ method: 'POST', ca: world.ca },
      headers: {
        ...world.headers(world.keys[0]),
        ...{ accept: 'application/json, text/event-stream', 'content-type': 'application/json' },
        ...{ 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'odd__big' },
      },
    });
    req.on('error', () => {}).on('response', (res) => res.pause());
    req.end(JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params }));
    return req;
  });
  return () => asked.forEach((req) => req.destroy());
}

const ALL_KINDS = { ...KINDS, ...SINGLE_KINDS, ...FLEET_KINDS };

/** The faults of a run: [{at, kind, target, ms}], in order; `at` and `ms` in milliseconds. */
export function plan(random, ms, isFleet) {
  const own = isFleet ? FLEET_KINDS : SINGLE_KINDS;
  const kinds = Object.entries({ ...KINDS, ...own }).map(([kind, { weight }]) => [weight, kind]);
  const list = [];
  for (let at = 2000; at < ms; at += random.between(1000, 5000)) {
    const kind = random.weighed(kinds);
    const { targets, lasts } = ALL_KINDS[kind];
    list.push({ at, kind, target: random.pick(targets), ms: 1000 * random.between(...lasts) });
  }
  return list;
}

const GATEWAY_WIDE = /^(replica|store|server added|server changed|bad|key|certificate)/;

/** Two faults of one place follow each other. */
function placeOf({ kind, target }) {
  return GATEWAY_WIDE.test(kind) ? 'gateway' : String(target);
}

/** Makes the faults of a plan happen. Resolves once all have ended. A fault is left out where one goes on and another one waits. */
export async function runPlan(list, { world, ledger, log, signal: stopped }) {
  const began = performance.now();
  const places = new Map();
  for (const fault of list) {
    const wait = fault.at - (performance.now() - began);
    if (wait > 0) await sleep(wait, undefined, { signal: stopped }).catch(() => {});
    if (stopped.aborted) break;
    const name = placeOf(fault);
    const place = places.get(name) ?? { faults: 0, done: Promise.resolve() };
    places.set(name, place);
    if (place.faults === 2) continue;
    place.faults++;
    place.done = place.done
      .then(() => (stopped.aborted ? undefined : happen(fault, { world, ledger, log, stopped })))
      .then(() => {
        place.faults--;
      });
  }
  await Promise.all([...places.values()].map(({ done }) => done));
}

async function happen({ kind, target, ms }, { world, ledger, log, stopped }) {
  const { servers, users, begin, ...rest } = ALL_KINDS[kind];
  const fault = ledger.begin(kind, servers(target), { ...rest, users: users?.(target) });
  log(`${kind}: ${target}, ${(ms / 1000).toFixed(1)} s`);
  try {
    const end = await begin(world, target, { ledger, stopped });
    await sleep(ms, undefined, { signal: stopped }).catch(() => {});
    if (typeof end === 'function') await end();
  } catch (error) {
    ledger.broken(
      error instanceof Broken
        ? error
        : new Broken('faults can be made', `${kind} of ${target}: ${error.stack}`),
    );
  }
  ledger.end(fault);
}
