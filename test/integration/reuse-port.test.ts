/** Several processes that listen on one port. */
import { Agent } from 'node:http';
import { beforeAll, describe, expect, it } from 'vitest';
import { hasReusePort } from '../../src/config/fleet.js';
import { atEnd } from '../helpers/cleanup.js';
import { runConfig, type CliRun } from '../helpers/cli.js';
import type { HealthBody } from '../helpers/gateway.js';
import { callBody, post, send } from '../helpers/http.js';
import { nodeWithReusePort } from '../helpers/newer-node.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

/** One process gets all of them by chance once in 2^63 times. */
const CONNECTIONS = 64;

describe('http.reuse_port', () => {
  let node: string | undefined;
  beforeAll(async () => {
    node = await nodeWithReusePort();
  });

  it('on another Node.js is an error at the start, which names the versions that have it', async () => {
    const run = await runConfig({ port: 0, http: { reuse_port: true }, servers: [] });
    if (hasReusePort(process.platform, process.versions.node)) await run.listening();
    else {
      expect(await run.exit()).not.toBe(0);
      expect(run.stderr).toContain('http.reuse_port needs Linux and Node.js 22.12 or later');
      expect(run.stderr).toContain(`and Node.js ${process.versions.node} (reuse_port: false)`);
    }
  });

  it('lets two processes serve one port; one that drains gets no new connections', async () => {
    // Without a Node.js that has it, the error above is all there is.
    if (node === undefined) return;
    const start = (server: string, port: number): Promise<CliRun> =>
      runConfig(
        {
          port,
          http: { reuse_port: true },
          mcp: { session: { shutdown_grace_seconds: 300 } },
          servers: [scriptedStdio(server)],
        },
        { node: node as string },
      );
    const a = await start('a', 0);
    const base = await a.listening();
    await (await start('b', Number(new URL(base).port))).listening();
    const who = async (agent?: Agent): Promise<string> =>
      (await send(`${base}/health`, undefined, agent ? { agent } : {})).json<HealthBody>().servers[0]?.name ??
      '';
    const all = async (): Promise<Set<string>> =>
      new Set(await Promise.all(Array.from({ length: CONNECTIONS }, () => who())));
    expect(await all()).toEqual(new Set(['a', 'b']));

    /** A connection to a, which stays open. */
    const toA = (): Promise<Agent> =>
      until(async () => {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        if ((await who(agent)) === 'a') {
          atEnd(() => {
            agent.destroy();
          });
          return agent;
        }
        agent.destroy();
        return undefined;
      }, 'a connection to the first process');
    const [calls, other] = [await toA(), await toA()];
    const url = `${base}/mcp`;
    const opened = await post(
      url,
      {
        jsonrpc: '2.0',
        id: 'open',
        method: 'initialize',
        params: {
          protocolVersion: '2025-11-25',
          capabilities: {},
          clientInfo: { name: 'test', version: '0' },
        },
      },
      {},
      calls,
    );
    const session = { 'mcp-session-id': String(opened.headers['mcp-session-id']) };
    const running = post(url, callBody('a__slow', { ms: 600_000 }, 'slow'), session, calls);
    running.catch(() => undefined);
    await until(async () =>
      (await send(`${base}/metrics`, undefined, { agent: other })).text.includes('in_flight{server="a"} 1'),
    );
    a.kill('SIGTERM');
    // The kernel resets the connections that a closing port has not taken yet (docs/balancers.md).
    const named = async (): Promise<Set<string>> =>
      new Set(
        await Promise.all(
          Array.from({ length: CONNECTIONS }, () => who().catch((error: Error) => String(error))),
        ),
      );
    await until(async () => [...(await named())].join() === 'b', 'only the second process');
    // The first one serves what it has.
    expect(a.child.exitCode).toBeNull();
    const ready = await send(`${base}/ready`, undefined, { agent: other });
    expect(ready.status).toBe(503);
    expect(ready.headers.connection).toBe('close');
  });
});
