/** The audit log of a gateway: what it has of real calls, and what happens when its disk is full. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { runCli, runConfig, tempDir } from '../helpers/cli.js';
import { startGateway } from '../helpers/gateway.js';
import { callBody, JSON_ONLY, openSession, post, send } from '../helpers/http.js';
import * as modern from '../helpers/modern.js';
import { until } from '../helpers/wait.js';

type Line = Readonly<Record<string, unknown>>;

function read(file: string): Line[] {
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Line);
}

const calls = (file: string): Line[] => read(file).filter(({ event }) => event === 'call');

describe('a gateway with an audit log', () => {
  it('has a line of every request, in both eras, and of refused credentials', async () => {
    const file = join(await tempDir(), 'audit.log');
    const upstream = await createUpstream({
      tools: [tool('echo'), tool('wrong'), tool('broken')],
      onCall: (call) => {
        if (call.params.name === 'wrong') call.text('no', { isError: true });
        else if (call.params.name === 'broken') call.error(-32050, 'broken');
        else call.text('yes');
      },
    });
    const { gateway, url, base } = await startGateway(
      {
        servers: [{ name: 's', url: upstream.url }],
        mcp: { auth: { mode: 'bearer' } },
        audit: { file, arguments: 'keep' },
      },
      { env: { MCPSTEAD_BEARER_TOKEN: 'a-token-for-the-test' }, wait: [] },
    );
    const bearer = { authorization: 'Bearer a-token-for-the-test' };
    await until(async () => (await send(`${base}/health`)).text.includes('"connected":true'));
    const session = await openSession(url, { headers: bearer });
    const body = callBody('s__echo', { password: 'hunter2', n: 1 }, 'one', {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    });
    const answer = await post(url, body, { ...session, ...JSON_ONLY });
    for (const name of ['s__wrong', 's__broken', 'absent__t', 'two\nlines'])
      await post(url, callBody(name), session);
    await modern.call(url, 's__echo', {}, { headers: bearer });
    await post(url, { jsonrpc: '2.0', id: 5, method: 'ping' }, session);
    await post(url, { jsonrpc: '2.0', id: 6, method: 'tools/list' }, session);
    for (let i = 0; i < 3; i++) await post(url, body, { authorization: 'Bearer a-wrong-token' });
    await post(url, body);
    await gateway.close();

    const shown = calls(file).map((line) => [
      line['mcp.method.name'],
      line['gen_ai.tool.name'],
      line['outcome'],
      line['error.type'],
      line['mcp.protocol.version'],
    ]);
    const legacy = '2025-11-25';
    expect(shown).toEqual([
      ['initialize', undefined, 'ok', undefined, undefined],
      ['tools/call', 'echo', 'ok', undefined, legacy],
      ['tools/call', 'wrong', 'tool_error', 'tool_error', legacy],
      ['tools/call', 'broken', 'error', '-32050', legacy],
      ['tools/call', 'absent__t', 'error', 'invalid_params', legacy],
      ['tools/call', 'two\nlines', 'error', 'invalid_params', legacy],
      ['tools/call', 'echo', 'ok', undefined, modern.REVISION],
      ['tools/list', undefined, 'ok', undefined, legacy],
    ]);
    expect(calls(file)[1]).toMatchObject({
      'mcpstead.server': 's',
      'user.id': 'bearer',
      'mcp.session.id': session['mcp-session-id']?.slice(0, 8),
      'jsonrpc.request.id': 'one',
      route: '/mcp',
      'client.address': '127.0.0.1',
      decision: 'allow',
      bytes_in: Buffer.byteLength(JSON.stringify(body)),
      bytes_out: answer.bytes.length,
      trace_id: '0af7651916cd43dd8448eb211c80319c',
      args: { password: '***', n: 1 },
    });
    const refused = read(file).filter(({ event }) => event === 'refused');
    expect(refused).toMatchObject(Array(3).fill({ 'error.type': 'wrong_token', route: '/mcp' }));
    const text = readFileSync(file, 'utf8');
    expect(text).not.toMatch(/hunter2|a-token-for|a-wrong-token/);
    expect(text).not.toContain(session['mcp-session-id']);
  });

  it('records a reload, goes on in a new file after it, and refuses to start on what is not its own', async () => {
    const file = join(await tempDir(), 'audit.log');
    const { gateway, base } = await startGateway({ servers: [], audit: { file } });
    expect((await send(`${base}/-/reload`, '')).status).toBe(200);
    await gateway.reload({ port: 'x' } as never).catch(() => undefined);
    await until(() => existsSync(file) && read(file).length === 4);
    expect(read(file).slice(1)).toMatchObject([
      { event: 'admin', act: 'reload', 'user.id': 'anonymous', 'client.address': '127.0.0.1' },
      { event: 'reload', outcome: 'ok' },
      { event: 'reload', outcome: 'error' },
    ]);
    rmSync(file);
    await gateway.reload({ servers: [], audit: { file } });
    await until(() => existsSync(file) && read(file).length > 0);
    await gateway.close();
    expect(read(file).map(({ event, seq }) => [event, seq])).toEqual([
      ['reload', 5],
      ['stop', 6],
    ]);
    writeFileSync(file, 'something else\n');
    await expect(startGateway({ servers: [], audit: { file } })).rejects.toThrow('move it away');
  });
});

const NOTES = fileURLToPath(new URL('../../dist/demo/notes.js', import.meta.url));

/** A folder on a disk that can be filled. */
interface Disk {
  readonly dir: string;
  fill(pid: number, file: string): void;
  free(pid: number): void;
}

