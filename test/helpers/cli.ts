import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atEnd } from './cleanup.js';
import { until, within } from './wait.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Environment variables that make a child process record its traffic and coverage, as the tests do. */
const { WIRE_RECORD, SPAWNED_COVERAGE } = process.env;
const recorder = new URL('wire-recorder.mjs', import.meta.url).href;
export const recorded: Record<string, string> = {
  // No cache: a test must not see the lists that another one left.
  XDG_CACHE_HOME: '/dev/null',
  // No config of this user.
  XDG_CONFIG_HOME: '/dev/null',
  // Nor the console key of the person who runs it.
  XDG_STATE_HOME: scratch(),
  ...(SPAWNED_COVERAGE !== undefined && { NODE_V8_COVERAGE: SPAWNED_COVERAGE }),
  ...(WIRE_RECORD !== undefined && { WIRE_RECORD, NODE_OPTIONS: `--import=${recorder}` }),
};

/** A folder for all gateways of this file, which is removed at the end of it. */
function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcpstead-test-state-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface CliRun {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Waits until the process logs its address; resolves to `http://HOST:PORT`, or `https://`. */
  listening(): Promise<string>;
  /** Waits for the process to exit; resolves to the exit status, or the signal's name. */
  exit(): Promise<number | NodeJS.Signals>;
  kill(signal?: NodeJS.Signals): void;
}

export interface CliOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** The whole standard input. */
  readonly input?: string;
  /** The path of another Node.js. */
  readonly node?: string;
}

/** Runs the built command; killed when the test ends. */
export function runCli(
  args: readonly string[],
  { env = {}, cwd, input, node = process.execPath }: CliOptions = {},
): CliRun {
  const child = spawn(node, [MAIN, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...recorded, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  child.stdin.end(input);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve(code ?? signal ?? 0);
    });
  });
  ended.catch(() => {});
  atEnd(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
  });
  return {
    child,
    pid: child.pid ?? 0,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    listening: async () =>
      until(() => {
        if (child.exitCode !== null) throw new Error(`exited with ${child.exitCode}: ${stderr}${stdout}`);
        return /https?:\/\/(?:127\.0\.0\.1|\[::1\]|localhost):\d+/.exec(stdout + stderr)?.[0];
      }, 'the address in the log'),
    exit: () => within(ended, 'the end of the process'),
    kill: (signal = 'SIGTERM') => void child.kill(signal),
  };
}

/** Creates a file in a new folder, which is removed when the test ends. */
export async function tempFile(name: string, content: string): Promise<string> {
  const folder = await tempDir();
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

/** Creates a folder, which is removed when the test ends. */
export async function tempDir(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mcpstead-test-'));
  // What a destroyed gateway has begun to write may still appear.
  atEnd(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
  return folder;
}

/** Writes a config and runs the command with it; the port should be 0. */
export async function runConfig(
  config: string | object,
  options: CliOptions = {},
): Promise<CliRun & { path: string }> {
  const text = typeof config === 'string' ? config : JSON.stringify(config);
  const path = await tempFile('config.yaml', text);
  return Object.assign(runCli(['--config', path], options), { path });
}
