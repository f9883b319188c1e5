/** nginx and HAProxy in front of gateways, with the configurations of packaging/balancers. */
import { spawn } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { prepareBalancer } from '../../scripts/fleet/balancers.mjs';
import { pathOf, type BalancerName } from './balancer-programs.js';
import { atEnd } from './cleanup.js';
import { tempDir } from './cli.js';
import { send } from './http.js';
import { freePort } from './port.js';
import { until, within } from './wait.js';

export interface Balancer {
  /** `http://127.0.0.1:PORT` */
  readonly base: string;
  /** The merged endpoint, `.../mcp`. */
  readonly url: string;
  readonly pid: number;
  /** Ends it, and resolves when its process is gone. */
  stop(): Promise<void>;
}

/**
 * Starts a balancer on a free loopback port in front of gateways, whose origins are given (`http://127.0.0.1:PORT`), and waits until a
 * gateway answers `/health` through it. Ended when the test ends.
 */
export async function startBalancer(name: BalancerName, origins: readonly string[]): Promise<Balancer> {
  const program = pathOf(name);
  if (program === undefined) throw new Error(`${name} is not installed`);
  const folder = await tempDir();
  // Workers of nginx run as another user if it is started by root.
  chmodSync(folder, 0o755);
  const port = await freePort();
  const hosts = origins.map((origin) => new URL(origin).host);
  const args = prepareBalancer(name, { folder, port, hosts });
  const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      resolve();
    });
  });
  ended.catch(() => undefined);
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  // SIGTERM ends workers, too; SIGKILL would leave those of nginx behind.
  const stop = async (): Promise<void> => {
    if (!isOver()) child.kill('SIGTERM');
    await within(ended, `the end of ${name}`);
  };
  atEnd(stop);
  const base = `http://127.0.0.1:${port}`;
  await until(async () => {
    if (isOver()) throw new Error(`${name} has ended: ${output}`);
    return (await send(`${base}/health`).catch(() => undefined))?.status === 200;
  }, `a gateway through ${name}: ${output}`);
  return { base, url: `${base}/mcp`, pid: child.pid ?? 0, stop };
}
