// The load generator: wrk if it is installed, else autocannon.
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { LOAD_CORE, onCore } from './processes.mjs';
import { TOKEN } from './targets.mjs';

const exec = promisify(execFile);
const AUTOCANNON = fileURLToPath(new URL('node_modules/autocannon/autocannon.js', import.meta.url));
const wrk = spawnSync('which', ['wrk']).status === 0;
export const generator = wrk ? 'wrk' : 'autocannon';

export const headersOf = ({ accept, headers }) => ({
  ...headers,
  'Content-Type': 'application/json',
  Accept: accept,
  Authorization: `Bearer ${TOKEN}`,
});

const folder = mkdtempSync(join(tmpdir(), 'mcpstead-bench-'));

function script(one) {
  const path = join(folder, 'case.lua');
  const headers = Object.entries(headersOf(one)).map(
    ([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`,
  );
  writeFileSync(path, `wrk.method = "POST"\nwrk.body = [==[${one.body}]==]\n${headers.join('\n')}\n`);
  return path;
}

/** Sends requests for some seconds; gives how many were answered with 2xx. */
export async function load(url, one, seconds) {
  if (wrk) {
    const args = ['-t1', `-c${one.connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', script(one), url];
    const { stdout } = await exec(...onCore(LOAD_CORE, 'wrk', args));
    if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`${one.name} at ${url}: ${stdout}`);
    return Number(/(\d+) requests in/.exec(stdout)[1]);
  }
  if (!existsSync(AUTOCANNON)) throw new Error('install wrk, or run npm install in bench/');
  const headers = Object.entries(headersOf(one)).flatMap(([name, value]) => ['-H', `${name}=${value}`]);
  const args = [AUTOCANNON, '-j', '-m', 'POST', '-b', one.body, '-c', String(one.connections)];
  args.push('-d', String(seconds), ...headers, url);
  const { stdout } = await exec(...onCore(LOAD_CORE, process.execPath, args), { maxBuffer: 1 << 26 });
  const result = JSON.parse(stdout);
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${one.name} at ${url}: ${result.non2xx} errors`);
  return result['2xx'];
}

/** One call, looked at: a gateway that answers quickly but wrongly is no gateway. */
export async function verify(url, one) {
  const answer = await fetch(url, { method: 'POST', headers: headersOf(one), body: one.body });
  const text = await answer.text();
  const data = /^(?:event|data|:|id)/.test(text) ? /^data: ?(\{.*)$/m.exec(text)?.[1] : text;
  const parsed = JSON.parse(data);
  if (answer.status !== 200 || parsed.id !== 1 || !parsed.result || text.length < one.bytes) {
    throw new Error(`${one.name} at ${url} gives ${answer.status} ${text.slice(0, 300)}`);
  }
}
