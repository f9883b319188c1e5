/** The standard error of a child in the log at debug level, so many lines a second; and its last words, which tell why it ended. */
import type { StdioServerConfig } from '../../config/types.js';
import { createBudget } from '../../lib/budget.js';
import { monotonic } from '../../lib/clock.js';
import { splitLines, type LineSplitter } from '../../lib/lines.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';
import type { KeptLines } from './kept-lines.js';

const STDERR_LINES = 20;
const STDERR_WINDOW_MS = 1000;
const STDERR_LINE_BYTES = 8192;
const LAST_STDERR_CHARS = 200;
const LATEST_LINES = 3;
/** Matches lines that are likely to name the cause of an end. */
const ERROR_LIKE = /error|exception|cannot|missing|required/i;
/** The first error lines of npm are codes; a later one says what happened. */
const PREAMBLE = /^npm (?:error|ERR!) (?:code|errno|syscall|path) /;

export class StderrLog {
  readonly #logger: Logger;
  readonly #server: string;
  readonly #kept: KeptLines;
  readonly lines: LineSplitter;
  /** The first line that looks like an error, and the last lines. */
  #errorLine: string | undefined;
  readonly #latest: Buffer[] = [];
  #windowStart = -Infinity;
  #inWindow = 0;
  #skipped = 0;
  readonly #logSkippedLater: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(server: StdioServerConfig, logger: Logger, boundary: Boundary, kept: KeptLines) {
    this.#logger = logger;
    this.#logSkippedLater = boundary.guard('stderr', () => this.#logSkipped());
    this.#server = server.name;
    this.#kept = kept;
    this.lines = splitLines({
      maxBytes: STDERR_LINE_BYTES,
      budget: UNBOUNDED,
      onLine: (line) => this.#line(line),
      onDropped: (line) => this.#line(line.head),
    });
  }

  /** Why it ended, by its own words: the first line that looks like an error, else the last three lines. Secrets are masked. */
  get last(): string {
    const text = this.#errorLine ?? this.#latest.map((line) => this.#kept.show(line)).join(' | ');
    return text.slice(0, LAST_STDERR_CHARS);
  }

  end(): void {
    const rest = this.lines.end();
    if (rest) this.#line(rest);
    this.#logSkipped();
  }

  #line(line: Buffer): void {
    if (isBlank(line)) return;
    this.#note(line);
    if (!this.#logger.debugEnabled) return;
    const now = monotonic.now();
    if (now - this.#windowStart >= STDERR_WINDOW_MS) {
      this.#logSkipped();
      this.#windowStart = now;
      this.#inWindow = 0;
    }
    if (this.#inWindow++ < STDERR_LINES) {
      this.#logger.debug('stderr of the stdio server', { server: this.#server, line: this.#kept.show(line) });
      return;
    }
    this.#skipped++;
    this.#timer ??= setTimeout(this.#logSkippedLater, STDERR_WINDOW_MS).unref();
  }

  #note(line: Buffer): void {
    if (this.#errorLine === undefined && ERROR_LIKE.test(line.toString('latin1'))) {
      const text = this.#kept.show(line);
      if (!PREAMBLE.test(text)) this.#errorLine = text;
    }
    // A copy: a view would keep the whole chunk in memory.
    const copy = Buffer.from(line);
    this.#kept.add(copy);
    this.#latest.push(copy);
    if (this.#latest.length > LATEST_LINES) this.#latest.shift();
  }

  #logSkipped(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#skipped === 0) return;
    this.#logger.debug('lines on stderr of the stdio server were not logged: too many', {
      server: this.#server,
      skipped: this.#skipped,
    });
    this.#skipped = 0;
  }
}

function isBlank(line: Buffer): boolean {
  for (const byte of line) if (byte > 32) return false;
  return true;
}

const UNBOUNDED = createBudget(Infinity);
