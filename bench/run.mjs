// node bench/run.mjs [--rounds 5] [--seconds 2] [--warm 3] [--only TEXT] [--eras] [--all] [--no-memory] [--no-load]
// Prints tables and writes REPORT.md. The method: every round measures each gateway once, one after
// the other, and ratios are taken within a round, because the machine itself changes between rounds.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { cases, crossings } from './cases.mjs';
import { generator, load, verify } from './load.mjs';
import { checks, growth } from './memory.mjs';
import { cpuSeconds, GATEWAY_CORE, LOAD_CORE, onCore, pinned, start, stop } from './processes.mjs';
import { bothEras, freePort, run, targets, TOKEN } from './targets.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    warm: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    all: { type: 'boolean', default: false },
    eras: { type: 'boolean', default: false },
    'no-memory': { type: 'boolean', default: false },
    'no-load': { type: 'boolean', default: false },
  },
});

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const minimum = (numbers) => Math.min(...numbers);
const lines = [];
const say = (line = '') => {
  console.log(line);
  lines.push(line);
};
const table = (head, rows) => {
  say(`| ${head.join(' | ')} |`);
  say(`| ${head.map(() => '---').join(' | ')} |`);
  for (const row of rows) say(`| ${row.join(' | ')} |`);
  say();
};
/** A limit is missed only when the median and the minimum both exceed it. */
const verdict = (mid, low, limit) =>
  limit === undefined
    ? ''
    : mid <= limit
      ? `<= ${limit}: yes`
      : low <= limit
        ? `<= ${limit}: near`
        : `<= ${limit}: NO`;

