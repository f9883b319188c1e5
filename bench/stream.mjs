// The delay between the upstream's write and the client's read, in milliseconds.
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { open, session } from './client.mjs';
import { median, progress, quantile, say, table } from './report.mjs';
import { http, overHttp, run } from './targets.mjs';

/** A gateway that reads an answer whole has no first byte to measure. */
const streaming = overHttp.filter((target) => !target.whole);
const LIMIT_MS = 5;
const KINDS = [
  ['first-event', 'an event on the stream of a call'],
  ['first-part', 'the first 2 KB of an answer whose rest is slow'],
];

const call = (tool) => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name: `bench__${tool}`, arguments: {}, _meta: { progressToken: 'p' } },
});

/** The delay of what the upstream stamped; both processes read the same clock. */
async function delay(gateway, tool, headers) {
  const answer = await open(gateway.url, call(tool), { headers });
  let text = '';
  let found;
  answer.setEncoding('utf8');
  for await (const chunk of answer) {
    const now = process.hrtime.bigint();
    text += chunk;
    const at = /at:(\d+) /.exec(text)?.[1];
    if (at) found ??= Number(now - BigInt(at)) / 1e6;
  }
  return found;
}

async function delays(target, options, tool) {
  const gateway = await run(target, http(`${options.upstream}/mcp`));
  try {
    const headers = target.plain ? {} : await session(gateway.url);
    for (let i = 0; i < 10; i++) await delay(gateway, tool, headers);
    const taken = [];
    const end = performance.now() + options.rounds * options.seconds * 1000;
    while (performance.now() < end) {
      taken.push(await delay(gateway, tool, headers));
      await sleep(5);
    }
    return taken.includes(undefined) ? undefined : taken;
  } finally {
    await gateway.stop();
  }
}

async function streams(options) {
  const rows = [];
  for (const [tool, what] of KINDS) {
    const row = [what];
    let own;
    for (const target of streaming) {
      const taken = await delays(target, options, tool);
      if (target.name === 'mcpstead') own = taken;
      row.push(taken ? `${median(taken).toFixed(2)} (${quantile(taken, 0.99).toFixed(2)})` : 'does not come');
    }
    const worst = own && quantile(own, 0.99);
    const word = worst <= LIMIT_MS ? 'yes' : own && median(own) <= LIMIT_MS ? 'near' : 'NO';
    rows.push([...row, `<= ${LIMIT_MS}: ${word}`]);
    progress(...rows.at(-1));
  }
  say('## First byte, in milliseconds after the upstream wrote it: median (p99)');
  say();
  table(['of', ...streaming.map(({ name }) => name), 'limit'], rows);
}

export const firstByte = { title: 'first byte', run: streams };
