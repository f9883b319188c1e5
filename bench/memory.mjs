// The growth of a gateway's memory under loads that would fill it. Each check has its own gateway.
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { SIZES, toolCall } from './cases.mjs';
import { bytesOf, open, session, times } from './client.mjs';
import { progress, say, table } from './report.mjs';
import { http, ours, run } from './targets.mjs';
import { startUpstreams } from './upstreams.mjs';

const tool = (name) => toolCall(`bench__${name}`, {});

export async function warmUp(gateway, count = 4000) {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  await times(count, async () => bytesOf(await open(gateway.url, tool('json-0.2k'), { agent })));
  agent.destroy();
}

async function oneResult(gateway, name) {
  const bytes = await bytesOf(await open(gateway.url, tool(name)));
  if (bytes < SIZES['30m']) throw new Error(`only ${bytes} bytes came`);
}

async function pausedReaders(gateway) {
  const paused = await Promise.all([1, 2, 3, 4].map(() => open(gateway.url, tool('json-100m'))));
  await sleep(3000);
  const grown = gateway.peak();
  for (const answer of paused) answer.destroy();
  await sleep(200);
  return grown;
}

/** How many sessions a gateway counts. */
export async function sessionsOf(gateway) {
  const metrics = await fetch(`${gateway.base}/metrics`).then((answer) => answer.text());
  return Number(/^mcpstead_downstream_sessions_active (\d+)/m.exec(metrics)?.[1]);
}

async function abandoned(gateway) {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  await times(4000, () => session(gateway.url, agent));
  agent.destroy();
  await sleep(1000);
  const active = await sessionsOf(gateway);
  if (active < 4000) throw new Error(`only ${active} sessions are open`);
  return gateway.memory();
}

const checks = [
  { name: 'a 30 MB result', limit: 60, act: (gateway) => oneResult(gateway, 'json-30m') },
  { name: 'a 30 MB result as SSE', act: (gateway) => oneResult(gateway, 'sse-30m') },
  { name: 'four paused readers of 100 MB', limit: 20, act: pausedReaders, quick: true },
  { name: '4,000 abandoned sessions', limit: 20, act: abandoned },
];

/** The growth in MB: of the peak, or of what the check itself reports. */
async function growth(target, check, options) {
  const gateway = await run(target, http(`${options.upstream}/mcp`));
  try {
    await warmUp(gateway);
    await sleep(500);
    const before = gateway.memory();
    gateway.resetPeak();
    const reported = await check.act(gateway);
    return (reported ?? gateway.peak()) - before;
  } finally {
    await gateway.stop();
  }
}

const ten = { name: 'idle, with ten upstreams', quick: true };
/** Its total memory, not the growth. */
async function idle(target) {
  const upstreams = await startUpstreams(10);
  const servers = upstreams.bases.map((base, n) => ({ name: `server${n}`, url: `${base}/mcp/20` }));
  const gateway = await run(target, { servers });
  await sleep(3000);
  const held = gateway.memory();
  await gateway.stop();
  await upstreams.stop();
  return held;
}

const below = (limit, own) =>
  limit === undefined || own === undefined ? '' : `<= ${limit}: ${own <= limit ? 'yes' : 'NO'}`;

async function memory(options) {
  const rows = [];
  const add = async (name, limit, measure) => {
    const figures = new Map();
    for (const target of ours) figures.set(target.name, await measure(target));
    const cells = ours.map(({ name: gateway }) => figures.get(gateway).toFixed(1));
    rows.push([name, ...cells, below(limit, figures.get('mcpstead'))]);
    progress(...rows.at(-1));
  };
  for (const check of checks.filter((each) => options.wants('memory', each)))
    await add(`growth: ${check.name}`, check.limit, (target) => growth(target, check, options));
  if (options.wants('memory', ten)) await add(`all of it: ${ten.name}`, 90, idle);
  say('## Resident memory, in MB');
  say();
  table(['under', ...ours.map(({ name }) => name), 'limit'], rows);
}

export const underLoad = { title: 'memory', cases: [...checks, ten], run: memory };
