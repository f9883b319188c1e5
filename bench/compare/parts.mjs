// What the probes have alike: the servers behind a gateway, and a client on the official SDK.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { freePort } from '../targets.mjs';
import { isAlive, root } from './gateways.mjs';

const FILE = fileURLToPath(new URL('server.mjs', import.meta.url));

const children = new Set();
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));

function eventsOf(file) {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8').trim().split('\n').filter(Boolean).map(JSON.parse);
}

let count = 0;
/** A server as the gateway starts it. */
export function stdioServer(name, options = {}, env = {}) {
  const events = join(root, `events-${++count}`);
  const settings = JSON.stringify({ transport: 'stdio', name, events, ...options });
  return {
    entry: { name, command: process.execPath, args: [FILE, settings], env },
    events: () => eventsOf(events),
    pids: () =>
      eventsOf(events)
        .filter(({ event }) => event === 'started')
        .map(({ pid }) => pid),
    async restart() {
      // The gateway has to start it anew.
      for (const pid of this.pids().filter(isAlive)) process.kill(pid, 'SIGKILL');
    },
    stop() {
      for (const pid of this.pids().filter(isAlive)) process.kill(pid, 'SIGKILL');
    },
  };
}

/** A server over HTTP, which runs already. */
export async function httpServer(name, options = {}, headers = {}) {
  const events = join(root, `events-${++count}`);
  const port = await freePort();
  const settings = JSON.stringify({ transport: 'http', name, events, port, ...options });
  let child;
  const start = async () => {
    child = spawn(process.execPath, [FILE, settings], { stdio: ['ignore', 'pipe', 'ignore'] });
    children.add(child);
    await new Promise((resolve) => child.stdout.once('data', resolve));
  };
  const stop = async () => {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    children.delete(child);
  };
  await start();
  return {
    entry: { name, url: `http://127.0.0.1:${port}/mcp`, headers },
    events: () => eventsOf(events),
    async restart() {
      await stop();
      await start();
    },
    stop,
  };
}

/** A server of the kind that a gateway serves, HTTP first. */
export const serverFor = (peer, name, options) =>
  peer.serves.includes('http') ? httpServer(name, options) : stdioServer(name, options);

/** A client of the SDK, connected. `answer` gives what it says to a question. */
export async function connect({ url, kind, headers }, { answer } = {}) {
  const capabilities = answer ? { elicitation: {} } : {};
  const client = new Client({ name: 'compare', version: '1' }, { capabilities });
  if (answer) {
    const { ElicitRequestSchema } = await import('@modelcontextprotocol/sdk/types.js');
    client.setRequestHandler(ElicitRequestSchema, ({ params }) => ({
      action: 'accept',
      content: { answer: answer(params.message) },
    }));
  }
  const Transport = kind === 'sse' ? SSEClientTransport : StreamableHTTPClientTransport;
  await client.connect(new Transport(new URL(url), { requestInit: { headers } }));
  return client;
}

export async function allTools(client) {
  const names = [];
  let cursor;
  do {
    const page = await client.listTools(cursor ? { cursor } : {});
    names.push(...page.tools.map(({ name }) => name));
    cursor = page.nextCursor;
  } while (cursor && names.length < 10_000);
  return names;
}

/** The name that the gateway gives a tool of a server: each puts its own prefix before it, or none. */
export function toolOf(names, tool) {
  const same = (text) => text.replace(/[^a-zA-Z0-9]/g, '-');
  const found = names.find((name) => same(name).endsWith(same(tool)));
  if (!found) throw new Error(`${tool} is not listed; listed are ${names.slice(0, 5).join(', ') || 'none'}`);
  return found;
}

/** The text of an answer; throws if it is an error. */
export function textIn({ content, isError }) {
  const [{ text } = {}] = content ?? [];
  if (isError) throw new Error(`an error as the result: ${String(text).slice(0, 150)}`);
  return String(text);
}
export const call = async (client, name, args = {}, options) =>
  textIn(await client.callTool({ name, arguments: args }, undefined, options));
