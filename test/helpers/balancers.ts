/** nginx and HAProxy in front of gateways, with the configurations of packaging/balancers. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathOf, type BalancerName } from './balancer-programs.js';
import { atEnd } from './cleanup.js';
import { tempDir } from './cli.js';
import { send } from './http.js';
import { root } from './markdown.js';
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
  const file = join(folder, name === 'nginx' ? 'nginx.conf' : 'haproxy.cfg');
  writeFileSync(file, name === 'nginx' ? nginxConfig(folder, port, hosts) : haproxyConfig(port, hosts));
  const args = name === 'nginx' ? ['-p', folder, '-c', file, '-g', 'daemon off;'] : ['-db', '-f', file];
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

function nginxConfig(folder: string, port: number, hosts: readonly string[]): string {
  mkdirSync(join(folder, 'temp'));
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `  ${kind}_temp_path ${join(folder, 'temp', kind)};`)
    .join('\n');
  return edited('nginx.conf', [
    ['pid /run/nginx.pid;', `pid ${join(folder, 'nginx.pid')};`],
    ['error_log /var/log/nginx/error.log warn;', 'error_log stderr warn;'],
    ['  access_log off;', `  access_log off;\n${temp}`],
    ['listen 8080;', `listen 127.0.0.1:${port};`],
    ['    server 10.0.0.2:8766 max_fails=1 fail_timeout=10s;\n', ''],
    [
      '    server 10.0.0.1:8766 max_fails=1 fail_timeout=10s;',
      hosts.map((host) => `    server ${host} max_fails=1 fail_timeout=10s;`).join('\n'),
    ],
  ]);
}

function haproxyConfig(port: number, hosts: readonly string[]): string {
  return edited('haproxy.cfg', [
    ['bind :8080', `bind 127.0.0.1:${port}`],
    ['  server gateway2 10.0.0.2:8766\n', ''],
    [
      '  server gateway1 10.0.0.1:8766',
      hosts.map((host, index) => `  server gateway${index + 1} ${host}`).join('\n'),
    ],
  ]);
}

/** The file of packaging/balancers with these replacements. Throws an Error for one that has no place. */
function edited(name: string, edits: readonly (readonly [from: string, to: string])[]): string {
  return edits.reduce(
    (text, [from, to]) => {
      if (text.split(from).length !== 2) throw new Error(`packaging/balancers/${name} has no line '${from}'`);
      return text.replace(from, () => to);
    },
    readFileSync(join(root, 'packaging/balancers', name), 'utf8'),
  );
}
