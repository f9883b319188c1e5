/** Runs a command that prints something short: a key, a secret. */
import { spawn } from 'node:child_process';

const OUT_BYTES = 65_536;
const WINDOWS = process.platform === 'win32';

export interface CommandOptions {
  /** Of the command; nothing else is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** The key of the configuration that names it, for errors. */
  readonly key: string;
  /** Kills the command. */
  readonly signal?: AbortSignal;
  /** Whether errors leave out what the command wrote to stderr. */
  readonly hidesOutput?: boolean;
}

/**
 * Resolves with what the command prints, at most 64 KB. `argv`: program and arguments, run without a shell. Rejects with an Error that names
 * the key if it cannot be started, fails, or does not end in time; then it is killed with all its children.
 */
export function runCommand(
  argv: readonly string[],
  { environment, timeoutMs, key, signal: stop, hidesOutput = false }: CommandOptions,
): Promise<string> {
  const [program = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    stop?.throwIfAborted();
    const fail = (why: string): void => {
      reject(new Error(`${key}: '${program}' ${why}`));
    };
    // A group of its own, so that a wrapper's children end with it.
    const child = spawn(program, args, {
      env: { ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: !WINDOWS,
      windowsHide: true,
    });
    const kill = (): void => {
      if (child.pid === undefined) return;
      try {
        if (WINDOWS) child.kill('SIGKILL');
        else process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    };
    const end = (): void => {
      kill();
      child.stdout.destroy();
      child.stderr.destroy();
    };
    const aborted = (): void => {
      reject(stop?.reason as Error);
      end();
    };
    stop?.addEventListener('abort', aborted, { once: true });
    const timer = setTimeout(() => {
      fail(`printed nothing within ${timeoutMs} ms`);
      end();
    }, timeoutMs);
    const over = (): void => {
      clearTimeout(timer);
      stop?.removeEventListener('abort', aborted);
    };
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (out.length < OUT_BYTES) out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (err.length < OUT_BYTES) err += text;
    });
    child.on('error', (error) => {
      over();
      fail(`cannot be started: ${error.message}`);
    });
    child.on('close', (code, signal) => {
      over();
      kill();
      if (code === 0) return resolve(out);
      const said = err
        .replace(/[\s\p{Cc}]+/gu, ' ')
        .trim()
        .slice(0, 200);
      fail(
        `ended with ${code === null ? `${signal}` : `status ${code}`}${said === '' || hidesOutput ? '' : `: ${said}`}`,
      );
    });
  });
}
