import type { ChildProcess } from 'node:child_process';
import spawn from 'cross-spawn';
import type { StdioServerConfig } from '../../config/types.js';
import type { Budget } from '../../lib/budget.js';
import { monotonic } from '../../lib/clock.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';
import type { DroppedLine } from '../../lib/lines.js';
import { Pace } from '../../lib/pace.js';
import { splitLines } from '../../lib/lines.js';
import type { KeptLines } from './kept-lines.js';
import { PacedLines } from './paced-lines.js';
import { whyNotStarted } from './start-failure.js';
import { StderrLog } from './stderr-log.js';
import type { Watcher } from './watcher.js';

export interface ExitInfo {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** One line: why it ended; or why it was not started, and what to do. */
  readonly reason: string;
}

export interface ChildDeps {
  readonly logger: Logger;
  readonly boundary: Boundary;
  readonly watcher: Watcher;
  /** Gets what the child writes to stderr. */
  readonly stderr: KeptLines;
  readonly budget: Budget;
  /** The longest line, in bytes. */
  readonly maxLineBytes: number;
  /** One line of standard output, without its line break. Not called for empty lines, nor after onExit. */
  onLine(line: Buffer): void;
  /** A large line of stdout, in more than one piece. */
  onPieces(pieces: Buffer[]): void;
  /** The first bytes arrived on stdout or stderr. */
  onOutput(): void;
  /** Bytes of a line that is too large, as they arrive, and the first bytes of the line. */
  onSkipped(bytes: number, head: Buffer): void;
  /** A line that was too large has ended. */
  onOversize(line: DroppedLine): void;
  /** Once, after the last line; never before spawnChild() has returned. */
  onExit(info: ExitInfo): void;
}

export interface Child {
  /** The id of the process and of its group; undefined: it could not be started. */
  readonly pid: number | undefined;
  /** The last line of standard error, at most 200 characters, secrets of the server masked; '' before the first. */
  readonly lastStderr: string;
  /** Resolves when its process group is gone, or could not be started. */
  readonly gone: Promise<void>;
  /** Writes one line; it must not contain a line break. Returns false if the pipe is full: wait for onDrain. */
  write(line: Buffer): boolean;
  onDrain(fn: () => void): void;
  /** Stops reading stdout; lines that were read already are still delivered. */
  pause(): void;
  resume(): void;
  closeStdin(): void;
  /**
   * Ends stdin, then sends SIGTERM to the group, then SIGKILL, all within `graceMs`. Resolves when the group is gone.
   */
  close(graceMs: number): Promise<void>;
  /** SIGKILL to the group, at once. */
  destroy(reason?: string): void;
}

const WINDOWS = process.platform === 'win32';
/** Up to this size a line is copied to add its line break; beyond it two writes are cheaper. */
const COPY_BYTES = 64 * 1024;
/** How long the pipes are read after the exit, in ms: only a process outside the group can hold them open longer. */
const LAST_WORDS_MS = 500;
/** How long a child that closed a pipe may live on, in ms: the exit that usually follows says more. */
const CLOSED_PIPE_MS = 500;
/** How long the processes of a child have to end after it has, in ms. */
const SWEEP_MS = 1000;
const POLL_MS = 25;
/** The most of a grace period that is left to the child to end because its stdin did, in ms. */
const BY_ITSELF_MS = 2000;

export function spawnChild(server: StdioServerConfig, deps: ChildDeps): Child {
  return new StdioChild(server, deps);
}

class StdioChild implements Child {
  readonly pid: number | undefined;
  readonly #deps: ChildDeps;
  readonly #server: StdioServerConfig;
  readonly #process: ChildProcess | undefined;
  readonly #stderr: StderrLog;
  readonly gone: Promise<void>;
  #resolveDone: () => void = () => {};
  #drain: () => void = () => {};
  /** The first cause wins; the exit status counts only without one. */
  #reason: string | undefined;
  /** Set when the child has exited or could not be started. */
  #exit: ExitInfo | undefined;
  #reported = false;
  #groupGone = false;
  /** When the group gets SIGTERM, and when SIGKILL, on the monotonic clock. */
  #terminateAt = Infinity;
  #killAt = Infinity;
  #isTerminated = false;
  #kills = 0;
  #poll: NodeJS.Timeout | undefined;
  /** stdout and stderr. */
  #output: PacedLines | undefined;
  #errors: PacedLines | undefined;
  #closedPipeTimer: NodeJS.Timeout | undefined;
  #lastWordsTimer: NodeJS.Timeout | undefined;

