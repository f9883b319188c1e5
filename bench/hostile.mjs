// npm run bench -- hostile [--only TEXT] [--main FILE] [--save FILE]
// What each attack of attacks.mjs costs: CPU and memory of the gateway, the longest turn of its loop, and what the calls of a neighbour took
// meanwhile. `--main` measures another build; `--save` keeps its figures, which hostile-0.2.0.json holds for 0.2.0.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { attacks, post, tools } from './attacks.mjs';
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

/** One server for both parts: an honest one at /honest, and a hostile one at /evil. */
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
    const evil = req.url.startsWith('/evil');
    if (method === 'initialize') {
      const capabilities = { tools: {}, logging: {}, ...(evil && templates > 0 ? { resources: {} } : {}) };
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
      const names = evil ? Object.keys(tools) : ['echo'];
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
    if (method === 'tools/call' && evil && tools[params.name]) return void tools[params.name](res, id);
    if (method === 'tools/call') return json(res, envelope(id, '{"content":[{"type":"text","text":"x"}]}'));
    json(res, `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"no"}}`);
  });
  server.on('connection', (socket) => socket.on('error', () => {}));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

const percentile = (sorted, share) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;

/** Calls to the honest server, one after the other, until `until` says so. */
async function neighbour(url, until) {
  const times = [];
  const body =
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"honest__echo","arguments":{}}}';
  while (!until()) {
    const started = performance.now();
    const { status } = await post(url, body);
    times.push(performance.now() - started);
    if (status === 0) break;
    await sleep(2);
  }
  times.sort((a, b) => a - b);
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), calls: times.length };
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
  const { port } = server.address();
  const folder = mkdtempSync(join(tmpdir(), 'mcpstead-hostile-'));
  const gatewayPort = await freePort();
  const base = `http://127.0.0.1:${gatewayPort}`;
  const url = `${base}/mcp`;
  const config = join(folder, 'config.yaml');
  const names = ['evil', ...Array.from({ length: (attack.servers ?? 1) - 1 }, (_, n) => `evil${n}`)];
  const entries = [
    `  - name: honest\n    url: http://127.0.0.1:${port}/honest\n    revision: legacy`,
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
    let over = false;
    const idle = neighbour(url, () => over);
    await sleep(1000);
    over = true;
    const before = await idle;
    if (attack.config) writeFileSync(config, attack.config(text));
    await longestTurn(pid, loop);
    resetPeak(pid);
    const [cpu, memory] = [cpuSeconds(pid), peak(pid)];
    let ended = false;
    const calls = neighbour(url, () => ended || died);
    const started = performance.now();
    await Promise.race([attack.run({ url, base }), sleep(LONGEST_MS)]).catch(() => undefined);
    const seconds = (performance.now() - started) / 1000;
    ended = true;
    const meanwhile = await calls;
    if (died) return { died: true };
    return {
      seconds,
      cpu: cpuSeconds(pid) - cpu,
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
