// The load generators: wrk if it is installed, otherwise autocannon; and our own one for few large answers.
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bytesOf, headersOf, open, textOf } from './client.mjs';
import { LOAD_CORE, onCore } from './processes.mjs';
import { quantile } from './report.mjs';

const exec = promisify(execFile);
const AUTOCANNON = fileURLToPath(new URL('node_modules/autocannon/autocannon.js', import.meta.url));
const hasWrk = spawnSync('which', ['wrk']).status === 0;
export const generator = hasWrk ? 'wrk' : 'autocannon';

const folder = mkdtempSync(join(tmpdir(), 'mcpstead-bench-'));
const ID = '"id":1';

function script(one) {
  const path = join(folder, 'case.lua');
  const quoted = (text) => `[==[${text}]==]`;
  const headers = Object.entries(headersOf(one)).map(
    ([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`,
  );
  const [head, tail] = one.body.split(ID);
  const body = one.unique
    ? `local n = 0
function request()
  n = n + 1
  return wrk.format(nil, nil, nil, ${quoted(`${head}"id":`)} .. n .. ${quoted(tail)})
end`
    : `wrk.body = ${quoted(one.body)}`;
  writeFileSync(path, ['wrk.method = "POST"', ...headers, body, ''].join('\n'));
  return path;
}

const UNITS = { us: 0.001, ms: 1, s: 1000, m: 60_000 };
/** A time as wrk writes it, in milliseconds. */
function milliseconds(output, pattern) {
  const [, number, unit] = pattern.exec(output);
  return Number(number) * UNITS[unit];
}

async function wrk(url, one, seconds) {
  const args = ['-t1', `-c${one.connections}`, `-d${seconds}s`, '--timeout', '30s', '--latency'];
  const { stdout } = await exec(...onCore(LOAD_CORE, 'wrk', [...args, '-s', script(one), url]));
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`${one.name} at ${url}: ${stdout}`);
  const calls = Number(/(\d+) requests in/.exec(stdout)[1]);
  return {
    calls,
    rate: calls / (milliseconds(stdout, /requests in ([\d.]+)(us|ms|s|m)/) / 1000),
    p50: milliseconds(stdout, /50%\s+([\d.]+)(us|ms|s|m)/),
    p99: milliseconds(stdout, /99%\s+([\d.]+)(us|ms|s|m)/),
  };
}

async function autocannon(url, one, seconds) {
  if (!existsSync(AUTOCANNON)) throw new Error('install wrk, or run npm install in bench/');
  const headers = Object.entries(headersOf(one)).flatMap(([name, value]) => ['-H', `${name}=${value}`]);
  const args = [AUTOCANNON, '-j', '-m', 'POST', '-b', one.body, '-c', String(one.connections)];
  args.push('-d', String(seconds), ...headers, url);
  const { stdout } = await exec(...onCore(LOAD_CORE, process.execPath, args), { maxBuffer: 1 << 26 });
  const result = JSON.parse(stdout);
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${one.name} at ${url}: ${result.non2xx + result.errors} errors`);
  const { '2xx': calls, duration, latency } = result;
  return { calls, rate: calls / duration, p50: latency.p50, p99: latency.p99 };
}

/**
 * Makes calls for some seconds and waits for those in flight: if few calls fit into a round, these would cost time without being
 * counted. Returns the start, the duration and the success of each call.
 */
export async function samples(url, one, seconds) {
  const agent = new Agent({ keepAlive: true, maxSockets: one.connections });
  const taken = [];
  let id = 1;
  const end = performance.now() + seconds * 1000;
  const worker = async () => {
    do {
      const began = performance.now();
      const answer = await open(url, one.body.replace(ID, `"id":${id++}`), { ...one, agent });
      const ok = (await bytesOf(answer)) >= one.bytes && answer.statusCode === 200;
      taken.push({ began, took: performance.now() - began, ok });
    } while (performance.now() < end);
  };
  await Promise.all(Array.from({ length: one.connections }, worker));
  agent.destroy();
  return taken;
}

async function drained(url, one, seconds) {
  const began = performance.now();
  const calls = await samples(url, one, seconds);
  if (calls.some(({ ok }) => !ok)) throw new Error(`${one.name} at ${url}: not every call is answered`);
  const took = calls.map((call) => call.took);
  const rate = took.length / ((performance.now() - began) / 1000);
  return { calls: took.length, rate, p50: quantile(took, 0.5), p99: quantile(took, 0.99) };
}

/** Sends requests for some seconds: how many were answered, how many in a second, p50 and p99 in ms. */
export function load(url, one, seconds) {
  // autocannon sends the same body each time.
  const own = one.drain || (one.unique && !hasWrk);
  return (own ? drained : hasWrk ? wrk : autocannon)(url, one, seconds);
}

/** Makes one call and checks the answer: fast but wrong answers do not count. */
export async function verify(url, one) {
  const answer = await open(url, one.body, one);
  const text = await textOf(answer);
  const data = /^(?:event|data|:|id)/.test(text) ? /^data: ?(\{.*)$/m.exec(text)?.[1] : text;
  const wrong = `${one.name} at ${url} gives ${answer.statusCode} ${text.slice(0, 300)}`;
  if (answer.statusCode !== 200 || !data?.startsWith('{')) throw new Error(wrong);
  const parsed = JSON.parse(data);
  if (parsed.id !== 1 || !parsed.result || text.length < one.bytes) throw new Error(wrong);
}
