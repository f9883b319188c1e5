// npm run bench -- hostile [--only TEXT] [--main FILE] [--save FILE]
// The cost of each attack in attacks.mjs: CPU and memory of the gateway, the longest turn of its event loop, and the duration of another
// client's calls meanwhile. `--main` measures another build; `--save` saves its results, as hostile-0.2.0.json has those of 0.2.0.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { attacks, tools } from './attacks.mjs';
import { cpuSeconds, GATEWAY_CORE, peak, resetPeak, start, stop } from './processes.mjs';
import { say, table } from './report.mjs';
import { freePort } from './targets.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values } = parseArgs({
  args: process.argv.slice(2).filter((word) => word !== 'hostile'),
  options: {
    only: { type: 'string', default: '' },
    main: { type: 'string', default: here('../dist/cli/main.js') },
    save: { type: 'string' },
  },
});
const BEFORE = here('hostile-0.2.0.json');
const LONGEST_MS = 30_000;

const json = (res, text) => {
  res.writeHead(200, { 'content-type': 'application/json' }).end(text);
};
const envelope = (id, result) => `{"jsonrpc":"2.0","id":${id},"result":${result}}`;

/** The hostile server. */
async function serve({ templates = 0 }) {
  const server = createServer(async (req, res) => {
    res.on('error', () => {});
    if (req.method !== 'POST') return void res.writeHead(405).end();
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString());
    // Answers to what it asked: never acknowledged.
    if (method === undefined) return;
    if (id === undefined) return void res.writeHead(202).end();
    if (method === 'initialize') {
      const capabilities = { tools: {}, logging: {}, ...(templates > 0 ? { resources: {} } : {}) };
      return json(
        res,
        envelope(
          id,
          JSON.stringify({
            protocolVersion: '2025-11-25',
            capabilities,
            serverInfo: { name: 's', version: '1' },
          }),
        ),
      );
    }
    if (method === 'tools/list') {
      const names = Object.keys(tools);
      return json(
        res,
        envelope(
          id,
          JSON.stringify({ tools: names.map((name) => ({ name, inputSchema: { type: 'object' } })) }),
        ),
      );
    }
    if (method === 'resources/list') return json(res, envelope(id, '{"resources":[]}'));
    if (method === 'resources/templates/list') {
      const all = Array.from({ length: templates }, (_, n) => ({
        name: `t${n}`,
        uriTemplate: `a://{+x}${'a'.repeat(1980)}${n}{+y}b`,
      }));
      return json(res, envelope(id, JSON.stringify({ resourceTemplates: all })));
    }
    if (method === 'tools/call' && tools[params.name]) return void tools[params.name](res, id);
    json(res, `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"no"}}`);
  });
  server.on('connection', (socket) => socket.on('error', () => {}));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

const percentile = (sorted, share) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;

/** The honest server and its client. */
async function startNeighbour() {
  const worker = new Worker(new URL('neighbour.mjs', import.meta.url));
  const next = () => new Promise((resolve) => worker.once('message', resolve));
  const { port } = await next();
  return {
    port,
    start: (url) => worker.postMessage({ url }),
    async stop() {
      const answer = next();
      worker.postMessage({});
      const times = (await answer).times.sort((a, b) => a - b);
      return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), calls: times.length };
    },
    end: () => worker.terminate(),
  };
}

async function longestTurn(pid, file) {
  rmSync(file, { force: true });
  process.kill(pid, 'SIGUSR2');
  while (!existsSync(file)) await sleep(20);
  await sleep(20);
  return Number(readFileSync(file, 'utf8'));
}

