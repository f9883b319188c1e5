// From the start of a process to its first answer.
import { spawnSync } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { toolCall } from './cases.mjs';
import { open, session, textOf } from './client.mjs';
import { GATEWAY_CORE, onCore } from './processes.mjs';
import { progress, ratio, say, show, showRatio, table, verdict } from './report.mjs';
import { http, launch, ours, overStdio, stdio } from './targets.mjs';

/** To /health: how often the time of `node -e 0` a start may take. */
const LIMIT = 5;

async function answers(target, gateway) {
  const headers = target.npm ? await session(gateway.url) : {};
  const text = await textOf(await open(gateway.url, toolCall('bench__json-0.2k'), { headers }));
  return text.includes('"result"');
}

const isHealthy = async (_, gateway) => (await fetch(`${gateway.base}/health`)).ok;

async function until(what, act) {
  const end = performance.now() + 30_000;
  while (!(await act().catch(() => false))) {
    if (performance.now() > end) throw new Error(`${what} does not answer`);
    await sleep(2);
  }
}

/** Milliseconds from the start of a process until `act` gets its answer. */
async function firstAnswer(target, setup, act) {
  const began = performance.now();
  const gateway = await launch(target, setup);
  try {
    await until(target.name, () => act(target, gateway));
    return performance.now() - began;
  } finally {
    await gateway.stop();
  }
}

function bareNode() {
  const began = performance.now();
  spawnSync(...onCore(GATEWAY_CORE, process.execPath, ['-e', '0']));
  return performance.now() - began;
}

async function starts(options) {
  const plain = http(`${options.upstream}/mcp`);
  const subjects = [
    ...ours.map((target) => [`${target.name}: /health`, target, plain, isHealthy]),
    ...ours.map((target) => [`${target.name}: a call, HTTP upstream`, target, plain, answers]),
    ...overStdio.map((target) => [`${target.name}: a call, stdio upstream`, target, stdio(), answers]),
  ];
  const base = [];
  const figures = new Map(subjects.map(([name]) => [name, []]));
  for (let round = 0; round < options.rounds; round++) {
    base.push(bareNode());
    for (const [name, ...how] of subjects) figures.get(name).push(await firstAnswer(...how));
  }
  const rows = [['node -e 0', show(base), '', '']];
  for (const [name, list] of figures) {
    const against = ratio(list, base);
    const limit = name === 'mcpstead: /health' ? verdict(against, LIMIT) : '';
    rows.push([name, show(list), showRatio(against), limit]);
    progress(...rows.at(-1));
  }
  say('## From start to the first answer, in milliseconds');
  say();
  table(['of', 'time', 'ratio to node -e 0', 'limit'], rows);
}

export const startUp = { title: 'start', run: starts };
