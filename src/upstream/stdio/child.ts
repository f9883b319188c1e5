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
import { PacedLines } from './paced-lines.js';
import { whyNotStarted } from './start-failure.js';
import { StderrLog } from './stderr-log.js';
import type { Watcher } from './watcher.js';

export interface ExitInfo {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** One line: why it ended, or why it never started and what to do about it. */
  readonly reason: string;
}

export interface ChildDeps {
  readonly logger: Logger;
  readonly boundary: Boundary;
  readonly watcher: Watcher;
  readonly budget: Budget;
  /** The longest line that is taken, in bytes. */
  readonly maxLineBytes: number;
  /** One line of standard output, without its line break. Not called for empty lines, nor after onExit. */
  onLine(line: Buffer): void;
  /** A large line of stdout, in more than one piece. */
  onPieces(pieces: Buffer[]): void;
  /** The first bytes came on either of its outputs. */
  onOutput(): void;
  /** Bytes of a line that is too large to be held, as they come, and the first bytes of the line. */
  onSkipped(bytes: number, head: Buffer): void;
  /** A line that was too large came to its end. */
  onOversize(line: DroppedLine): void;
  /** Once, after the last line; never before spawnChild() has returned. */
  onExit(info: ExitInfo): void;
}

export interface Child {
  /** Undefined if it could not be started. It is the id of the process group as well. */
  readonly pid: number | undefined;
  /** The last line of standard error, at most 200 characters, secrets of the server masked; '' before the first. */
  readonly lastStderr: string;
  /** Writes one line; it must hold no line break. False: wait for onDrain before more is written. */
  write(line: Buffer): boolean;
  onDrain(fn: () => void): void;
  /** Stops reading; lines that were already read still come. */
  pause(): void;
  resume(): void;
  closeStdin(): void;
  /**
   * Ends its input, then asks the group to end (SIGTERM), then makes it (SIGKILL), all within `graceMs`.
   * Resolves when the group is gone.
   */
  close(graceMs: number): Promise<void>;
  /** SIGKILL to the group, at once. */
  destroy(reason?: string): void;
}

const WINDOWS = process.platform === 'win32';
/** Up to this size a line is copied to add its line break; beyond it two writes are cheaper. */
const COPY_BYTES = 64 * 1024;
/** After the exit, for what stands in the pipes: only something outside the group can hold them open longer. */
const LAST_WORDS_MS = 500;
/** For a child that closed a pipe: the exit that follows as a rule tells more. */
const DEAF_MS = 500;
/** What a child's own processes get to end after it has. */
const SWEEP_MS = 1000;
const POLL_MS = 25;
/** At most so much of a grace goes to the child that ends by itself when its input does. */
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
  readonly #done: Promise<void>;
  #resolveDone: () => void = () => {};
  #drain: () => void = () => {};
  /** First cause wins; the exit status is only told when nobody named one. */
  #reason: string | undefined;
  /** What follows the exit of the leader, or the failure to start it. */
  #exit: ExitInfo | undefined;
  #reported = false;
  #groupGone = false;
  /** When the group is asked and when it is made to end, on the monotonic clock. */
  #terminateAt = Infinity;
  #killAt = Infinity;
  #asked = false;
  #kills = 0;
  #looking: NodeJS.Timeout | undefined;
  /** Its standard output, and its standard error. */
  #output: PacedLines | undefined;
  #errors: PacedLines | undefined;
  #deafTimer: NodeJS.Timeout | undefined;
  #lastWordsTimer: NodeJS.Timeout | undefined;

  constructor(server: StdioServerConfig, deps: ChildDeps) {
    this.#deps = deps;
    this.#server = server;
    this.#stderr = new StderrLog(server, deps.logger, deps.boundary);
    this.#done = new Promise((resolve) => (this.#resolveDone = resolve));
    try {
      this.#process = spawn(server.command, [...server.args], {
        // Exactly this: nothing else of the gateway's own environment reaches a child.
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
      this.#look();
    }
    return this.#done;
  }

  destroy(reason = 'stopped'): void {
    this.#reason ??= reason;
    this.#killAt = 0;
    if (this.pid !== undefined && !this.#groupGone) this.#look();
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
    stdin?.on('error', () => this.#deaf('closed its standard input'));
    let spoke = false;
    const heard = (): void => {
      if (spoke) return;
      spoke = true;
      this.#deps.onOutput();
    };
    stdout?.once('data', heard);
    stderr?.once('data', heard);
    const pace = new Pace();
    if (stdout) this.#output = new PacedLines(stdout, { lines, pace, boundary, place: 'server_line' });
    stdout?.once('end', () => this.#deaf('closed its standard output'));
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
    clearTimeout(this.#deafTimer);
    const { stdin, stdout, stderr } = this.#process as ChildProcess;
    stdin?.destroy();
    this.#output?.readLast();
    this.#errors?.readLast();
    const hangUp = (): void => {
      stdout?.destroy();
      stderr?.destroy();
    };
    this.#lastWordsTimer = setTimeout(this.#deps.boundary.guard('link', hangUp), LAST_WORDS_MS);
    // The leader is gone; what it started must not stay.
    this.#terminateAt = 0;
    if (this.#killAt === Infinity) this.#killAt = monotonic.now() + SWEEP_MS;
    this.#look();
  }

  /** Lives, but can serve nothing any more. */
  #deaf(what: string): void {
    if (this.#exit || this.#deafTimer) return;
    this.#deafTimer = setTimeout(
      this.#deps.boundary.guard('link', () => this.destroy(what)),
      DEAF_MS,
    );
  }

  /** Ends the group by and by, and sees when it is gone. */
  #look(): void {
    clearTimeout(this.#looking);
    if (this.#exit && !this.#signal(0)) return this.#settle();
    const now = monotonic.now();
    if (now >= this.#killAt) {
      this.#signal('SIGKILL');
      // Without an init nobody reaps orphans: dead as they are, their group does not go away.
      if (this.#exit && ++this.#kills > 4) return this.#settle();
    } else if (now >= this.#terminateAt && !this.#asked) {
      this.#asked = true;
      this.#signal('SIGTERM');
    }
    this.#looking = setTimeout(
      this.#deps.boundary.guard('link', () => this.#look()),
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
      // There are no groups on Windows: the leader has to do.
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
