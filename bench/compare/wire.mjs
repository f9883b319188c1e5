// A client that parses as little as possible, for the figures: one session, over Streamable HTTP or HTTP+SSE.
import { Agent, request } from 'node:http';

const LONGEST_MS = 60_000;
const VERSION = '2025-06-18';
const initialize = {
  protocolVersion: VERSION,
  capabilities: {},
  clientInfo: { name: 'compare', version: '1' },
};

/** Sends a request; resolves to the response when its headers have arrived. */
export function send(url, { method = 'POST', headers, body, agent, wait = LONGEST_MS } = {}) {
  return new Promise((resolve, reject) => {
    const req = request(url, { method, headers, agent }, resolve);
    req.on('error', reject);
    req.setTimeout(wait, () => req.destroy(new Error(`nothing comes from ${url}`)));
    req.end(body);
  });
}

export async function textOf(res) {
  const parts = [];
  for await (const chunk of res) parts.push(chunk);
  return Buffer.concat(parts).toString('latin1');
}

const POST = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
const bodyOf = (method, params, id) => JSON.stringify({ jsonrpc: '2.0', id, method, params });

/** The text of an answer, checked to be a result. */
function checked(status, text) {
  if (status !== 200 || !text.includes('"result"') || /"isError":\s*true/.test(text.slice(-200)))
    throw new Error(`${status} ${text.slice(0, 200)}`);
  return text;
}

async function openHttp(url, more, agent) {
  const headers = { ...POST, ...more };
  const post = (body) => send(url, { headers, body, agent });
  const answer = await post(bodyOf('initialize', initialize, 0));
  checked(answer.statusCode, await textOf(answer));
  const id = answer.headers['mcp-session-id'];
  if (id) headers['mcp-session-id'] = id;
  headers['mcp-protocol-version'] = VERSION;
  await textOf(await post(bodyOf('notifications/initialized')));
  return async (method, params, nth) => {
    const res = await post(bodyOf(method, params, nth));
    return checked(res.statusCode, await textOf(res));
  };
}

/** Calls `hear` with each event of a stream. */
function listen(res, hear) {
  let parts = [];
  res.setEncoding('latin1').on('data', (chunk) => {
    parts.push(chunk);
    if (!chunk.includes('\n')) return;
    const whole = parts.join('').replaceAll('\r\n', '\n').split('\n\n');
    parts = [whole.pop()];
    for (const event of whole) {
      const data = /^data: ?(.*)$/m.exec(event)?.[1];
      if (data !== undefined) hear(/^event: ?(.*)$/m.exec(event)?.[1] ?? 'message', data);
    }
  });
}

async function openSse(url, more, agent, closers) {
  const stream = await send(url, { method: 'GET', headers: { accept: 'text/event-stream', ...more } });
  closers.push(() => stream.destroy());
  if (stream.statusCode !== 200) throw new Error(`${stream.statusCode} ${await textOf(stream)}`);
  const waiting = new Map();
  let found;
  const endpoint = new Promise((resolve) => (found = resolve));
  stream.on('error', () => {});
  listen(stream, (event, data) => {
    if (event === 'endpoint') return found(new URL(data, url));
    const id = Number(/"id": ?(\d+)[,}]/.exec(data.slice(0, 100) + data.slice(-100))?.[1]);
    waiting.get(id)?.(data);
    waiting.delete(id);
  });
  const target = await endpoint;
  const post = async (body) => textOf(await send(target, { headers: { ...POST, ...more }, body, agent }));
  const ask = (method, params, id) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer to ${method}`)), LONGEST_MS);
      waiting.set(id, (data) => {
        clearTimeout(timer);
        try {
          resolve(checked(200, data));
        } catch (error) {
          reject(error);
        }
      });
      post(bodyOf(method, params, id)).catch(reject);
    });
  await ask('initialize', initialize, 0);
  await post(bodyOf('notifications/initialized'));
  return ask;
}

/** {ask(method, params) -> text, close}: a session at a running gateway. */
export async function openWire({ url, kind = 'http', headers = {} }, connections = 8) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const closers = [() => agent.destroy()];
  const open = kind === 'sse' ? openSse : openHttp;
  let next = 1;
  try {
    const asks = await open(url, headers, agent, closers);
    return {
      ask: (method, params = {}) => asks(method, params, next++),
      close: () => closers.forEach((close) => close()),
    };
  } catch (error) {
    closers.forEach((close) => close());
    throw error;
  }
}

/** The message in the text of an answer, be it JSON or events. */
export function messageOf(text) {
  const lines = text.startsWith('{')
    ? [text]
    : [...text.matchAll(/^data: ?(\{.*)$/gm)].map(([, line]) => line);
  const messages = lines.map((line) => JSON.parse(line));
  return messages.findLast(({ result, error }) => result ?? error);
}

/** The names of all tools that a session sees. */
export async function toolNames(wire) {
  const names = [];
  let cursor;
  do {
    const { result } = messageOf(await wire.ask('tools/list', cursor ? { cursor } : {}));
    names.push(...result.tools.map(({ name }) => name));
    cursor = result.nextCursor;
  } while (cursor && names.length < 100_000);
  return names;
}
