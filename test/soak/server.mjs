// An MCP server for the soak test, over stdio (`stdio`) or HTTP (`http`, prints its port to stdout), legacy or, as `stdio-modern` and
// `http-modern`, modern. All its messages for a call contain the call's mark. Over HTTP it sometimes cuts connections and forgets
// sessions; over stdio the tool `die` ends it.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Buffer } from 'node:buffer';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

const [kind, name, chaosMs = '0'] = process.argv.slice(2);
const [transport, era = 'legacy'] = kind.split('-');
const isModern = era === 'modern';
const META = 'io.modelcontextprotocol';
const tools = ['echo', 'steps', 'ask', 'sample', 'big', 'hang', 'die'].map((tool) => ({
  name: tool,
  inputSchema: { type: 'object' },
}));
const resources = Array.from({ length: 10 }, (_, i) => ({ uri: `${name}://${i}`, name: String(i) }));
const waiting = new Map();
const cancelled = new Set();
let questions = 0;

const FORM = { type: 'object', properties: { mark: { type: 'string' } } };
const SAMPLING = { maxTokens: 5 };
const CAPABILITIES = {
  tools: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  prompts: { listChanged: true },
  completions: {},
  logging: {},
};
const HINTS = { ttlMs: 5000, cacheScope: 'public' };
/** Results that say how fresh they are. */
const HINTED = /^(server\/discover|resources\/read|.*\/list)$/;

/** `say` sends a message on the way of this call; `own` is the state of its session. */
async function answer(m, say, own) {
  const { method, params = {} } = m;
  const ask = (asked, more) => {
    // A modern server keeps nothing: what it was answered comes with the request, and what it knew too.
    if (isModern) {
      const given = params.inputResponses?.[asked];
      if (given && params.requestState === `state of ${params.arguments.mark}`)
        return Promise.resolve({ result: given });
      const inputRequests = { [asked]: { method: asked, params: more } };
      const state = `state of ${params.arguments.mark}`;
      return Promise.reject({ resultType: 'input_required', inputRequests, requestState: state });
    }
    const id = `q-${name}-${++questions}`;
    say({ id, method: asked, params: more });
    return new Promise((resolve) => waiting.set(id, resolve));
  };
  switch (method) {
    case 'server/discover':
      return isModern && { supportedVersions: ['2026-07-28'], capabilities: CAPABILITIES, ...HINTS };
    case 'initialize':
      if (isModern) return undefined;
      return {
        protocolVersion: params.protocolVersion,
        capabilities: CAPABILITIES,
        serverInfo: { name, version: '1' },
      };
    case 'ping':
    case 'logging/setLevel':
      return {};
    case 'resources/subscribe':
      own.subscribed.add(params.uri);
      return {};
    case 'resources/unsubscribe':
      own.subscribed.delete(params.uri);
      return {};
    case 'tools/list':
      return { tools };
    case 'resources/list':
      return { resources };
    case 'resources/templates/list':
      return { resourceTemplates: [{ uriTemplate: `${name}-t://{mark}`, name: 't' }] };
    case 'prompts/list':
      return { prompts: [{ name: 'p' }] };
    case 'prompts/get':
      return { messages: [{ role: 'user', content: { type: 'text', text: params.arguments.mark } }] };
    case 'resources/read':
      return { contents: [{ uri: params.uri, text: params.uri }] };
    case 'completion/complete':
      return { completion: { values: [params.argument.value] } };
    case 'tools/call':
      break;
    default:
      return undefined;
  }
  const { mark, n = 5, bytes = 0 } = params.arguments ?? {};
  const text = (value) => ({ content: [{ type: 'text', text: value }] });
  switch (params.name) {
    case 'steps':
      for (let progress = 1; progress <= n; progress++) {
        const progressToken = params._meta?.progressToken;
        say({
          method: 'notifications/progress',
          params: { progressToken, progress, total: n, message: mark },
        });
        await sleep(Math.random() * 30);
      }
      return text(mark);
    case 'ask': {
      const answered = await ask('elicitation/create', { message: mark, requestedSchema: FORM });
      return text(answered.result ? `${mark} ${answered.result.content?.mark}` : 'refused');
    }
    case 'sample': {
      const messages = [{ role: 'user', content: { type: 'text', text: mark } }];
      const answered = await ask('sampling/createMessage', { ...SAMPLING, messages });
      return text(answered.result ? `${mark} ${answered.result.content?.text}` : 'refused');
    }
    case 'big':
      return text(mark.padEnd(bytes, '.'));
    case 'hang':
      while (!cancelled.delete(m.id)) await sleep(50);
      return text(mark);
    case 'die':
      return process.exit(1);
    default:
      return text(mark);
  }
}

async function handle(m, say, own) {
  if (m.method === undefined) {
    waiting.get(m.id)?.(m);
    waiting.delete(m.id);
    return undefined;
  }
  if (m.method === 'notifications/cancelled') cancelled.add(m.params.requestId);
  if (m.id === undefined) return undefined;
  const answered = await answer(m, say, own).catch((needed) => needed);
  const result =
    answered && isModern
      ? { resultType: 'complete', ...(HINTED.test(m.method) ? HINTS : {}), ...answered }
      : answered;
  return result ? { id: m.id, result } : { id: m.id, error: { code: -32601, message: 'Method not found' } };
}

