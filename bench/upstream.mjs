// A fast MCP server: fixed answers by size with the caller's id spliced in.
// node upstream.mjs [PORTS]: listens on that many ports and prints them. /mcp speaks the legacy era, /modern the
// modern one; /mcp/20 has a list of 20 tools instead of 1,000. results.mjs has the tools.
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { SIZES } from './cases.mjs';
import { BLOCK, HEAD, initialized, results, TAIL, text, toolList } from './results.mjs';

/** For nginx, which otherwise delays small chunks. */
const AT_ONCE = { 'x-accel-buffering': 'no' };
const SSE = { 'content-type': 'text/event-stream', ...AT_ONCE };
const lists = new Map();
function listOf(url) {
  const count = Number(/\/(\d+)$/.exec(url)?.[1] ?? 1000);
  if (!lists.has(count)) lists.set(count, toolList(count));
  return lists.get(count);
}

function json(res, body, status = 200) {
  const bytes = Buffer.from(body);
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length });
  res.end(bytes);
}
const answer = (res, id, result) => json(res, `{"jsonrpc":"2.0","id":${id},"result":${result}}`);
const unknown = (res, id, status) =>
  json(res, `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"Method not found"}}`, status);

/** Writes `size` bytes with backpressure. */
function pour(res, size, done) {
  let left = size;
  const more = () => {
    while (left > 0) {
      const chunk = left < BLOCK.length ? text(left) : BLOCK;
      left -= chunk.length;
      if (!res.write(chunk) && left > 0) return res.once('drain', more);
    }
    done();
  };
  more();
}

/** The first members of a modern result. */
const MODERN = '{"resultType":"complete",';
const modernResults = new Map(
  [...results].map(([tool, result]) => [tool, Buffer.concat([Buffer.from(MODERN), result.subarray(1)])]),
);

function call(res, id, tool, prepared = results) {
  const [kind, size] = tool.split('-');
  const envelope =
    kind === 'last'
      ? ['{"result":', `,"jsonrpc":"2.0","id":${id}}`]
      : [`{"jsonrpc":"2.0","id":${id},"result":`, '}'];
  const [open, close] =
    kind === 'sse' ? [`event: message\ndata: ${envelope[0]}`, `${envelope[1]}\n\n`] : envelope;
  const result = prepared.get(tool);
  const bytes = result ? result.length : HEAD.length + SIZES[size] + TAIL.length;
  res.writeHead(
    200,
    kind === 'sse'
      ? { 'content-type': 'text/event-stream' }
      : { 'content-type': 'application/json', 'content-length': open.length + bytes + close.length },
  );
  if (result) res.end(Buffer.concat([Buffer.from(open), result, Buffer.from(close)]));
  else {
    res.write(open + HEAD);
    pour(res, SIZES[size], () => res.end(TAIL + close));
  }
}

/** The time of a write, from the clock that all processes share. */
const stamp = () => `at:${process.hrtime.bigint()} `;

const special = {
  /** A notification, and later the answer. */
  async 'first-event'(res, id, body) {
    const progressToken = /"progressToken":\s*("[^"]*"|\d+)/.exec(body)?.[1] ?? '0';
    res.writeHead(200, SSE).flushHeaders();
    await sleep(20);
    const params = `{"progressToken":${progressToken},"progress":1,"message":"${stamp()}"}`;
    res.write(`data: {"jsonrpc":"2.0","method":"notifications/progress","params":${params}}\n\n`);
    await sleep(30);
    res.end(`data: {"jsonrpc":"2.0","id":${id},"result":${HEAD}${TAIL}}\n\n`);
  },
  /** The first 2 KB of an answer, and later the rest. */
  async 'first-part'(res, id) {
    await sleep(20);
    const [head, rest] = [`{"jsonrpc":"2.0","id":${id},"result":${HEAD}${stamp()}`, `${TAIL}}`];
    const filling = text(2000);
    const length = head.length + 2 * filling.length + rest.length;
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': length, ...AT_ONCE });
    res.write(head + filling.toString());
    await sleep(30);
    res.end(filling.toString() + rest);
  },
  /** An answer that never comes. */
  hang: (res) => res.writeHead(200, SSE).flushHeaders(),
  /** A question to the client, and an answer that never comes. */
  ask(res, id) {
    const properties = { name: { type: 'string' } };
    const params = { message: 'Which?', requestedSchema: { type: 'object', properties } };
    const question = { jsonrpc: '2.0', id: `question-${id}`, method: 'elicitation/create', params };
    res.writeHead(200, SSE).write(`data: ${JSON.stringify(question)}\n\n`);
  },
};

const toolOf = (body) => /"name":\s*"(?:bench__|modern__)?([^"]+)"/.exec(body)[1];

/** The answers of a modern-only server. */
function modern(req, res, id, method, body) {
  const hints = '"ttlMs":3600000,"cacheScope":"public"';
  const result = (members) => answer(res, id, `{"resultType":"complete",${members}}`);
  if (method === 'tools/call') call(res, id, toolOf(body), modernResults);
  else if (method === 'server/discover')
    result(`"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},${hints}`);
  else if (method === 'tools/list') result(`"tools":${listOf(req.url)},${hints}`);
  else unknown(res, id, 404);
}

function legacy(req, res, id, method, body) {
  if (method === 'tools/call') {
    const tool = toolOf(body);
    if (special[tool]) void special[tool](res, id, body);
    else call(res, id, tool);
  } else if (id === undefined) res.writeHead(202).end();
  else if (method === 'initialize') answer(res, id, initialized);
  else if (method === 'tools/list') answer(res, id, `{"tools":${listOf(req.url)}}`);
  else if (method === 'ping') answer(res, id, '{}');
  else unknown(res, id);
}

function listen() {
  const server = createServer((req, res) => {
    if (req.method !== 'POST') return res.writeHead(405).end();
    let body = '';
    req.setEncoding('latin1');
    req.on('data', (chunk) => (body += chunk));
    req.on('end', () => {
      const id = /"id":\s*([^,}\s]+)/.exec(body)?.[1];
      const method = /"method":\s*"([^"]+)"/.exec(body)?.[1];
      (req.url.startsWith('/modern') ? modern : legacy)(req, res, id, method, body);
    });
  });
  server.keepAliveTimeout = 120_000;
  return new Promise((resolve) => server.listen(0, '127.0.0.1', 4096, () => resolve(server.address().port)));
}

const ports = Array.from({ length: Number(process.argv[2] ?? 1) }, listen);
console.log(JSON.stringify(await Promise.all(ports)));
