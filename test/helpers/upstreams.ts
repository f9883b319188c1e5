/** Real servers from npm: as child processes that speak HTTP, or as commands for stdio upstreams. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { atEnd } from './cleanup.js';
import { until } from './wait.js';

const file = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const packageFile = (name: string): string =>
  file(`node_modules/@modelcontextprotocol/${name}/dist/index.js`);

export interface StdioEntry {
  name: string;
  command: string;
  args: string[];
  env?: Record<string, string>;
}

const stdio = (name: string, ...args: string[]): StdioEntry => ({ name, command: process.execPath, args });

const preload = (name: string): string => new URL(`../fixtures/servers/${name}.mjs`, import.meta.url).href;

/** Entries for `servers:`, named as a user would name them. */
export const everythingStdio = (name = 'everything'): StdioEntry =>
  stdio(name, '--import', preload('hurry'), packageFile('server-everything'), 'stdio');
export const filesystemStdio = (folder: string, name = 'files'): StdioEntry =>
  stdio(name, packageFile('server-filesystem'), folder);
export const memoryStdio = (memoryFile: string, name = 'memory'): StdioEntry => ({
  ...stdio(name, packageFile('server-memory')),
  env: { MEMORY_FILE_PATH: memoryFile },
});
export const thinkingStdio = (name = 'thinking'): StdioEntry =>
  stdio(name, packageFile('server-sequential-thinking'));

/** The scripted stdio server; the header of stdio-upstream.mjs describes `script`. */
export const scriptedStdio = (name: string, script: object = {}): StdioEntry =>
  stdio(name, file('test/fixtures/servers/stdio-upstream.mjs'), JSON.stringify(script));

/** SDK v2 servers: one for both eras, one for the modern era only. */
export const bothStdio = (name: string): StdioEntry =>
  stdio(name, file('test/fixtures/servers/both-stdio.mjs'));
export const modernStdio = (name: string): StdioEntry =>
  stdio(name, file('test/fixtures/servers/modern.mjs'), 'stdio');

export interface ServerProcess {
  readonly url: string;
  readonly pid: number;
  readonly output: string;
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/** Runs server-everything over HTTP on a free loopback port; it is killed when the test ends. */
export async function startEverything(transport: 'sse' | 'streamableHttp'): Promise<ServerProcess> {
  const preloads = ['loopback', 'hurry'].flatMap((name) => ['--import', preload(name)]);
  const child = spawn(process.execPath, [...preloads, packageFile('server-everything'), transport], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], PORT: '0' },
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  const exited = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await exited;
  };
  atEnd(() => kill());
  const port = await until(() => /loopback port (\d+)/.exec(output)?.[1], 'the port of server-everything');
  return {
    url: `http://127.0.0.1:${port}/${transport === 'sse' ? 'sse' : 'mcp'}`,
    pid: child.pid ?? 0,
    get output() {
      return output;
    },
    kill,
  };
}