const text = (value) => JSON.stringify({ jsonrpc: '2.0', ...value });
let update = 0;
/** Notifications to a session outside its calls. */
function gossip(say, { subscribed, id }) {
  const meta = id === undefined ? {} : { _meta: { [`${META}/subscriptionId`]: id } };
  for (const uri of subscribed)
    say({ method: 'notifications/resources/updated', params: { uri, n: ++update, ...meta } });
  if (Math.random() < 0.05) say({ method: 'notifications/tools/list_changed', params: meta });
}

/** Modern streams of changes, with their filters. */
function listener(m, say) {
  const { notifications } = m.params;
  const meta = { [`${META}/subscriptionId`]: m.id };
  say({ method: 'notifications/subscriptions/acknowledged', params: { _meta: meta, notifications } });
  return { id: m.id, subscribed: new Set(notifications.resourceSubscriptions ?? []) };
}

if (transport === 'stdio') {
  const own = { subscribed: new Set() };
  const streams = new Map();
  const say = (value) => process.stdout.write(`${text(value)}\n`);
  setInterval(() => {
    if (!isModern) gossip(say, own);
    for (const stream of streams.values()) gossip(say, stream);
  }, 200).unref();
  let rest = Buffer.alloc(0);
  process.stdin.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const m = JSON.parse(rest.toString('utf8', 0, end));
      rest = rest.subarray(end + 1);
      if (isModern && m.method === 'subscriptions/listen') streams.set(m.id, listener(m, say));
      else void handle(m, say, own).then((reply) => reply && say(reply));
      if (m.method === 'notifications/cancelled') streams.delete(m.params.requestId);
    }
  });
  process.stdin.on('end', () => process.exit(0));
} else {
  const sessions = new Map();
  const streams = new Set();
  /** One request that stands alone; its headers must say what its body says. */
  const modern = async (req, res, m) => {
    const named = m.params?.name ?? m.params?.uri;
    const right =
      req.headers['mcp-method'] === m.method &&
      (!/^(tools\/call|prompts\/get|resources\/read)$/.test(m.method) || req.headers['mcp-name'] === named) &&
      m.params?._meta?.[`${META}/protocolVersion`] === req.headers['mcp-protocol-version'];
    const json = (status, value) =>
      res.writeHead(status, { 'content-type': 'application/json' }).end(text({ id: m.id ?? null, ...value }));
    if (m.id === undefined) return res.writeHead(202).end();
    if (!right) return json(400, { error: { code: -32020, message: 'Header mismatch' } });
    const event = (value) => {
      if (!res.headersSent) res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(`data: ${text(value)}\n\n`);
    };
    res.on('close', () => cancelled.add(m.id));
    if (m.method === 'subscriptions/listen') {
      const stream = { ...listener(m, event), event };
      streams.add(stream);
      res.on('close', () => streams.delete(stream));
      return undefined;
    }
    const reply = await handle(m, event, {});
    if (reply.error) return json(404, reply);
    if (!res.headersSent) return json(200, reply);
    event(reply);
    return res.end();
  };
  const server = createServer((req, res) => void serve(req, res));
  server.keepAliveTimeout = 60_000;
  const sockets = new Set();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  const serve = async (req, res) => {
    const chunks = [];
    try {
      for await (const chunk of req) chunks.push(chunk);
    } catch {
      return;
    }
    res.on('error', () => {});
    if (isModern) return modern(req, res, JSON.parse(Buffer.concat(chunks).toString('utf8')));
    const id = req.headers['mcp-session-id'];
    const own = sessions.get(id);
    const event = (value) => {
      if (!res.headersSent) res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(`data: ${text(value)}\n\n`);
    };
    if (req.method === 'DELETE') {
      sessions.delete(id);
      res.writeHead(200).end();
    } else if (req.method === 'GET') {
      if (!own) return res.writeHead(404).end();
      res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      own.stream = event;
    } else {
      const m = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      if (m.method === 'initialize') {
        const fresh = randomUUID();
        sessions.set(fresh, { subscribed: new Set(), stream: undefined });
        res.setHeader('mcp-session-id', fresh);
      } else if (!own) {
        res.writeHead(404, { 'content-type': 'application/json' });
        return res.end(text({ id: m.id ?? null, error: { code: -32001, message: 'Session not found' } }));
      }
      const reply = await handle(m, event, own);
      if (!reply) res.writeHead(202).end();
      else if (res.headersSent) {
        event(reply);
        res.end();
      } else res.writeHead(200, { 'content-type': 'application/json' }).end(text(reply));
    }
    return undefined;
  };
  setInterval(() => {
    for (const own of sessions.values()) if (own.stream) gossip(own.stream, own);
    for (const stream of streams) gossip(stream.event, stream);
  }, 200);
  if (Number(chaosMs) > 0)
    setInterval(() => {
      const all = [...sockets];
      all[Math.floor(Math.random() * all.length)]?.destroy();
      if (Math.random() < 0.1) {
        const [oldest] = sessions.keys();
        sessions.delete(oldest);
      }
    }, Number(chaosMs));
  server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
}
