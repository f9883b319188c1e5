/** Headers that a file or a command gives, with the clock as a script. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import type { HttpServerConfig } from '../../../src/config/types.js';
import { headerSource, LOOK_MS } from '../../../src/credentials/header-sources.js';
import { KeptHeaders, type HeaderSource, type Obtained } from '../../../src/credentials/kept-headers.js';
import { commandRunner } from '../../../src/credentials/secret-sources.js';
import { atEnd } from '../../helpers/cleanup.js';
import { failure } from '../../helpers/credentials.js';
import { keptLog, scratchFolder } from '../../helpers/state.js';
import { until } from '../../helpers/wait.js';

const { signal } = new AbortController();

afterEach(() => {
  vi.useRealTimers();
});

const shown = (token: string, lifeMs?: number): Obtained => ({
  headers: ['authorization', `Bearer ${token}`],
  secrets: [token],
  lifeMs,
});

function setup(lookMs?: number) {
  vi.useFakeTimers();
  const script: { next: Obtained | Error; asked: number } = { next: shown('one'), asked: 0 };
  const source: HeaderSource = {
    lookMs,
    obtain: () => {
      script.asked++;
      return script.next instanceof Error ? Promise.reject(script.next) : Promise.resolve(script.next);
    },
  };
  const log = keptLog();
  const kept = new KeptHeaders({ server: 'x', source, log, now: Date.now });
  atEnd(() => {
    kept.close();
  });
  const refused = (times = 0) => kept.refused({ status: 401, challenge: 'Bearer', stamp: kept.stamp, times });
  return { script, kept, log, refused };
}

it('a file is looked at again while a connection uses it: another token has another stamp', async () => {
  const { script, kept } = setup(LOOK_MS);
  const heard = vi.fn();
  await kept.ready(signal);
  kept.onChange(heard);
  expect([kept.headers, kept.stamp]).toEqual([['authorization', 'Bearer one'], 1]);
  await vi.advanceTimersByTimeAsync(LOOK_MS);
  expect([script.asked, kept.stamp, heard.mock.calls.length]).toEqual([2, 1, 0]);
  script.next = shown('two');
  await vi.advanceTimersByTimeAsync(LOOK_MS);
  expect([kept.headers[1], kept.stamp, heard.mock.calls.length]).toEqual(['Bearer two', 2, 1]);
  expect(kept.secrets).toEqual(['two', 'one']);
  // A file that is being replaced may be missing for a moment.
  script.next = new Error('no such file');
  await vi.advanceTimersByTimeAsync(LOOK_MS);
  await kept.ready(signal);
  expect([kept.headers[1], kept.state]).toEqual(['Bearer two', 'failing']);
  script.next = shown('three');
  await vi.advanceTimersByTimeAsync(LOOK_MS);
  expect([kept.headers[1], kept.state]).toEqual(['Bearer three', 'valid']);
});

it('nothing is obtained while nobody uses it', async () => {
  const { script, kept } = setup(LOOK_MS);
  await kept.ready(signal);
  kept.onChange(() => undefined)();
  await vi.advanceTimersByTimeAsync(10 * LOOK_MS);
  expect(script.asked).toBe(1);
});

it('headers are obtained again at the end of their life, and used by all connections until then', async () => {
  const { script, kept } = setup();
  script.next = shown('one', 300_000);
  await kept.ready(signal);
  await kept.ready(signal);
  expect(script.asked).toBe(1);
  kept.onChange(() => undefined);
  script.next = shown('two', 300_000);
  await vi.advanceTimersByTimeAsync(300_000);
  expect([script.asked, kept.headers[1]]).toEqual([2, 'Bearer two']);
});

it('headers whose life is over do not open a connection', async () => {
  const { script, kept } = setup();
  script.next = shown('one', 1000);
  await kept.ready(signal);
  await vi.advanceTimersByTimeAsync(1000);
  script.next = new Error("headers_command: 'p' ended with status 1");
  expect(await failure(kept.ready(signal))).toMatchObject({
    code: 'upstream_auth_failed',
    message: "upstream 'x' headers_command: 'p' ended with status 1",
  });
});

it('calls that are refused at once ask once, and no refusal asks again a moment later', async () => {
  const { script, kept, refused } = setup();
  await kept.ready(signal);
  script.next = shown('two');
  const { stamp } = kept;
  await Promise.all([refused(), refused(), refused()]);
  expect([script.asked, kept.stamp]).toEqual([2, stamp + 1]);
  // With the old stamp: it is sent again with what is there.
  await kept.refused({ status: 401, challenge: '', stamp, times: 0 });
  // What was just obtained is refused as well.
  await refused(1);
  await refused(0);
  expect(script.asked).toBe(2);
  await vi.advanceTimersByTimeAsync(10_000);
  await refused(0);
  expect(script.asked).toBe(3);
});

it('what was refused does not open a connection where nothing else is to be had', async () => {
  const { script, kept, refused, log } = setup();
  await kept.ready(signal);
  script.next = new Error("auth.token_command: 'p' ended with status 1");
  expect((await failure(refused())).message).toBe("upstream 'x' auth.token_command: 'p' ended with status 1");
  expect(await failure(kept.ready(signal))).toMatchObject({ code: 'upstream_auth_failed' });
  // The pause after a failure.
  expect(script.asked).toBe(2);
  expect(log.lines).toHaveLength(1);
});

it('403: nothing else is obtained', async () => {
  const { kept, script } = setup();
  await kept.ready(signal);
  const challenge = 'Bearer error="insufficient_scope", scope="write"';
  const error = await failure(kept.refused({ status: 403, challenge, stamp: kept.stamp, times: 0 }));
  expect(error.message).toBe("upstream 'x' wants the scope write, which it was not granted");
  expect(script.asked).toBe(1);
});

const server = (more: object): HttpServerConfig =>
  ({
    kind: 'http',
    name: 'x',
    url: 'https://mcp.example',
    auth: { type: 'none' },
    ...more,
  }) as HttpServerConfig;
const node = (script: string): readonly string[] => [process.execPath, '-e', script];
const run = commandRunner({ PATH: process.env['PATH'] ?? '' });
const obtain = async (more: object, principal?: string) =>
  (headerSource(server(more), run, principal) as HeaderSource).obtain(signal);

it('a command prints headers; it knows the server, and the principal', async () => {
  const script = `const {MCPSTEAD_SERVER: s, MCPSTEAD_PRINCIPAL: p} = process.env;
    console.log(JSON.stringify({headers: {'X-Auth': 'Key ' + s + '-' + p}, expires_in: 5}))`;
  expect(await obtain({ headers_command: node(script) }, 'ada')).toEqual({
    headers: ['x-auth', 'Key x-ada'],
    secrets: ['Key x-ada', 'x-ada'],
    lifeMs: 5000,
  });
  expect((await obtain({ headers_command: node(script) })).headers).toEqual(['x-auth', 'Key x-undefined']);
});

it.each([
  ['process.exit(3)', 'ended with status 3'],
  ['console.error("s3cret"); process.exit(3)', 'ended with status 3'],
  ['console.log("s3cret")', 'did not print a JSON object'],
  [`console.log('{"headers": {"x-a": "s3cret\\\\n"}}')`, 'printed a value of x-a that a header cannot carry'],
  [`console.log('{"headers": {"host": "s3cret"}}')`, 'printed a header whose name cannot be set'],
])('a command that fails is named, its output is not: %s', async (script, why) => {
  const error = await failure(obtain({ headers_command: node(script) }));
  expect(error.message).toBe(`headers_command: '${process.execPath}' ${why}`);
});

it('an aborted command ends', async () => {
  const stop = new AbortController();
  const file = join(scratchFolder(), 'pid');
  const script = `require('fs').writeFileSync(${JSON.stringify(file)}, String(process.pid)); setInterval(() => {}, 1000)`;
  const running = run(node(script), { key: 'k', signal: stop.signal });
  const { readFileSync, existsSync } = await import('node:fs');
  await until(() => existsSync(file) && readFileSync(file, 'utf8') !== '', 'the command');
  stop.abort(new Error('stopped'));
  expect((await failure(running)).message).toBe('stopped');
  const pid = Number(readFileSync(file, 'utf8'));
  await until(() => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  }, 'the end of the command');
});

it('a token file and a token command', async () => {
  const file = join(scratchFolder(), 'token');
  const auth = { type: 'bearer', token: '', file };
  expect((await failure(obtain({ auth }))).message).toBe(`cannot use auth.token_file ${file}: no such file`);
  writeFileSync(file, 'tok\n');
  expect(await obtain({ auth })).toEqual(shown('tok'));
  writeFileSync(file, 'to\nk\n');
  expect((await failure(obtain({ auth }))).message).toContain('a header cannot carry');
  writeFileSync(file, '\n');
  expect((await failure(obtain({ auth }))).message).toContain('it is empty');
  const command = node('console.log("printed")');
  expect(await obtain({ auth: { type: 'bearer', token: '', command } })).toEqual(shown('printed'));
});
