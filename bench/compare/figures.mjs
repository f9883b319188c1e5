// What a call costs at each gateway: CPU time, memory, and the start. All gateways of a table run at the same time; each round measures
// each of them once, in turn, so that what else the machine does falls on all alike.
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { LOAD_CORE, onCore, UPSTREAM_MARK } from '../processes.mjs';
import { startUpstreams } from '../upstreams.mjs';
import { CASES, LIST, SIZES } from './cases.mjs';
import { firstList, launch } from './gateways.mjs';
import { toolOf } from './parts.mjs';
import { toolNames } from './wire.mjs';

const CONNECTIONS = 8;
const UPSTREAM = fileURLToPath(new URL(`../${UPSTREAM_MARK}`, import.meta.url));
const short = (error) =>
  String(error?.message ?? error)
    .replaceAll(/\s+/g, ' ')
    .slice(0, 200);

/** One request of a case: throws unless the answer is whole. */
async function once({ wire, names }, one) {
  if (one === LIST) {
    const found = await toolNames(wire);
    if (found.length < 1000) throw new Error(`lists ${found.length} of 1,000 tools`);
    return;
  }
  const [tool, bytes] = SIZES[one];
  const params = { name: toolOf(names, tool), arguments: { path: '/tmp/some/file.txt', limit: 10 } };
  const answer = await wire.ask('tools/call', params);
  if (answer.length < bytes) throw new Error(`an answer of ${answer.length} bytes instead of ${bytes}`);
}

/** Calls for some seconds, then waits for those in flight: {calls, cpu in us a call}. */
async function load(subject, one, seconds) {
  const before = subject.gateway.cpu();
  const end = Date.now() + seconds * 1000;
  let calls = 0;
  const worker = async () => {
    do {
      await once(subject, one);
      calls += 1;
    } while (Date.now() < end);
  };
  await Promise.all(Array.from({ length: one === LIST ? 2 : CONNECTIONS }, worker));
  return ((subject.gateway.cpu() - before) / calls) * 1e6;
}

async function openSubject(peer, server, problems) {
  let gateway;
  try {
    gateway = await launch(peer, [server]);
    const { wire, names } = await firstList(gateway, 900);
    await sleep(1500);
    const subject = { peer, gateway, wire, names, idle: gateway.memory(), busy: 0 };
    for (const one of Object.keys(SIZES)) toolOf(names, SIZES[one][0]);
    return subject;
  } catch (error) {
    problems.push({ name: peer.name, what: 'figures', why: short(error) });
    await gateway?.stop();
    return undefined;
  }
}

/** {peer name: {case: [CPU in us a call, one per round], idle, busy}} in front of one kind of server. */
async function measure(peers, server, options, problems) {
  const figures = {};
  const subjects = [];
  try {
    for (const peer of peers) {
      const subject = await openSubject(peer, server, problems);
      if (subject) subjects.push(subject);
    }
    for (const { peer, idle } of subjects) figures[peer.name] = { idle };
    for (const one of CASES) {
      const able = [];
      for (const subject of subjects)
        try {
          await load(subject, one, options.warm);
          figures[subject.peer.name][one] = [];
          able.push(subject);
        } catch (error) {
          problems.push({ name: subject.peer.name, what: one, why: short(error) });
        }
      for (let round = 0; round < options.rounds; round++)
        for (const subject of able)
          try {
            if (one === '100 KB') subject.gateway.resetPeak();
            figures[subject.peer.name][one].push(await load(subject, one, options.seconds));
            if (one === '100 KB') subject.busy = Math.max(subject.busy, subject.gateway.peak());
          } catch (error) {
            problems.push({ name: subject.peer.name, what: one, why: short(error) });
          }
      console.error(`  ${one}: ${able.map(({ peer }) => peer.name).join(', ')}`);
    }
    for (const { peer, busy } of subjects) figures[peer.name].busy = busy || undefined;
    return figures;
  } finally {
    for (const { wire, gateway } of subjects) {
      wire.close();
      await gateway.stop();
    }
  }
}

/** CPU milliseconds, and milliseconds of the clock, from the start of a gateway to its first list. */
async function starts(peers, server, rounds, figures) {
  for (const { name } of peers) if (figures[name]) Object.assign(figures[name], { start: [], clock: [] });
  for (let round = 0; round < rounds; round++)
    for (const peer of peers.filter(({ name }) => figures[name])) {
      const began = Date.now();
      const gateway = await launch(peer, [server]);
      try {
        const { wire } = await firstList(gateway, 900);
        figures[peer.name].clock.push(Date.now() - began);
        figures[peer.name].start.push(gateway.cpu() * 1000);
        wire.close();
      } catch {
        // It started before: what is missing is a round.
      } finally {
        await gateway.stop();
      }
    }
}

/** [{title, kind, figures}] for servers over HTTP and over stdio; `problems` gets what could not be measured. */
export async function allFigures(peers, options, problems) {
  const upstream = await startUpstreams();
  const [command, args] = onCore(LOAD_CORE, process.execPath, [UPSTREAM]);
  const servers = {
    http: { name: 'bench', url: `${upstream.bases[0]}/mcp` },
    stdio: { name: 'bench', command, args },
  };
  try {
    const tables = [];
    for (const kind of ['http', 'stdio']) {
      // Over stdio: those that know nothing else, and this gateway beside them.
      const able = peers.filter(
        ({ name, serves }) =>
          serves.includes(kind) && (kind === 'http' || name === 'mcpstead' || serves.length === 1),
      );
      console.error(`figures, servers over ${kind}`);
      const figures = await measure(able, servers[kind], options, problems);
      await starts(able, servers[kind], options.starts, figures);
      tables.push({ kind, figures });
    }
    return tables;
  } finally {
    await upstream.stop();
  }
}
