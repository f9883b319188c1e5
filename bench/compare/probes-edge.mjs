// The behaviours at the edges of a gateway: its end, what it shows of secrets, and requests that a web page could send.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, firstList, isAlive, launch, withGateway } from './gateways.mjs';
import { httpServer, serverFor, stdioServer } from './parts.mjs';
import { send, textOf } from './wire.mjs';

const yes = (seen) => ({ verdict: 'yes', seen });
const no = (seen) => ({ verdict: 'no', seen });
const partly = (seen) => ({ verdict: 'partly', seen });
const none = (seen) => ({ verdict: 'none', seen });

/** Whether the stdio server is gone some seconds after its gateway got a signal. */
async function outlives(peer, signal, options) {
  const server = stdioServer('one', options);
  const gateway = await launch(peer, [server.entry]);
  try {
    const { wire } = await firstList(gateway);
    const pids = server.pids().filter(isAlive);
    process.kill(gateway.pid, signal);
    // The session is open: some gateways wait for its end.
    const gone = await eventually(10_000, async () => !pids.some(isAlive));
    const over = await eventually(10_000, async () => !isAlive(gateway.pid));
    wire.close();
    return { ended: gone === true, gateway: over === true };
  } finally {
    server.stop();
    await gateway.stop();
  }
}

const orphans = {
  title:
    'No stdio server is left when the gateway ends (SIGTERM with one that ignores the end of its input; kill -9)',
  async run(peer) {
    if (!peer.serves.includes('stdio')) return none('it starts no servers');
    const term = await outlives(peer, 'SIGTERM', { stays: true });
    const kill = await outlives(peer, 'SIGKILL', {});
    const word = ({ ended }) => (ended ? 'gone' : 'left');
    const seen = `SIGTERM: ${word(term)}${term.gateway ? '' : ', the gateway still runs after 10 s'}; kill -9: ${word(kill)}`;
    return term.ended && kill.ended ? yes(seen) : term.ended || kill.ended ? partly(seen) : no(seen);
  },
};

const SECRETS = {
  'env of a server': 'secret-env-7f3a9c41',
  'env of a server that does not start': 'secret-dead-52b8e0d7',
  'bearer of a server': 'secret-bearer-c19d4f62',
  'bearer of a server that is down': 'secret-down-8e60b3aa',
  'URL of a server that is down': 'secret-url-04d7f915',
};
const [ENV, DEAD, BEARER, DOWN, URL_KEY] = Object.values(SECRETS);
const PAGES = [
  ...[
    '/',
    '/health',
    '/healthz',
    '/ready',
    '/ping',
    '/status',
    '/metrics',
    '/info',
    '/version',
    '/openapi.json',
  ],
  ...[
    '/api/health',
    '/api/servers',
    '/api/status',
    '/api/mcp_servers',
    '/servers',
    '/gateways',
    '/-/api/v1/servers',
  ],
];

/** Text of all files that the gateway wrote; its config, which was written for it, is none of them. */
function written({ folder, home }) {
  const files = [join(folder, 'log')];
  for (const entry of readdirSync(home, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) files.push(join(entry.parentPath, entry.name));
  return files
    .filter((file) => statSync(file).size < 20_000_000)
    .map((file) => ({
      where: file === join(folder, 'log') ? 'its log' : file.slice(home.length),
      text: readFileSync(file, 'latin1'),
    }));
}

async function secretServers(peer) {
  const down = await httpServer('down', {}, { Authorization: `Bearer ${DOWN}` });
  await down.stop();
  const closed = { ...down.entry, url: `${down.entry.url}?key=${URL_KEY}` };
  const http = await httpServer('http', {}, { Authorization: `Bearer ${BEARER}` });
  const stdio = stdioServer('stdio', {}, { API_KEY: ENV });
  const dead = {
    name: 'dead',
    command: process.execPath,
    args: ['-e', 'process.exit(3)'],
    env: { API_KEY: DEAD },
  };
  const entries = [
    ...(peer.serves.includes('stdio') ? [stdio.entry, ...(peer.many ? [dead] : [])] : []),
    ...(peer.serves.includes('http') ? [http.entry, ...(peer.many ? [closed] : [])] : []),
  ];
  return { entries: peer.many ? entries : entries.slice(0, 1), stop: () => (http.stop(), stdio.stop()) };
}

const secrets = {
  title: 'Secrets of servers (env, bearer, key in a URL) are in no page without login, and in no log',
  async run(peer) {
    const { entries, stop } = await secretServers(peer);
    const gateway = await launch(peer, entries);
    try {
      const { wire } = await firstList(gateway, 1, 40_000);
      await sleep(3000);
      wire.close();
      const texts = written(gateway);
      for (const page of PAGES) {
        const answer = await send(gateway.base + page, { method: 'GET', wait: 3000 }).catch(() => undefined);
        const text = answer && (await Promise.race([textOf(answer).catch(() => ''), sleep(1500, '')]));
        answer?.destroy();
        if (text) texts.push({ where: `GET ${page}`, text });
      }
      const found = Object.entries(SECRETS).flatMap(([what, secret]) => {
        const places = texts.filter(({ text }) => text.includes(secret)).map(({ where }) => where);
        return places.length > 0 ? [`${what}: ${places.slice(0, 3).join(', ')}`] : [];
      });
      const tried = `${entries.length} server${entries.length > 1 ? 's' : ''}`;
      return found.length === 0 ? yes(`${tried}: none found`) : no(found.join('; '));
    } finally {
      await gateway.stop();
      stop();
    }
  },
};

const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'page', version: '1' } },
});

/** What a gateway says to a first request with these headers. */
async function firstRequest(gateway, headers) {
  const own = { ...gateway.headers, ...headers };
  const post = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...own };
  const answer =
    gateway.kind === 'sse'
      ? await send(gateway.url, {
          method: 'GET',
          headers: { accept: 'text/event-stream', ...own },
          wait: 5000,
        })
      : await send(gateway.url, { headers: post, body: INITIALIZE, wait: 5000 });
  const allowed = answer.headers['access-control-allow-origin'];
  answer.destroy();
  return { status: answer.statusCode, allowed };
}

const foreign = (title, headers) => ({
  title,
  async run(peer) {
    const server = await serverFor(peer, 'one', {});
    try {
      return await withGateway(peer, [server.entry], async (gateway) => {
        const plain = await firstRequest(gateway, {});
        if (plain.status !== 200) throw new Error(`a plain request gives ${plain.status}`);
        const { status, allowed } = await firstRequest(gateway, headers);
        if (status >= 400 && status < 500) return yes(`${status}`);
        const cors = headers.origin ? `, Access-Control-Allow-Origin: ${allowed ?? 'none'}` : '';
        return no(`${status}${cors}`);
      });
    } finally {
      await server.stop();
    }
  },
});

export const edgeProbes = [
  orphans,
  secrets,
  foreign('A Host header from elsewhere (DNS rebinding) is refused', { host: 'elsewhere.example' }),
  foreign('A foreign Origin is refused', { origin: 'http://elsewhere.example' }),
];
