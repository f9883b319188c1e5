// What is measured. A result is one text, a document full of escapes, as most tools give; *structured* has its
// records as text and as data, which costs a gateway that parses several times as much.
// `limit` is the greatest allowed ratio to the Rust gateway.
export const SIZES = {
  '0.2k': 200,
  '10k': 10_000,
  '100k': 100_000,
  '1m': 1_000_000,
  '30m': 30_000_000,
  '100m': 100_000_000,
};

const BOTH = 'application/json, text/event-stream';

const call = (tool) => ({
  body: JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name: `bench__${tool}`, arguments: { path: '/tmp/some/file.txt', limit: 10 } },
  }),
  accept: BOTH,
  connections: 16,
});

const list = { body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}', accept: BOTH, connections: 16 };

export const cases = [
  { name: '0.2 KB', ...call('json-0.2k'), bytes: 200, limit: 1.5 },
  { name: '10 KB', ...call('json-10k'), bytes: 10_000 },
  { name: '100 KB', ...call('json-100k'), bytes: 100_000, limit: 0.4 },
  { name: '100 KB structured', ...call('data-100k'), bytes: 100_000, limit: 0.4 },
  { name: '1 MB', ...call('json-1m'), bytes: 1_000_000, limit: 0.25 },
  { name: '1 MB structured', ...call('data-1m'), bytes: 1_000_000, limit: 0.25 },
  { name: 'SSE 0.2 KB', ...call('sse-0.2k'), bytes: 200 },
  { name: 'SSE 100 KB', ...call('sse-100k'), bytes: 100_000 },
  { name: 'tools/list, 1,000 tools', ...list, bytes: 100_000, limit: 0.05, without: ['nginx'] },
  // Beside the table of the report; run with --all.
  { name: '0.2 KB, id last', ...call('last-0.2k'), bytes: 200, extra: true },
  { name: '100 KB, id last', ...call('last-100k'), bytes: 100_000, extra: true },
  { name: '0.2 KB, 256 connections', ...call('json-0.2k'), bytes: 200, connections: 256, extra: true },
  { name: 'SSE out 0.2 KB', ...call('json-0.2k'), accept: 'text/event-stream', bytes: 200, extra: true },
];

const MODERN = '2026-07-28';

/** A call of a client of one era to a server of one. */
function crossing(client, server, size) {
  const name = `${server === 'modern' ? 'modern' : 'bench'}__json-${size}`;
  const meta = {
    'io.modelcontextprotocol/protocolVersion': MODERN,
    'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } },
    'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' },
  };
  const params = { name, arguments: { path: '/tmp/some/file.txt', limit: 10 } };
  return {
    name: `${client} client, ${server} server`,
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: client === 'modern' ? { ...params, _meta: meta } : params,
    }),
    accept: BOTH,
    headers:
      client === 'modern'
        ? { 'MCP-Protocol-Version': MODERN, 'Mcp-Method': 'tools/call', 'Mcp-Name': name }
        : {},
    connections: 16,
    bytes: SIZES[size],
  };
}

const ERAS = ['legacy', 'modern'];
export const crossings = (size) =>
  ERAS.flatMap((client) => ERAS.map((server) => crossing(client, server, size)));
