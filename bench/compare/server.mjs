// The MCP server behind each gateway in the probes, on the official SDK.
//   node server.mjs '{"transport":"stdio"|"http","name":..,"port":..,"tools":..,"page":..,"failList":..,"stays":..,"events":FILE}'
// It appends to the file `events` what it sees: its start, and calls that were cancelled.
import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const options = JSON.parse(process.argv[2]);
const { transport, name, port, tools = 0, page, failList = false, stays = false, events } = options;
const record = (event) => events && appendFileSync(events, `${JSON.stringify({ name, ...event })}\n`);

const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });
const input = { type: 'object', properties: { tag: { type: 'string' } } };
const form = { type: 'object', properties: { answer: { type: 'string' } }, required: ['answer'] };

const handlers = {
  /** The argument, and who answered. */
  echo: ({ tag }) => text(`${name} ${tag ?? ''}`),
  /** Three notifications, then the answer. */
  async steps(_, { _meta, sendNotification }) {
    for (let step = 1; step <= 3; step++) {
      const params = { progressToken: _meta?.progressToken, progress: step, total: 3 };
      if (params.progressToken !== undefined)
        await sendNotification({ method: 'notifications/progress', params });
      await sleep(150);
    }
    return text('done');
  },
  /** Waits until it is cancelled. */
  async hang({ tag }, { signal }) {
    record({ event: 'called', tag });
    const how = await new Promise((resolve) => {
      const timer = setTimeout(() => resolve('timeout'), 20_000);
      signal.addEventListener('abort', () => (clearTimeout(timer), resolve('cancelled')));
    });
    record({ event: how, tag });
    return text(how);
  },
  /** Asks the caller, and gives the tag beside what was answered. */
  async ask({ tag }, { sendRequest }, { ElicitResultSchema }) {
    await sleep(300);
    const params = { message: `for ${tag}`, requestedSchema: form };
    const result = await sendRequest({ method: 'elicitation/create', params }, ElicitResultSchema);
    return text(`${tag}=${result.content?.answer ?? result.action}`);
  },
};

const list = [
  ...Object.keys(handlers).map((each) => `${each}_${name}`),
  ...Array.from({ length: Math.max(0, tools - Object.keys(handlers).length) }, (_, n) => `tool_${name}_${n}`),
];

async function createMcp() {
  const types = await import('@modelcontextprotocol/sdk/types.js');
  const server = new Server({ name, version: '1' }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, ({ params }) => {
    if (failList) throw new Error('this list fails');
    const from = Number(params?.cursor ?? 0);
    const end = page ? from + page : list.length;
    const shown = list
      .slice(from, end)
      .map((each) => ({ name: each, description: each, inputSchema: input }));
    return { tools: shown, ...(end < list.length ? { nextCursor: String(end) } : {}) };
  });
  server.setRequestHandler(CallToolRequestSchema, ({ params }, extra) =>
    handlers[params.name.split('_')[0]](params.arguments ?? {}, extra, types),
  );
  return server;
}

async function body(req) {
  let whole = '';
  for await (const chunk of req) whole += chunk;
  return whole === '' ? undefined : JSON.parse(whole);
}

async function serveHttp() {
  const sessions = new Map();
  const handle = async (req, res) => {
    const id = req.headers['mcp-session-id'];
    const parsed = await body(req);
    if (sessions.has(id)) return sessions.get(id).handleRequest(req, res, parsed);
    if (id !== undefined || parsed?.method !== 'initialize') {
      res.writeHead(id === undefined ? 400 : 404, { 'content-type': 'application/json' });
      const error = { code: -32001, message: 'Session not found' };
      return res.end(JSON.stringify({ jsonrpc: '2.0', id: null, error }));
    }
    const opened = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (made) => sessions.set(made, opened),
    });
    await (await createMcp()).connect(opened);
    return opened.handleRequest(req, res, parsed);
  };
  const server = createServer((req, res) => void handle(req, res).catch(() => res.destroy()));
  await new Promise((resolve) => server.listen(port ?? 0, '127.0.0.1', resolve));
  console.log(server.address().port);
}

if (transport === 'http') await serveHttp();
else {
  // Many servers have a timer or a connection of their own that keeps them alive when their input ends.
  if (stays) setInterval(() => {}, 1000);
  await (await createMcp()).connect(new StdioServerTransport());
}
record({ event: 'started', pid: process.pid });
