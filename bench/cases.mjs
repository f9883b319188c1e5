// The cases. A result is a single string, a document with many escapes, as most tools return. *structured* has its records as text
// and as data, which costs a gateway that parses several times as much.
// `limits`: the maximum ratios of CPU per call, and of p99, to another gateway, and the maximum memory in MB.
import { BOTH } from './client.mjs';

export const SIZES = {
  '0.2k': 200,
  '10k': 10_000,
  '100k': 100_000,
  '1m': 1_000_000,
  '10m': 10_000_000,
  '30m': 30_000_000,
  '100m': 100_000_000,
};

const request = (method, params) => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
const some = { path: '/tmp/some/file.txt', limit: 10 };

export const toolCall = (name, args = some, _meta = undefined) =>
  request('tools/call', { name, arguments: args, _meta });

const call = (tool, more) => ({
  body: toolCall(`bench__${tool}`),
  accept: BOTH,
  connections: 16,
  bytes: SIZES[tool.split('-')[1]],
  ...more,
});

/** A list of that many tools, of an upstream that has no more. */
const list = (count, more) => ({
  name: `tools/list, ${count.toLocaleString('en')} tools`,
  body: request('tools/list'),
  accept: BOTH,
  connections: 16,
  bytes: count * 100,
  path: `/mcp/${count}`,
  without: ['nginx', 'bare'],
  ...more,
});

/** Few calls of 10 MB, or lists of 10,000 tools, fit into a round: load.mjs says what `drain` is for. */
const few = { connections: 4, drain: true };
const sent = (bytes) => ({ body: toolCall('bench__json-0.2k', { path: '', text: 'x'.repeat(bytes) }) });

export const httpCases = [
  { name: '0.2 KB', ...call('json-0.2k'), limits: { rust: 1.1 }, quick: true },
  { name: '10 KB', ...call('json-10k'), limits: { rust: 0.75 } },
  { name: '100 KB', ...call('json-100k'), limits: { rust: 0.3, nginx: 2 }, quick: true },
  { name: '100 KB structured', ...call('data-100k'), limits: { rust: 0.3 }, quick: true },
  { name: '1 MB', ...call('json-1m'), limits: { rust: 0.2, nginx: 1.8 } },
  { name: '1 MB structured', ...call('data-1m'), limits: { rust: 0.2 } },
  { name: '10 MB', ...call('json-10m', few), limits: { rust: 0.15 } },
  { name: 'SSE 0.2 KB', ...call('sse-0.2k'), limits: { rust: 1.3 }, quick: true },
  { name: 'SSE 10 KB', ...call('sse-10k') },
  { name: 'SSE 100 KB', ...call('sse-100k'), limits: { rust: 0.5 } },
  { name: 'SSE 1 MB', ...call('sse-1m') },
  { name: 'SSE 10 MB', ...call('sse-10m', few) },
  list(20),
  list(1000, { limits: { rust: 0.03 }, quick: true }),
  list(10_000, few),
  { name: '0.2 KB, 1 connection', ...call('json-0.2k', { connections: 1 }) },
  { name: '0.2 KB, 256 connections', ...call('json-0.2k', { connections: 256 }) },
  { name: '100 KB, 1 connection', ...call('json-100k', { connections: 1 }) },
  {
    name: '100 KB, 256 connections',
    ...call('json-100k', { connections: 256 }),
    limits: { p99: { nginx: 3 }, peak: 200 },
  },
  // Beside those; run with --all.
  { name: '0.2 KB, id last', ...call('last-0.2k'), extra: true },
  { name: '100 KB, id last', ...call('last-100k'), extra: true },
  { name: 'a request of 100 KB', ...call('json-0.2k'), ...sent(100_000), extra: true },
  { name: 'a request of 1 MB', ...call('json-0.2k'), ...sent(1_000_000), extra: true },
  { name: 'SSE in, JSON out, 100 KB', ...call('sse-100k', { accept: 'application/json' }), extra: true },
  { name: 'SSE out, 0.2 KB', ...call('json-0.2k', { accept: 'text/event-stream' }), extra: true },
  { name: 'SSE out, 100 KB', ...call('json-100k', { accept: 'text/event-stream' }), extra: true },
];

/** Within one session, as some of the gateways need, where each call needs an id of its own. */
const inSession = { unique: true };
const cheaper = (times) => ({ 'mcp-proxy': 1 / times, supergateway: 1 / times });

export const stdioCases = [
  { name: '0.2 KB', ...call('json-0.2k', inSession), limits: cheaper(15), quick: true },
  { name: '10 KB', ...call('json-10k', inSession) },
  { name: '100 KB', ...call('json-100k', inSession) },
  { name: '1 MB', ...call('json-1m', { ...inSession, ...few }), limits: cheaper(20), quick: true },
  { name: '10 MB', ...call('json-10m', { ...inSession, ...few }) },
  list(1000, { ...inSession, without: [] }),
];

const MODERN = '2026-07-28';

/** What a call of a modern client says of itself. */
const meta = {
  'io.modelcontextprotocol/protocolVersion': MODERN,
  'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } },
  'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' },
};
export const modernCall = (name) => ({
  body: toolCall(name, some, meta),
  headers: { 'MCP-Protocol-Version': MODERN, 'Mcp-Method': 'tools/call', 'Mcp-Name': name },
  accept: BOTH,
});

/** A call of a client of one era to a server of one. */
function crossing(client, server, size) {
  const tool = `${server === 'modern' ? 'modern' : 'bench'}__json-${size}`;
  const sent = client === 'modern' ? modernCall(tool) : { body: toolCall(tool), accept: BOTH };
  return {
    name: `${client} client, ${server} server`,
    isBridge: client !== server,
    ...sent,
    connections: 16,
    bytes: SIZES[size],
  };
}

const ERAS = ['legacy', 'modern'];
export const crossings = (size) =>
  ERAS.flatMap((client) => ERAS.map((server) => crossing(client, server, size)));
