// How far a gateway's memory grows under what would fill it. Each check has a gateway of its own.
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { SIZES } from './cases.mjs';
import { headersOf } from './load.mjs';
import { memory, peak, resetPeak } from './processes.mjs';

const headers = headersOf({ accept: 'application/json, text/event-stream' });

function open(url, body, agent) {
  return new Promise((resolve, reject) => {
    const req = request(url, { method: 'POST', headers, agent }, resolve);
    req.on('error', reject);
    req.end(JSON.stringify(body));
  });
}

async function bytesOf(res) {
  let bytes = 0;
  for await (const chunk of res) bytes += chunk.length;
  if (!res.complete) throw new Error('the answer was cut');
  return bytes;
}

const call = (tool) => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name: `bench__${tool}`, arguments: {} },
});

async function times(count, send) {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  let left = count;
  const worker = async () => {
    while (left-- > 0) await bytesOf(await send(agent));
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  agent.destroy();
}

const warm = (gateway) => times(4000, (agent) => open(gateway.url, call('json-0.2k'), agent));

async function oneResult(gateway, tool) {
  const bytes = await bytesOf(await open(gateway.url, call(tool), false));
  if (bytes < SIZES['30m']) throw new Error(`only ${bytes} bytes came`);
}

export const checks = [
  { name: 'a 30 MB result', limit: 60, act: (gateway) => oneResult(gateway, 'json-30m') },
  { name: 'a 30 MB result as SSE', act: (gateway) => oneResult(gateway, 'sse-30m') },
  {
    name: 'four paused readers of 100 MB',
    limit: 40,
    async act(gateway) {
      const paused = await Promise.all([1, 2, 3, 4].map(() => open(gateway.url, call('json-100m'), false)));
      await sleep(3000);
      const grown = peak(gateway.pid);
      for (const res of paused) res.destroy();
      await sleep(200);
      return grown;
    },
  },
  {
    name: '4,000 abandoned sessions',
    limit: 20,
    async act(gateway) {
      const params = {
        protocolVersion: '2025-06-18',
        capabilities: {},
        clientInfo: { name: 'bench', version: '1' },
      };
      await times(4000, (agent) =>
        open(gateway.url, { jsonrpc: '2.0', id: 1, method: 'initialize', params }, agent),
      );
      await sleep(1000);
      const metrics = await fetch(`${gateway.base}/metrics`).then((answer) => answer.text());
      const active = Number(/^mcpstead_downstream_sessions_active (\d+)/m.exec(metrics)?.[1]);
      if (active < 4000) throw new Error(`only ${active} sessions are open`);
      return memory(gateway.pid);
    },
  },
];

/** The growth in MB: of the peak, or of what the check itself reports. */
export async function growth(gateway, check) {
  await warm(gateway);
  await sleep(500);
  const before = memory(gateway.pid);
  resetPeak(gateway.pid);
  const reported = await check.act(gateway);
  return (reported ?? peak(gateway.pid)) - before;
}