async function measure(main, attack) {
  const server = await serve(attack);
  const neighbour = await startNeighbour();
  const { port } = server.address();
  const folder = mkdtempSync(join(tmpdir(), 'mcpstead-hostile-'));
  const gatewayPort = await freePort();
  const base = `http://127.0.0.1:${gatewayPort}`;
  const url = `${base}/mcp`;
  const config = join(folder, 'config.yaml');
  const names = ['evil', ...Array.from({ length: (attack.servers ?? 1) - 1 }, (_, n) => `evil${n}`)];
  const entries = [
    `  - name: honest\n    url: http://127.0.0.1:${neighbour.port}/mcp\n    revision: legacy`,
    ...names.map((name) => `  - name: ${name}\n    url: http://127.0.0.1:${port}/evil\n    revision: legacy`),
  ];
  const text = `port: ${gatewayPort}\nlogging: {level: error}\nservers:\n${entries.join('\n')}`;
  writeFileSync(config, text);
  const loop = join(folder, 'loop');
  const child = start(
    GATEWAY_CORE,
    process.execPath,
    ['--import', here('loop.mjs'), main, '--config', config],
    { env: { ...process.env, BENCH_LOOP: loop } },
  );
  let died = false;
  child.once('exit', () => (died = true));
  try {
    const deadline = Date.now() + 60_000;
    for (;;) {
      const health = await fetch(`${base}/health`).then(
        (answer) => answer.json(),
        () => undefined,
      );
      if (health?.status === 'ok' || Date.now() > deadline) break;
      await sleep(50);
    }
    const { pid } = child;
    const idle = cpuSeconds(pid);
    neighbour.start(url);
    await sleep(1000);
    const before = await neighbour.stop();
    /** The neighbour's own calls do not count as cost of the attack. */
    const perCall = (cpuSeconds(pid) - idle) / before.calls;
    if (attack.config) writeFileSync(config, attack.config(text));
    await longestTurn(pid, loop);
    resetPeak(pid);
    const [cpu, memory] = [cpuSeconds(pid), peak(pid)];
    neighbour.start(url);
    const started = performance.now();
    await Promise.race([attack.run({ url, base }), sleep(LONGEST_MS)]).catch(() => undefined);
    const seconds = (performance.now() - started) / 1000;
    const meanwhile = await neighbour.stop();
    if (died) return { died: true };
    return {
      seconds,
      cpu: Math.max(0, cpuSeconds(pid) - cpu - meanwhile.calls * perCall),
      memory: peak(pid) - memory,
      turn: await longestTurn(pid, loop),
      p50: meanwhile.p50,
      p99: meanwhile.p99,
      idle50: before.p50,
      idle99: before.p99,
    };
  } catch (error) {
    if (died) return { died: true };
    throw error;
  } finally {
    await stop(child);
    await neighbour.end();
    server.close();
    server.closeAllConnections();
    rmSync(folder, { recursive: true, force: true });
  }
}

const show = (figure, digits) => (Number.isFinite(figure) ? figure.toFixed(digits) : '-');
const row = (figures) =>
  figures === undefined
    ? ['-', '-', '-', '-']
    : figures.died
      ? ['process died', '', '', '']
      : [
          show(figures.cpu, 2),
          show(figures.memory, 0),
          show(figures.turn, 0),
          `${show(figures.idle50, 1)} / ${show(figures.idle99, 1)} → ${show(figures.p50, 1)} / ${show(figures.p99, 1)}`,
        ];

const before = existsSync(BEFORE) ? JSON.parse(readFileSync(BEFORE, 'utf8')) : {};
const found = {};
for (const attack of attacks.filter(({ name }) => name.includes(values.only))) {
  process.stderr.write(`${attack.name} ...\n`);
  found[attack.name] = await measure(values.main, attack);
}
say('# Hostile peers');
say();
say(
  'CPU in seconds, growth of resident memory in MB, longest turn of the event loop in ms; p50 / p99 of the calls of a neighbour in ms,',
);
say('idle → during the attack. "0.2.0" are the figures of that version on the machine they were taken on.');
say();
table(
  [
    'attack',
    'CPU',
    'memory',
    'turn',
    'neighbour',
    'CPU, 0.2.0',
    'memory, 0.2.0',
    'turn, 0.2.0',
    'neighbour, 0.2.0',
  ],
  Object.entries(found).map(([name, figures]) => [name, ...row(figures), ...row(before[name])]),
);
if (values.save) writeFileSync(values.save, `${JSON.stringify(found, null, 2)}\n`);
process.exit(0);
