// From the start of a process to its first answer.
import { spawnSync } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { toolCall } from './cases.mjs';
import { open, session, textOf } from './client.mjs';
import { GATEWAY_CORE, onCore } from './processes.mjs';
import { progress, ratio, say, show, showRatio, table, verdict } from './report.mjs';
import { http, launch, ours, overStdio, stdio } from './targets.mjs';

const LIMIT = 5;

async function answers(target, gateway) {
  const headers = target.npm ? await session(gateway.url) : {};
  const text = await textOf(await open(gateway.url, toolCall('bench__json-0.2k'), { headers }));
  return text.includes('"result"');
}

async function firstAnswer(target, setup) {
  const began = performance.now();
  const gateway = await launch(target, setup);
  try {
    while (!(await answers(target, gateway).catch(() => false))) {
      if (performance.now() - began > 30_000) throw new Error(`${target.name} does not answer`);
      await sleep(2);
    }
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
  const subjects = [
    ...ours.map((target) => [`${target.name}, HTTP upstream`, target, http(`${options.upstream}/mcp`)]),
    ...overStdio.map((target) => [`${target.name}, stdio upstream`, target, stdio()]),
  ];
  const base = [];
  const figures = new Map(subjects.map(([name]) => [name, []]));
  for (let round = 0; round < options.rounds; round++) {
    base.push(bareNode());
    for (const [name, target, setup] of subjects) figures.get(name).push(await firstAnswer(target, setup));
  }
  const rows = [['node -e 0', show(base), '', '']];
  for (const [name, list] of figures) {
    const against = ratio(list, base);
    const limit = name === 'mcpstead, HTTP upstream' ? verdict(against, LIMIT) : '';
    rows.push([name, show(list), showRatio(against), limit]);
    progress(...rows.at(-1));
  }
  say('## From start to the first answer to a call, in milliseconds');
  say();
  table(['', 'time', 'ratio to node -e 0', 'limit'], rows);
}

export const startUp = { title: 'start', run: starts };