async function startUpstream() {
  const file = new URL('upstream.mjs', import.meta.url).pathname;
  const child = start(LOAD_CORE, process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise((resolve) => child.stdout.once('data', (text) => resolve(Number(text))));
  return { url: `http://127.0.0.1:${port}/mcp`, stop: () => stop(child) };
}

/** CPU microseconds per call of one gateway, over some seconds of one case. */
async function measure(gateway, one) {
  const before = cpuSeconds(gateway.pid);
  const calls = await load(gateway.url, one, Number(options.seconds));
  return ((cpuSeconds(gateway.pid) - before) / calls) * 1e6;
}

async function loadTable(upstream) {
  const gateways = [];
  for (const target of targets) gateways.push(await run(target, upstream));
  const chosen = cases.filter((one) => one.name.includes(options.only) && (options.all || !one.extra));
  const rows = [];
  for (const one of chosen) {
    const measured = gateways.filter((gateway) => !one.without?.includes(gateway.name));
    const figures = new Map(measured.map((gateway) => [gateway.name, []]));
    for (const gateway of measured) {
      await verify(gateway.url, one);
      await load(gateway.url, one, Number(options.warm));
    }
    for (let round = 0; round < Number(options.rounds); round++) {
      for (const gateway of measured) figures.get(gateway.name).push(await measure(gateway, one));
    }
    const cell = (name) => {
      const list = figures.get(name);
      return list ? `${median(list).toFixed(0)} (${minimum(list).toFixed(0)})` : '';
    };
    const ratio = (a, b) => {
      const [top, bottom] = [figures.get(a), figures.get(b)];
      if (!top || !bottom) return undefined;
      const ratios = top.map((value, round) => value / bottom[round]);
      return { mid: median(ratios), low: minimum(ratios) };
    };
    const show = (r) => (r ? `${r.mid.toFixed(2)} (${r.low.toFixed(2)})` : '');
    const against = ratio('mcpstead', 'rust');
    rows.push([
      one.name,
      ...gateways.map((gateway) => cell(gateway.name)),
      show(against),
      show(ratio('mcpstead', 'nginx')),
      against ? verdict(against.mid, against.low, one.limit) : '',
    ]);
    console.error(rows.at(-1).join('  '));
  }
  for (const gateway of gateways) await gateway.stop();
  say('## CPU per call, in microseconds: median (minimum) of the rounds');
  say();
  table(['case', ...gateways.map((g) => g.name), 'mcpstead / rust', 'mcpstead / nginx', 'limit'], rows);
}

/** What it costs when client and server are of different eras. */
async function eraTable(upstream) {
  const gateway = await run(bothEras, upstream);
  const rows = [];
  for (const [size, title] of [
    ['0.2k', '0.2 KB'],
    ['100k', '100 KB'],
  ]) {
    const columns = crossings(size);
    const figures = columns.map(() => []);
    for (const one of columns) {
      await verify(gateway.url, one);
      await load(gateway.url, one, Number(options.warm));
    }
    for (let round = 0; round < Number(options.rounds); round++)
      for (const [i, one] of columns.entries()) figures[i].push(await measure(gateway, one));
    // Of the two that stay within one era, the one with the same client.
    const same = [0, 0, 3, 3];
    columns.forEach((one, i) => {
      const ratios = figures[i].map((value, round) => value / figures[same[i]][round]);
      const isBridge = i === 1 || i === 2;
      rows.push([
        `${title}, ${one.name}`,
        `${median(figures[i]).toFixed(0)} (${minimum(figures[i]).toFixed(0)})`,
        isBridge ? `${median(ratios).toFixed(2)} (${minimum(ratios).toFixed(2)})` : '',
        isBridge && size === '0.2k' ? verdict(median(ratios), minimum(ratios), 1.15) : '',
      ]);
      console.error(rows.at(-1).join('  '));
    });
  }
  await gateway.stop();
  say('## CPU per call across eras, in microseconds: median (minimum) of the rounds');
  say();
  table(['case', 'mcpstead', 'to the same client within its era', 'limit'], rows);
}

async function memoryTable(upstream) {
  const rows = [];
  const measured = targets.filter((target) => !target.plain);
  for (const check of checks) {
    const row = [check.name];
    let own;
    for (const target of measured) {
      const gateway = await run(target, upstream);
      const grown = await growth(gateway, check).finally(() => gateway.stop());
      if (target.name === 'mcpstead') own = grown;
      row.push(grown.toFixed(1));
    }
    row.push(
      check.limit === undefined || own === undefined
        ? ''
        : `< ${check.limit}: ${own < check.limit ? 'yes' : 'NO'}`,
    );
    rows.push(row);
    console.error(row.join('  '));
  }
  say('## Growth of resident memory, in MB');
  say();
  table(['under', ...measured.map((target) => target.name), 'limit'], rows);
}

/** Milliseconds from spawn to the first answer of /health. */
async function readyTime(target, upstream) {
  const port = await freePort();
  const began = performance.now();
  const child = start(GATEWAY_CORE, ...target.command(port, upstream), {
    env: { ...process.env, MCPSTEAD_BEARER_TOKEN: TOKEN },
  });
  while (
    !(await fetch(`http://127.0.0.1:${port}/health`).then(
      (a) => a.ok,
      () => false,
    ))
  ) {
    if (performance.now() - began > 15_000) throw new Error(`${target.name} does not start`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const took = performance.now() - began;
  await stop(child);
  return took;
}

function bareNode() {
  const began = performance.now();
  spawnSync(...onCore(GATEWAY_CORE, process.execPath, ['-e', '0']));
  return performance.now() - began;
}

async function readyTable(upstream) {
  const measured = targets.filter((target) => !target.plain);
  const figures = new Map([['node -e 0', []], ...measured.map((target) => [target.name, []])]);
  for (let round = 0; round < 7; round++) {
    figures.get('node -e 0').push(bareNode());
    for (const target of measured) figures.get(target.name).push(await readyTime(target, upstream));
  }
  const base = figures.get('node -e 0');
  say('## From start to the first answer, in milliseconds: median (minimum) of 7');
  say();
  table(
    ['', 'time', 'ratio to node -e 0', 'limit'],
    [...figures].map(([name, list]) => {
      const ratios = list.map((value, round) => value / base[round]);
      return [
        name,
        `${median(list).toFixed(0)} (${minimum(list).toFixed(0)})`,
        `${median(ratios).toFixed(1)} (${minimum(ratios).toFixed(1)})`,
        name === 'mcpstead' ? verdict(median(ratios), minimum(ratios), 5) : '',
      ];
    }),
  );
}

const version = (command, args) => {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n')[0];
};

say('# Bench');
say();
say(
  `Made by \`npm run bench\` in bench/, which says how. ${cpus()[0].model}, ${cpus().length} cores, Linux, Node ${process.version};`,
);
say(
  `load by ${generator} with 16 connections, ${pinned ? 'it and the upstream on one core, the gateway on the other' : 'processes NOT kept to cores'};`,
);
say(
  `${options.warm} s of warm-up a case, then ${options.rounds} interleaved rounds of ${options.seconds} s; bearer auth and metrics on.`,
);
say(
  `Compared: ${targets.map((t) => t.name).join(', ')} (rust = mcpstead 0.1.13; nginx = plain proxy_pass, ${version('nginx', ['-v'])}).`,
);
say('Only ratios of one run count; a limit is missed when the median and the minimum both exceed it.');
say();

if (pinned) spawnSync('taskset', ['-cp', String(LOAD_CORE), String(process.pid)]);
const upstream = await startUpstream();
try {
  if (!options['no-load'] && !options.eras) await loadTable(upstream.url);
  if (!options['no-load'] && options.only === '') await eraTable(upstream.url);
  if (!options['no-memory'] && !options.eras) await memoryTable(upstream.url);
  if (!options.eras) await readyTable(upstream.url);
} finally {
  await upstream.stop();
}
const partial = options.only !== '' || options.eras || options['no-memory'] || options['no-load'];
if (!partial) writeFileSync(new URL('REPORT.md', import.meta.url), lines.join('\n').trimEnd() + '\n');
