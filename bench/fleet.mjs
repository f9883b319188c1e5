// Many upstreams and many tools: whether the cost of a call stays constant, also during refreshes and reloads.
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { httpCases } from './cases.mjs';
import { open, textOf } from './client.mjs';
import { samples } from './load.mjs';
import { interleave } from './measure.mjs';
import { progress, quantile, ratio, say, show, showRatio, table, verdict } from './report.mjs';
import { mcpstead, ours, run } from './targets.mjs';
import { startUpstreams } from './upstreams.mjs';

const one = httpCases[0];
const FLAT = 1.15;

/** That many servers; the first is the one that is called. */
const fleet = (bases, count, more) => ({
  servers: bases
    .slice(0, count)
    .map((base, n) => ({ name: n === 0 ? 'bench' : `server${n}`, url: `${base}/mcp/20`, ...more })),
});

/** Figures of some setups of this gateway, measured in turn. */
async function compare(setups, options) {
  const subjects = [];
  try {
    for (const [name, setup] of setups) subjects.push({ name, one, gateway: await run(mcpstead, setup) });
    return await interleave(subjects, options);
  } finally {
    for (const { gateway } of subjects) await gateway.stop();
  }
}

async function flat(options) {
  const upstreams = await startUpstreams(200);
  const { bases } = upstreams;
  const setups = [
    ...[1, 10, 200].map((count) => [
      `${count} upstream${count > 1 ? 's' : ''} of 20 tools`,
      fleet(bases, count),
    ]),
    ['1 upstream of 10,000 tools', { servers: [{ name: 'bench', url: `${bases[0]}/mcp/10000` }] }],
    // Each second a fifth of them reads its list again, 60 times as often as by default.
    [
      '200 upstreams that refresh every 5 s',
      fleet(bases, 200, { tools: { ttl_seconds: 5 } }),
      '200 upstreams of 20 tools',
    ],
  ];
  const figures = await compare(setups, options).finally(() => upstreams.stop());
  const first = setups[0][0];
  const rows = setups.map(([name, , beside = first]) => {
    const { cpu, p99 } = figures[name];
    const [cost, late] = ['cpu', 'p99'].map((kind) => ratio(figures[name][kind], figures[beside][kind]));
    const limits = name === first ? ['', ''] : [verdict(cost, FLAT), verdict(late, FLAT)];
    // A refresh costs CPU itself, but must not delay calls.
    const refreshes = beside !== first;
    const cells = [show(cpu), showRatio(cost), refreshes ? '' : limits[0]];
    const row = [name, ...cells, show(p99), showRatio(late), refreshes ? limits[1] : ''];
    progress(...row);
    return row;
  });
  say('## Cost that stays flat: 0.2 KB, 16 connections');
  say();
  say('Ratios are to one upstream of 20 tools; those of the last row to 200 upstreams that do not refresh.');
  say();
  table(['with', 'CPU per call, us', 'ratio', 'limit', 'p99, ms', 'ratio', 'limit'], rows);
}

export const staysFlat = { title: 'flat', run: flat };

/** Calls through a reload that changes every server: how long it takes, and p99 of the calls meanwhile. */
async function reloadOnce(gateway, next, seconds) {
  const taking = samples(gateway.url, { ...one, connections: 4 }, 2 * seconds);
  // Awaited later; until then a rejection must not be unhandled.
  taking.catch(() => {});
  await sleep(seconds * 1000);
  gateway.configure(next);
  const began = performance.now();
  const answer = await open(`${gateway.base}/-/reload`, '', {});
  const text = await textOf(answer);
  const took = performance.now() - began;
  if (answer.statusCode !== 200) throw new Error(`reload: ${answer.statusCode} ${text}`);
  const calls = await taking;
  const times = (list) => list.map((call) => call.took);
  const during = times(calls.filter((call) => call.began + call.took > began && call.began < began + took));
  const quiet = times(calls.filter((call) => call.began + call.took < began));
  // With few calls in a short time the longest stands for p99.
  return {
    took,
    p99: quantile(during, 0.99),
    longest: Math.max(...during),
    quiet: quantile(quiet, 0.99),
    failed: calls.filter(({ ok }) => !ok).length,
  };
}

async function reloads(options) {
  const upstreams = await startUpstreams(100);
  const setup = (round) => fleet(upstreams.bases, 100, { headers: { 'X-Bench': String(round) } });
  const rows = [];
  try {
    for (const target of ours) {
      const gateway = await run(target, setup(0));
      try {
        await samples(gateway.url, one, options.warm);
        const rounds = [];
        for (let round = 1; round <= options.rounds; round++)
          rounds.push(await reloadOnce(gateway, setup(round), options.seconds));
        const of = (kind) => rounds.map((each) => each[kind]);
        const kinds = ['took', 'quiet', 'p99', 'longest', 'failed'];
        rows.push([target.name, ...kinds.map((kind) => show(of(kind)))]);
        progress(...rows.at(-1));
      } catch (error) {
        progress(`${target.name} is left out: ${error.message}`);
      } finally {
        await gateway.stop();
      }
    }
  } finally {
    await upstreams.stop();
  }
  say('## Reload of 100 servers, all of them changed, in milliseconds');
  say();
  table(
    ['', 'answer to the reload', 'p99 of calls before', 'p99 meanwhile', 'longest meanwhile', 'failed calls'],
    rows,
  );
}

export const reload = { title: 'reload', run: reloads };
