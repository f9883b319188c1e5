// A server over stdio for the soak: `node marks.mjs legacy|modern NAME`. All its messages for a call contain the mark of the call; it says now
// and then that its tools have changed. Its tools are those that no packaged server has: long answers, and calls that end when they are cancelled.
import { Buffer } from 'node:buffer';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

const [era, name] = process.argv.slice(2);
const isModern = era === 'modern';
const META = 'io.modelcontextprotocol';
const tools = ['echo', 'steps', 'ask', 'sample', 'big', 'hang'].map((tool) => ({
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
