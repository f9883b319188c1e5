// A fast MCP server: fixed answers by size with the caller's id spliced in. Prints its port.
// Tools: json-SIZE (id first), last-SIZE (id last), sse-SIZE, data-SIZE (structured); 1,000 more fill the list.
import { createServer } from 'node:http';
import { SIZES } from './cases.mjs';

const RECORD = { id: 48213, path: 'src/server/index.ts', line: 118, text: 'const a = "b";', score: 0.8125 };
// What tools return mostly: a document as text, so that the JSON string is full of escapes.
const ESCAPED = JSON.stringify(`${JSON.stringify(RECORD, null, 2)},\n`).slice(1, -1);
const BLOCK = Buffer.from(ESCAPED.repeat(512));
const HEAD = '{"content":[{"type":"text","text":"';
const TAIL = '"}]}';

/** A text of this many bytes that does not end inside an escape. */
function text(size) {
  const whole = Math.floor(size / ESCAPED.length) * ESCAPED.length;
  return Buffer.alloc(size, ' ').fill(ESCAPED, 0, whole);
}
/** The same records as text and as data, as the specification recommends for structured results. */
function data(size) {
  const one = JSON.stringify(RECORD);
  const count = Math.ceil(size / (one.length + JSON.stringify(one).length));
  const matches = Array(count).fill(RECORD);
  const content = [{ type: 'text', text: JSON.stringify({ matches }) }];
  return Buffer.from(JSON.stringify({ content, structuredContent: { matches } }));
}
const small = (size) => size <= 1_000_000;
/** Every small result, made beforehand. */
const results = new Map();
for (const [name, size] of Object.entries(SIZES).filter(([, bytes]) => small(bytes))) {
  const result = Buffer.concat([Buffer.from(HEAD), text(size), Buffer.from(TAIL)]);
  for (const kind of ['json', 'last', 'sse']) results.set(`${kind}-${name}`, result);
  results.set(`data-${name}`, data(size));
}

const schema = {
  type: 'object',
  properties: { path: { type: 'string', description: 'Where' }, limit: { type: 'integer', minimum: 1 } },
  required: ['path'],
};
const names = [
  ...Object.keys(SIZES).flatMap((size) => ['json', 'last', 'sse', 'data'].map((kind) => `${kind}-${size}`)),
  ...Array.from({ length: 1000 }, (_, n) => `tool_number_${n}`),
];
const tools = JSON.stringify(
  names.map((name) => ({
    name,
    description: `Does what ${name} says, as a real one would`,
    inputSchema: schema,
  })),
);
const initialize = JSON.stringify({
  protocolVersion: '2025-06-18',
  capabilities: { tools: {} },
  serverInfo: { name: 'bench', version: '1' },
});

function json(res, body) {
  const bytes = Buffer.from(body);
  res.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.length });
  res.end(bytes);
}

/** Writes `size` bytes no faster than they are read. */
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

/** What a modern result has first. */
const MODERN = '{"resultType":"complete",';

function call(res, id, tool, first) {
  const [kind, size] = tool.split('-');
  const envelope =
    kind === 'last'
      ? ['{"result":', `,"jsonrpc":"2.0","id":${id}}`]
      : [`{"jsonrpc":"2.0","id":${id},"result":`, '}'];
  const [open, close] =
    kind === 'sse' ? [`event: message\ndata: ${envelope[0]}`, `${envelope[1]}\n\n`] : envelope;
  const plain = results.get(tool);
  const result = plain && first ? Buffer.concat([Buffer.from(first), plain.subarray(1)]) : plain;
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

/** What a server of the modern era answers; it knows nothing of the other. */
function modern(res, id, method, body) {
  const hints = '"ttlMs":3600000,"cacheScope":"public"';
  const result = (members) =>
    json(res, `{"jsonrpc":"2.0","id":${id},"result":{"resultType":"complete",${members}}}`);
  if (method === 'tools/call') call(res, id, /"name":\s*"([^"]+)"/.exec(body)[1], MODERN);
  else if (method === 'server/discover')
    result(`"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},${hints}`);
  else if (method === 'tools/list') result(`"tools":${tools},${hints}`);
  else {
    const error = Buffer.from(
      `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"Method not found"}}`,
    );
    res.writeHead(404, { 'content-type': 'application/json', 'content-length': error.length }).end(error);
  }
}

const server = createServer((req, res) => {
  if (req.method !== 'POST') return res.writeHead(405).end();
  let body = '';
  req.setEncoding('latin1');
  req.on('data', (chunk) => (body += chunk));
  req.on('end', () => {
    const id = /"id":\s*([^,}\s]+)/.exec(body)?.[1];
    const method = /"method":\s*"([^"]+)"/.exec(body)?.[1];
    if (req.url === '/modern') modern(res, id, method, body);
    else if (method === 'tools/call') call(res, id, /"name":\s*"(?:bench__)?([^"]+)"/.exec(body)[1]);
    else if (id === undefined) res.writeHead(202).end();
    else if (method === 'initialize') json(res, `{"jsonrpc":"2.0","id":${id},"result":${initialize}}`);
    else if (method === 'tools/list') json(res, `{"jsonrpc":"2.0","id":${id},"result":{"tools":${tools}}}`);
    else if (method === 'ping') json(res, `{"jsonrpc":"2.0","id":${id},"result":{}}`);
    else json(res, `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"Method not found"}}`);
  });
});
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
