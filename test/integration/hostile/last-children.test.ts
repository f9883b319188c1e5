/** No child outlives the gateway, whatever it does with its signals. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { atEnd } from '../../helpers/cleanup.js';
import { recorded, runConfig, tempFile } from '../../helpers/cli.js';
import { startGateway } from '../../helpers/gateway.js';
import { callBody, callTool, openSession, post, textOf } from '../../helpers/http.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

const stubborn = (name = 's') => scriptedStdio(name, { stubborn: true });
const mcp = { auth: { mode: 'none' }, session: { shutdown_grace_seconds: 1 } } as const;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('close()', () => {
  test.each([
    ['without a call', false],
    ['with a call in flight', true],
  ])('resolves after the end of a child that ignores SIGTERM, %s', async (_what, busy) => {
    const gateway = await startGateway({ servers: [stubborn()], mcp });
    const pid = Number(textOf(await callTool(gateway.url, 's__pid')));
    if (busy) {
      void callTool(gateway.url, 's__hang').catch(() => undefined);
      await until(async () => (await gateway.metric('mcpstead_requests_in_flight{server="s"}')) === 1);
    }
    await gateway.gateway.close();
    expect(isAlive(pid)).toBe(false);
  });

  test('waits for the children of sessions, and for those that a reload replaced', async () => {
    const own = { ...stubborn('own'), session: 'per-client' as const };
    const gateway = await startGateway({ servers: [own, stubborn()], mcp });
    const session = await openSession(gateway.url);
    const ownPid = Number(textOf(await callTool(gateway.url, 'own__pid', {}, session)));
    const oldPid = Number(textOf(await callTool(gateway.url, 's__pid')));
    void callTool(gateway.url, 's__hang').catch(() => undefined);
    await until(async () => (await gateway.metric('mcpstead_requests_in_flight{server="s"}')) === 1);
    await gateway.gateway.reload({ servers: [own, { ...stubborn(), env: { NEW: '1' } }], mcp });
    await until(async () => Number(textOf(await callTool(gateway.url, 's__pid'))) !== oldPid);
    const newPid = Number(textOf(await callTool(gateway.url, 's__pid')));
    expect([ownPid, oldPid, newPid].map(isAlive)).toEqual([true, true, true]);
    await gateway.gateway.close();
    expect([ownPid, oldPid, newPid].map(isAlive)).toEqual([false, false, false]);
  });
});

describe('the process', () => {
  test('mcpstead serve ends after its children', async () => {
    const run = await runConfig({ port: 0, mcp, servers: [stubborn()] });
    const base = await run.listening();
    const pid = Number(textOf(await callTool(`${base}/mcp`, 's__pid')));
    void post(`${base}/mcp`, callBody('s__hang')).catch(() => undefined);
    await until(async () =>
      (await (await fetch(`${base}/metrics`)).text()).includes('requests_in_flight{server="s"} 1'),
    );
    const alive = once(run.child, 'exit').then(() => isAlive(pid));
    run.kill();
    expect(await alive).toBe(false);
    expect(await run.exit()).toBe(0);
  });

  test('mcpstead stdio ends after its children', async () => {
    const path = await tempFile('config.yaml', JSON.stringify({ mcp, servers: [stubborn()] }));
    const main = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
    const child = spawn(process.execPath, [main, 'stdio', '--config', path], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { PATH: process.env['PATH'], ...recorded },
    });
    atEnd(() => child.kill('SIGKILL'));
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 't', version: '0' },
    };
    const say = (body: object) => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...body })}\n`);
    say({ id: 0, method: 'initialize', params });
    say({ method: 'notifications/initialized' });
    say({ id: 1, method: 'tools/call', params: { name: 's__pid', arguments: {} } });
    const pid = Number(await until(() => /"text":"(\d+)"/.exec(out)?.[1], 'the pid'));
    say({ id: 2, method: 'tools/call', params: { name: 's__hang', arguments: {} } });
    const alive = once(child, 'exit').then(() => isAlive(pid));
    child.stdin.end();
    expect(await alive).toBe(false);
  });
});
