// The servers behind the gateway as processes, and the gateway in front of them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { createGateway } from '../../dist/index.js';

const START_LIMIT_MS = 30_000;
const CONNECT_LIMIT_MS = 30_000;
const pause = (ms) => new Promise((next) => setTimeout(next, ms));

const children = new Set();
process.on('exit', () => {
  for (const child of children) child.kill();
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

/** A child that does not outlive this process, whatever ends it. */
export function start(command, args, options) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function accepts(url) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A server over HTTP: {url, stop}. Without a URL it prints its own first. */
export async function startServer({ command, args, url }, log) {
  const child = start(command, args);
  const lines = createWriteStream(log);
  child.stderr.pipe(lines);
  let said = '';
  child.stderr.on('data', (chunk) => (said = `${said}${chunk}`.slice(-2000)));
  const gone = new Promise((_, fail) => {
    const failed = (how) => fail(new Error(`${command} ${args.join(' ')} ${how}\n${said}`));
    child.on('error', fail);
    child.on('exit', (code) => failed(`ended with ${code}`));
    setTimeout(() => failed('did not start in time'), START_LIMIT_MS).unref();
  });
  gone.catch(() => {});
  const listening = async () => {
    if (url === undefined) {
      const [text] = await once(child.stdout.setEncoding('utf8'), 'data');
      return text.trim();
    }
    while (!(await accepts(url))) await pause(50);
    return url;
  };
  return { url: await Promise.race([listening(), gone]), stop: () => child.kill() };
}

/** A gateway with these servers: {url, urlOf, close}. What is not connected by then fails in its scenarios. */
export async function startGateway(servers, log, config = {}, options = {}) {
  const lines = createWriteStream(log);
  const line = (level) => (message, fields) =>
    lines.write(JSON.stringify({ level, message, ...fields }) + '\n');
  const logger = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  const gateway = createGateway({ host: '127.0.0.1', port: 0, ...config, servers }, { logger, ...options });
  const { port } = await gateway.listen();
  const missing = () => gateway.health().servers.filter(({ connected }) => !connected);
  for (const end = Date.now() + CONNECT_LIMIT_MS; missing().length > 0 && Date.now() < end;) await pause(50);
  for (const { name, last_error: error } of missing()) console.error(`${name} is not connected: ${error}`);
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    urlOf: (name) => `http://127.0.0.1:${port}/servers/${name}/mcp`,
    async close() {
      await gateway.close();
      lines.end();
    },
  };
}

/**
 * A client that prints a line of JSON for each of its `steps`, {step} or {step, wrong}, or {ask} for one of `does`, which is done when a line
 * comes on its stdin. step -> what is wrong.
 */
export async function runSteps([command, ...args], { steps, does, limitMs }, log) {
  const child = start(command, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: limitMs });
  child.stderr.pipe(createWriteStream(log));
  child.stdin.on('error', () => {});
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(signal ?? code));
  });
  ended.catch(() => {});
  const found = new Map();
  for await (const line of createInterface({ input: child.stdout })) {
    const { step, wrong, ask } = JSON.parse(line);
    if (ask !== undefined) {
      await does[ask]();
      child.stdin.write('done\n');
      continue;
    }
    const faults = wrong === undefined ? [] : [{ check: 'step', message: wrong }];
    found.set(steps.get(step), [...(found.get(steps.get(step)) ?? []), ...faults]);
  }
  const how = await ended;
  if (how !== 0) found.set('ends', [{ check: 'end', message: `the client ended with ${how}` }]);
  return found;
}