/** A file system of its own, which only root can mount; undefined: this is not root. */
async function smallDisk(): Promise<Disk | undefined> {
  const dir = await tempDir();
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir]).status !== 0) return undefined;
  atEnd(() => execFileSync('umount', ['-l', dir]));
  const ballast = join(dir, 'ballast');
  return {
    dir,
    fill: () => {
      expect(() => {
        writeFileSync(ballast, Buffer.alloc(2 * 1024 * 1024));
      }).toThrow('ENOSPC');
    },
    free: () => {
      rmSync(ballast);
    },
  };
}

/** The process may not make files longer: the kernel writes what fits, and refuses the rest. */
async function shortFiles(): Promise<Disk> {
  const limit = (pid: number, bytes: number | 'unlimited'): void => {
    execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:unlimited`]);
  };
  return {
    dir: await tempDir(),
    fill: (pid, file) => {
      limit(pid, statSync(file).size + 100);
    },
    free: (pid) => {
      limit(pid, 'unlimited');
    },
  };
}

describe('an audit log that cannot be written', () => {
  it.each([
    ['because the disk is full', async () => (await smallDisk()) ?? (await shortFiles())],
    ['because its file may not grow', shortFiles],
  ])('%s, stops calls and not the gateway, until there is room', async (_, make) => {
    const disk = await make();
    const file = join(disk.dir, 'audit.log');
    const cli = await runConfig(
      {
        port: 0,
        servers: [{ name: 'notes', command: process.execPath, args: [NOTES] }],
        audit: { file },
      },
      // The recorder of the tests writes files too.
      { env: { NODE_OPTIONS: '', WIRE_RECORD: '' } },
    );
    const base = await cli.listening();
    const list = (): Promise<{ status: number; headers: object; text: string }> =>
      post(`${base}/mcp`, callBody('notes__list'), JSON_ONLY);
    await until(async () => (await list()).text.includes('no notes'));
    disk.fill(cli.pid, file);
    // The file may have room for some more lines.
    const refused = await until(async () => {
      const answer = await list();
      return answer.status === 503 && answer;
    });
    expect(JSON.parse(refused.text)).toMatchObject({
      error: { code: -32000, message: 'the audit log of the gateway cannot be written' },
    });
    expect(refused.headers).toMatchObject({ 'retry-after': '1' });
    const ready = await send(`${base}/ready`);
    expect(ready.status).toBe(503);
    expect(ready.text).toMatch(/audit log: cannot write .*(ENOSPC|EFBIG)/);
    for (const [path, body] of [
      ['/health', undefined],
      ['/metrics', undefined],
      ['/-/reload', ''],
    ] as const)
      expect((await send(`${base}${path}`, body, { headers: {} })).status, path).toBe(200);
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    expect((await post(`${base}/mcp`, ping, JSON_ONLY)).status).toBe(200);
    disk.free(cli.pid);
    await until(async () => (await list()).status === 200);
    expect((await send(`${base}/ready`)).status).toBe(200);
    expect((await send(`${base}/metrics`)).text).toMatch(/^mcpstead_audit_dropped_total 0$/m);
    cli.kill();
    expect(await cli.exit()).toBe(0);
    const gaps = read(file).filter(({ event }) => event === 'gap');
    expect(gaps).toMatchObject([{ lost: 0 }]);
    expect(gaps[0]?.['refused']).toBeGreaterThan(0);
    expect(read(file).at(-1)).toMatchObject({ event: 'stop' });
    const verify = runCli(['audit', 'verify', file]);
    expect(await verify.exit()).toBe(0);
  });
});

describe('mcpstead audit verify', () => {
  it('says 0, 1 or 2, and names the file and line of the first break', async () => {
    const file = join(await tempDir(), 'audit.log');
    const { gateway } = await startGateway({ servers: [], audit: { file } });
    for (let i = 0; i < 3; i++) await gateway.reload();
    await gateway.close();
    const head = read(file).at(-1)?.['prev'];
    const run = async (...args: string[]): Promise<[number | string, string]> => {
      const cli = runCli(['audit', 'verify', ...args]);
      return [await cli.exit(), cli.stdout + cli.stderr];
    };
    expect(await run(file)).toEqual([
      0,
      expect.stringMatching(/^ok: 5 lines, seq 1 to 5, head [0-9a-f]{64}\n$/),
    ]);
    expect(await run('--head', String(head), file)).toEqual([0, expect.stringContaining('ok')]);
    expect(await run('--head', 'x', file)).toEqual([1, expect.stringContaining('no line has the hash x')]);
    writeFileSync(file, readFileSync(file, 'utf8').replace('"reload"', '"remote"'));
    expect(await run(file)).toEqual([
      1,
      expect.stringContaining(`broken: ${file}, line 2: this line was changed`),
    ]);
    expect(await run(`${file}.absent`)).toEqual([
      1,
      expect.stringContaining('cannot read the audit log: ENOENT'),
    ]);
    expect(await run()).toEqual([2, expect.stringContaining('usage: mcpstead audit verify')]);
    expect(await run('--wat', file)).toEqual([2, expect.stringContaining('there is no --wat')]);
    const other = runCli(['audit', 'burn']);
    expect(await other.exit()).toBe(2);
    expect(other.stderr).toContain("unknown command 'audit burn'; there is: verify");
    const help = runCli(['audit', 'verify', '--help']);
    expect(await help.exit()).toBe(0);
    expect(help.stdout).toContain('--head HASH');
  });
});

it('hashes equal arguments alike after a restart with the same state folder', async () => {
  const dir = await tempDir();
  const file = join(dir, 'audit.log');
  const upstream = await createUpstream({ tools: [tool('echo')] });
  const config = {
    servers: [upstream.entry('s')],
    audit: { file, arguments: 'hash' as const },
    state: { dir: join(dir, 'state') },
  };
  for (let start = 0; start < 2; start++) {
    const { gateway, url } = await startGateway(config);
    const session = await openSession(url);
    for (const n of [1, 2]) await post(url, callBody('s__echo', { n }), session);
    await gateway.close();
  }
  const hashes = calls(file).flatMap(({ args }) => (args === undefined ? [] : [args]));
  expect(hashes).toEqual([hashes[0], hashes[1], hashes[0], hashes[1]]);
  expect(hashes[0]).toMatch(/^[0-9a-f]{64}$/);
  expect(hashes[1]).not.toBe(hashes[0]);
});