  constructor(server: StdioServerConfig, deps: ChildDeps) {
    this.#deps = deps;
    this.#server = server;
    this.#stderr = new StderrLog(server, deps.logger, deps.boundary, deps.stderr);
    this.gone = new Promise((resolve) => (this.#resolveDone = resolve));
    try {
      this.#process = spawn(server.command, [...server.args], {
        // Nothing else of the gateway's environment reaches a child.
        env: { ...server.environment },
        ...(server.cwd === undefined ? {} : { cwd: server.cwd }),
        detached: !WINDOWS,
        windowsHide: true,
        stdio: ['pipe', 'pipe', 'pipe'],
      });
    } catch (error) {
      setImmediate(deps.boundary.guard('link', () => this.#notStarted(error as NodeJS.ErrnoException)));
      return;
    }
    this.pid = this.#process.pid;
    if (this.pid !== undefined && !WINDOWS) deps.watcher.add(this.pid);
    this.#listen(this.#process);
  }

  get lastStderr(): string {
    return this.#stderr.last;
  }

  write(line: Buffer): boolean {
    const stdin = this.#process?.stdin;
    if (!stdin?.writable) return true;
    if (line.length <= COPY_BYTES) {
      const whole = Buffer.allocUnsafe(line.length + 1);
      line.copy(whole);
      whole[line.length] = 10;
      return stdin.write(whole);
    }
    stdin.cork();
    stdin.write(line);
    const more = stdin.write('\n');
    stdin.uncork();
    return more;
  }

  onDrain(fn: () => void): void {
    this.#drain = fn;
  }

  pause(): void {
    this.#output?.pause();
  }

  resume(): void {
    this.#output?.resume();
  }

  closeStdin(): void {
    this.#process?.stdin?.end();
  }

  close(graceMs: number): Promise<void> {
    this.#reason ??= 'stopped';
    this.closeStdin();
    if (this.pid !== undefined && !this.#groupGone) {
      const now = monotonic.now();
      this.#terminateAt = Math.min(this.#terminateAt, now + Math.min(graceMs / 2, BY_ITSELF_MS));
      this.#killAt = Math.min(this.#killAt, now + graceMs);
      this.#check();
    }
    return this.gone;
  }

  destroy(reason = 'stopped'): void {
    this.#reason ??= reason;
    this.#killAt = 0;
    if (this.pid !== undefined && !this.#groupGone) this.#check();
  }

  #listen(child: ChildProcess): void {
    const { stdin, stdout, stderr } = child;
    const { boundary } = this.#deps;
    const lines = splitLines({
      maxBytes: this.#deps.maxLineBytes,
      budget: this.#deps.budget,
      onLine: (line) => this.#deps.onLine(line),
      onPieces: (pieces) => this.#deps.onPieces(pieces),
      onDropping: (reason) =>
        this.#deps.logger.warn(
          reason === 'line'
            ? 'a line of the stdio server is larger than limits.message_bytes: dropped'
            : 'limits.buffered_bytes has no room for a line of the stdio server: dropped',
          { server: this.#server.name },
        ),
      onSkipped: (bytes, head) => this.#deps.onSkipped(bytes, head),
      onDropped: (line) => this.#deps.onOversize(line),
    });
    stdin?.on(
      'drain',
      boundary.guard('server_line', () => this.#drain()),
    );
    stdin?.on('error', () => this.#closedPipe('closed its standard input'));
    let hasOutput = false;
    const output = (): void => {
      if (hasOutput) return;
      hasOutput = true;
      this.#deps.onOutput();
    };
    stdout?.once('data', output);
    stderr?.once('data', output);
    const pace = new Pace();
    if (stdout) this.#output = new PacedLines(stdout, { lines, pace, boundary, place: 'server_line' });
    stdout?.once('end', () => this.#closedPipe('closed its standard output'));
    if (stderr)
      this.#errors = new PacedLines(stderr, { lines: this.#stderr.lines, pace, boundary, place: 'stderr' });
    const failed = (error: Error): void => {
      if (child.pid === undefined) this.#notStarted(error);
    };
    const readOut = (): void => {
      boundary.run('server_line', () => lines.end());
      const report = boundary.guard('link', () => this.#report());
      if (this.#errors) this.#errors.finish(report);
      else report();
    };
    const closed = (): void => {
      if (this.#output) this.#output.finish(readOut);
      else readOut();
    };
    child.on('error', boundary.guard('link', failed));
    child.once(
      'exit',
      boundary.guard('link', (code: number | null, signal: NodeJS.Signals | null) => {
        this.#exited(code, signal);
      }),
    );
    child.once('close', boundary.guard('link', closed));
  }

  #notStarted(error: NodeJS.ErrnoException): void {
    this.#exit ??= { code: null, signal: null, reason: this.#reason ?? whyNotStarted(this.#server, error) };
    this.#groupGone = true;
    this.#report();
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    this.#exit = { code, signal, reason: this.#reason ?? describeExit(code, signal) };
    clearTimeout(this.#closedPipeTimer);
    const { stdin, stdout, stderr } = this.#process as ChildProcess;
    stdin?.destroy();
    this.#output?.readLast();
    this.#errors?.readLast();
    const hangUp = (): void => {
      stdout?.destroy();
      stderr?.destroy();
    };
    this.#lastWordsTimer = setTimeout(this.#deps.boundary.guard('link', hangUp), LAST_WORDS_MS);
    // What the child started must not outlive it.
    this.#terminateAt = 0;
    if (this.#killAt === Infinity) this.#killAt = monotonic.now() + SWEEP_MS;
    this.#check();
  }

  /** The child lives on, but cannot serve any more. */
  #closedPipe(what: string): void {
    if (this.#exit || this.#closedPipeTimer) return;
    this.#closedPipeTimer = setTimeout(
      this.#deps.boundary.guard('link', () => this.destroy(what)),
      CLOSED_PIPE_MS,
    );
  }

  /** Sends the signals that are due, and finds out whether the group is gone. */
  #check(): void {
    clearTimeout(this.#poll);
    if (this.#exit && !this.#signal(0)) return this.#settle();
    const now = monotonic.now();
    if (now >= this.#killAt) {
      this.#signal('SIGKILL');
      // Without an init process, dead orphans are not reaped and their group stays.
      if (this.#exit && ++this.#kills > 4) return this.#settle();
    } else if (now >= this.#terminateAt && !this.#isTerminated) {
      this.#isTerminated = true;
      this.#signal('SIGTERM');
    }
    this.#poll = setTimeout(
      this.#deps.boundary.guard('link', () => this.#check()),
      POLL_MS,
    );
  }

  #settle(): void {
    if (this.pid !== undefined) this.#deps.watcher.remove(this.pid);
    this.#groupGone = true;
    if (this.#reported) this.#resolveDone();
  }

  #report(): void {
    if (this.#reported) return;
    this.#reported = true;
    clearTimeout(this.#lastWordsTimer);
    this.#stderr.end();
    this.#deps.onExit(this.#exit as ExitInfo);
    if (this.#groupGone) this.#resolveDone();
  }

  #signal(signal: NodeJS.Signals | 0): boolean {
    if (this.pid === undefined) return false;
    try {
      // Windows has no process groups: only the child itself is signalled.
      if (WINDOWS) return !this.#exit && (this.#process as ChildProcess).kill(signal);
      return process.kill(-this.pid, signal);
    } catch {
      return false;
    }
  }
}

function describeExit(code: number | null, signal: NodeJS.Signals | null): string {
  return signal ? `was ended by ${signal}` : `exited with status ${code}`;
}
