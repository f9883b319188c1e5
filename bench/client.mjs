// Plain requests to a gateway that wrk cannot express.
import { request } from 'node:http';
import { TOKEN } from './targets.mjs';

export const BOTH = 'application/json, text/event-stream';

export const headersOf = ({ accept = BOTH, headers } = {}) => ({
  'Content-Type': 'application/json',
  Accept: accept,
  Authorization: `Bearer ${TOKEN}`,
  ...headers,
});

const LONGEST_MS = 30_000;

/** Sends a request; resolves to the response when its headers have arrived. */
export function open(url, body, { agent, headers, method = 'POST', accept } = {}) {
  return new Promise((resolve, reject) => {
    const req = request(url, { method, headers: headersOf({ accept, headers }), agent }, resolve);
    req.on('error', reject);
    req.setTimeout(LONGEST_MS, () => req.destroy(new Error(`nothing comes from ${url}`)));
    req.end(body && (typeof body === 'string' ? body : JSON.stringify(body)));
  });
}

export async function bytesOf(res) {
  let bytes = 0;
  for await (const chunk of res) bytes += chunk.length;
  if (!res.complete) throw new Error('the answer was cut');
  return bytes;
}

export async function textOf(res) {
  res.setEncoding('utf8');
  let text = '';
  for await (const chunk of res) text += chunk;
  return text;
}

const initialize = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'bench', version: '1' },
  },
};

/** Opens a session; returns the headers for its requests. */
export async function session(url, agent) {
  const answer = await open(url, initialize, { agent });
  await bytesOf(answer);
  const id = answer.headers['mcp-session-id'];
  if (answer.statusCode !== 200 || !id) throw new Error(`no session at ${url}: ${answer.statusCode}`);
  const headers = { 'Mcp-Session-Id': id, 'MCP-Protocol-Version': '2025-06-18' };
  await bytesOf(await open(url, { jsonrpc: '2.0', method: 'notifications/initialized' }, { agent, headers }));
  return headers;
}

/** Does something `count` times, 16 at once. */
export async function times(count, act) {
  let next = 0;
  const worker = async () => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}
