// npm run bench -- [--rounds 5] [--seconds 2] [--warm 3] [--only TEXT] [--quick] [--all] [--eras] [--no-load] [--no-memory]
// Prints tables; a complete run also writes REPORT.md. docs/performance.md explains how to read them.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { accessCosts } from './access.mjs';
import { httpCalls, stdioCalls } from './calls.mjs';
import { acrossEras } from './eras.mjs';
import { reload, staysFlat } from './fleet.mjs';
import { idleSessions, parkedCalls } from './held.mjs';
import { generator } from './load.mjs';
import { underLoad } from './memory.mjs';
import { LOAD_CORE, pinned } from './processes.mjs';
import { lines, progress, say } from './report.mjs';
import { startUp } from './start.mjs';
import { firstByte } from './stream.mjs';
import { leftOut, mcpstead, targets } from './targets.mjs';
import { startUpstreams } from './upstreams.mjs';
import { watchedCosts } from './watched.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    warm: { type: 'string' },
    only: { type: 'string', default: '' },
    quick: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false },
    eras: { type: 'boolean', default: false },
    'no-load': { type: 'boolean', default: false },
    'no-memory': { type: 'boolean', default: false },
  },
});
if (!mcpstead) throw new Error('run npm ci and npm run build in the folder above first');

const loads = [httpCalls, stdioCalls, firstByte, acrossEras, accessCosts, watchedCosts, staysFlat, reload];
const memories = [underLoad, idleSessions, parkedCalls];
const chosen = values.eras
  ? [acrossEras]
  : [...(values['no-load'] ? [] : loads), ...(values['no-memory'] ? [] : memories), startUp];
const holds = (text) => text.toLowerCase().includes(values.only.toLowerCase());

const options = {
  rounds: Number(values.rounds ?? (values.quick ? 2 : 5)),
  seconds: Number(values.seconds ?? (values.quick ? 1 : 2)),
  warm: Number(values.warm ?? (values.quick ? 1 : 3)),
  quick: values.quick,
  /** Whether a case of a section is to be measured: `only` names either. */
  wants: (title, one) =>
    (values.only === '' || holds(title) || holds(one.name)) &&
    (values.all || !one.extra) &&
    (!values.quick || one.quick),
};
const sections = chosen.filter(({ title, cases }) =>
  cases ? cases.some((one) => options.wants(title, one)) : holds(title),
);

function head() {
  const node = `${cpus()[0].model}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GB, ${process.platform}, Node ${process.version}`;
  const cores = pinned
    ? 'it and the upstreams on one core, the gateway on another'
    : 'processes NOT kept to cores: install taskset';
  say('# Bench');
  say();
  say(`Made by \`npm run bench\`; [docs/performance.md](../docs/performance.md) says how to read it.`);
  say(`${node};`);
  say(`load by ${generator} with 16 connections where a case says no other number, ${cores};`);
  say(
    `${options.warm} s of warm-up a case, then ${options.rounds} interleaved rounds of ${options.seconds} s;`,
  );
  say('bearer auth and metrics on. Figures are the median of the rounds (in brackets the minimum).');
  say('Only ratios of one run count; a limit is missed when the median and the minimum both exceed it.');
  say();
  for (const { name, what } of targets) say(`- ${name}: ${what}`);
  for (const { name, what, missing } of leftOut)
    say(`- left out, not installed: ${name}, ${what} (${missing})`);
  say();
}

// The children of children, and the requests that are sent from here, belong to the load.
if (pinned) spawnSync('taskset', ['-acp', String(LOAD_CORE), String(process.pid)]);
const began = Date.now();
const upstream = await startUpstreams();
options.upstream = upstream.bases[0];
try {
  head();
  for (const { title, run } of sections) {
    progress(`--- ${title}`);
    await run(options);
  }
} finally {
  await upstream.stop();
}
say(`The run took ${((Date.now() - began) / 60_000).toFixed(0)} minutes.`);
const isWhole = sections.length === loads.length + memories.length + 1 && values.only === '' && !values.quick;
if (isWhole) writeFileSync(new URL('REPORT.md', import.meta.url), `${lines.join('\n').trimEnd()}\n`);
