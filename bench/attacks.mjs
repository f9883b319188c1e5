// The most expensive input that a hostile server or client can send to a gateway. Each attack gets the gateway and a hostile server, and
// ends when everything was sent and, if there is an answer, answered.
import { request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const BOTH = 'application/json, text/event-stream';
export const nested = (levels, open = '[', close = ']') => open.repeat(levels) + close.repeat(levels);

/** A POST, its answer read to the end, or not read at all. Gives the status; 0: the connection was cut. */
export function post(url, body, { headers = {}, read = true, accept = BOTH } = {}) {
  return new Promise((resolve) => {
    const req = request(url, {
      method: 'POST',
      agent: false,
      headers: {
        'content-type': 'application/json',
        accept,
        'content-length': Buffer.byteLength(body),
        ...headers,
      },
    });
    req.on('response', (res) => {
      const done = () => resolve({ status: res.statusCode, headers: res.headers, req });
      if (!read) return done();
      res.on('data', () => {}).on('close', done);
    });
    req.on('error', () => resolve({ status: 0, headers: {}, req }));
    req.end(body);
  });
}

const call = (name, args = '{}', meta = '') =>
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${name}","arguments":${args}${meta}}}`;

async function session(url, capabilities = '{}', clientInfo = '{"name":"c","version":"1"}') {
  const body = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":${capabilities},"clientInfo":${clientInfo}}}`;
  const { headers } = await post(url, body);
  return { 'mcp-session-id': headers['mcp-session-id'] ?? '', 'mcp-protocol-version': '2025-11-25' };
}

const envelope = (id, result) => `{"jsonrpc":"2.0","id":${id},"result":${result}}`;
const FINE = '{"content":[]}';
const MODERN = (capabilities) =>
  `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":${capabilities},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}`;
const modernHeaders = (name) => ({
  'mcp-protocol-version': '2026-07-28',
  'mcp-method': 'tools/call',
  'mcp-name': name,
});

/** Waits until the client has read everything, or disconnected. */
const roomIn = (res) =>
  new Promise((resolve) => {
    const done = () => {
      res.off('drain', done).off('close', done);
      resolve();
    };
    res.on('drain', done).on('close', done);
  });

async function write(res, bytes, piece) {
  for (let at = 0; at < bytes.length && !res.destroyed; at += piece) {
    const more = res.write(bytes.subarray(at, at + piece));
    if (!more) await roomIn(res);
    else if (piece < 4096) await new Promise(setImmediate);
  }
}

/** Answers a `tools/call` of the hostile server; `kind` is the tool's name. */
export const tools = {
  async head_16mb(res, id) {
    res.writeHead(200, { 'content-type': 'application/json' });
    await write(
      res,
      Buffer.from(`{"x":"${'a'.repeat(16e6)}","jsonrpc":"2.0","id":${id},"result":${FINE}}`),
      65536,
    );
    res.end();
  },
  async head_1mb_in_pieces(res, id) {
    res.writeHead(200, { 'content-type': 'application/json' });
    await write(
      res,
      Buffer.from(`{"x":"${'a'.repeat(1e6)}","jsonrpc":"2.0","id":${id},"result":${FINE}}`),
      256,
    );
    res.end();
  },
  async notification_60mb(res, id) {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const text = `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":[${'0,'.repeat(29e6)}0]}}\n\n`;
    await write(res, Buffer.from(text), 65536);
    res.end(`data: ${envelope(id, FINE)}\n\n`);
  },
  async carriage_returns(res, id) {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    await write(res, Buffer.alloc(8e6, '\r'), 65536);
    res.end(`data: ${envelope(id, FINE)}\n\n`);
  },
  async short_lines(res, id) {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    await write(res, Buffer.from(`data:{\n${'data: \n'.repeat(1_300_000)}`), 65536);
    res.end(`data:${envelope(id, FINE).slice(1)}\n\n`);
  },
  async pings(res, id) {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const long = 'x'.repeat(900);
    for (let n = 0; n < 4000; n++)
      res.write(`data: {"jsonrpc":"2.0","id":"${long}${n}","method":"ping"}\n\n`);
    await sleep(1500);
    res.end(`data: ${envelope(id, FINE)}\n\n`);
  },
  async questions(res, id) {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const image = 'x'.repeat(5e6);
    for (let n = 0; n < 60 && !res.destroyed; n++) {
      const text = `data: {"jsonrpc":"2.0","id":${n},"method":"sampling/createMessage","params":{"maxTokens":1,"messages":[{"role":"user","content":{"type":"text","text":"${image}"}}]}}\n\n`;
      await Promise.race([write(res, Buffer.from(text), 65536), sleep(100)]);
    }
    await sleep(500);
    res.end(`data: ${envelope(id, FINE)}\n\n`);
  },
  async ask(res, id) {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(
      'data: {"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{}}}}\n\n',
    );
    await sleep(1500);
    res.end(`data: ${envelope(id, FINE)}\n\n`);
  },
  deep_result(res, id) {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(envelope(id, `{"structuredContent":${nested(4e6)},"content":[]}`));
  },
  retry_0(res) {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.end('retry: 0\nid: 1\ndata: \n\n');
  },
};

const evil = (kind, more) => ({
  run: ({ url }) => post(url, call(`evil__${kind}`), { headers: more }),
});

/** `servers`: how many entries of the hostile server there are; `templates`: what it lists. */
export const attacks = [
  { name: 'answer with 16 MB before its result', ...evil('head_16mb') },
  { name: 'answer with 1 MB before its result, in pieces of 256 bytes', ...evil('head_1mb_in_pieces') },
  { name: 'notification of 58 MB of JSON', ...evil('notification_60mb') },
  { name: 'event stream of 8 MB of CR', ...evil('carriage_returns') },
  { name: 'event of 1,300,000 lines of a space', ...evil('short_lines') },
  { name: 'result nested 4,000,000 deep', ...evil('deep_result') },
  { name: '4,000 pings whose answers are not read', ...evil('pings') },
  {
    name: '60 questions of 5 MB to a client that does not read',
    async run({ url }) {
      const headers = await session(url, '{"sampling":{}}');
      const { req } = await post(url, call('evil__questions'), { headers, read: false });
      await sleep(8000);
      req.destroy();
    },
  },
  {
    name: 'resumption of a stream that ends at once with retry: 0',
    run: ({ url }) => Promise.race([post(url, call('evil__retry_0')), sleep(4000)]),
  },
  {
    name: 'batch of 950,000 zeros',
    run: ({ url }) => post(url, `[${'0,'.repeat(949_999)}0]`),
  },
  {
    name: 'batch of 5,000 tools/list',
    run: ({ url }) =>
      post(
        url,
        `[${Array.from({ length: 5000 }, (_, id) => `{"jsonrpc":"2.0","id":${id},"method":"tools/list"}`)}]`,
      ),
  },
  {
    name: '3,000 pipelined GET /health, unread',
    async run({ base }) {
      const { port } = new URL(base);
      const sockets = Array.from({ length: 8 }, () => {
        const socket = connect(Number(port), '127.0.0.1');
        socket.on('error', () => {});
        socket.pause();
        socket.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(3000));
        return socket;
      });
      await sleep(3000);
      for (const socket of sockets) socket.destroy();
    },
  },
  {
    name: '60 sessions with capabilities of 5 MB',
    async run({ url }) {
      const large = JSON.stringify({ experimental: { x: 'x'.repeat(5e6) } });
      for (let n = 0; n < 60; n++) await session(url, large);
    },
  },
  {
    name: 'log level of 1,000 sessions, 100 servers, changed by each',
    servers: 100,
    async run({ url }) {
      const sessions = [];
      for (let n = 0; n < 1000; n++) sessions.push(await session(url));
      for (const headers of sessions) {
        const level = sessions.indexOf(headers) % 2 === 0 ? 'debug' : 'error';
        await post(
          url,
          `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"${level}"}}`,
          { headers },
        );
      }
    },
  },
  {
    name: 'reads against 20,000 templates of 2,000 characters',
    templates: 20_000,
    async run({ url }) {
      for (let n = 0; n < 5; n++)
        await post(
          url,
          `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a://${'a'.repeat(2000)}"}}`,
        );
    },
  },
  {
    name: 'arguments of 3 MB, 120 deep, at a parked call',
    run: ({ url }) =>
      post(
        url,
        call(
          'evil__ask',
          nested(119, `{"a":[${'10,'.repeat(8_300)}0],"b":`, '}').replace(':}', ':0}'),
          MODERN('{"elicitation":{"form":{}}}'),
        ),
        { headers: modernHeaders('evil__ask') },
      ),
  },
  {
    name: 'arguments of 1,000,000 values',
    run: ({ url }) => post(url, call('evil__none', `{"a":[${'0,'.repeat(999_980)}0]}`)),
  },
  {
    name: 'reload of a file with ${A:-${A:- 200,000 deep',
    config: (text) => `${text}\n    headers: {X: '${'${A:-'.repeat(200_000)}${'}'.repeat(200_000)}'}\n`,
    run: ({ base }) => post(`${base}/-/reload`, ''),
  },
  {
    name: 'reload of a file with 4 MB of anchors',
    config: (text) =>
      `${text}\nx: [${Array.from({ length: 120_000 }, (_, n) => `&a${n} {b: *a${Math.max(0, n - 1)}}`).join(', ')}]\n`,
    run: ({ base }) => post(`${base}/-/reload`, ''),
  },
];
