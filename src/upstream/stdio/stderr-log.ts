/** The standard error of a child in the log at debug level, so many lines a second; and its last words, which tell why it ended. */
import { maskSecrets, secretsOf } from '../../config/redact.js';
import type { StdioServerConfig } from '../../config/types.js';
import { createBudget } from '../../lib/budget.js';
import { monotonic } from '../../lib/clock.js';
import { splitLines, type LineSplitter } from '../../lib/lines.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';

const STDERR_LINES = 20;
const STDERR_WINDOW_MS = 1000;
const STDERR_LINE_BYTES = 8192;
const LAST_STDERR_CHARS = 200;
const LATEST_LINES = 3;
/** What a line that tells why has in it. */
const TELLING = /error|exception|cannot|missing|required/i;
/** The first lines of npm name the kind of an error; what happened stands in the next one. */
const PREAMBLE = /^npm (?:error|ERR!) (?:code|errno|syscall|path) /;

/** A child's standard error in the log, at debug: so many lines a second, the rest counted. */
export class StderrLog {
  readonly #logger: Logger;
  readonly #server: string;
  readonly #secrets: string[];
  readonly lines: LineSplitter;
  /** The first line that tells of an error, and the last ones. */
  #telling: string | undefined;
  readonly #latest: Buffer[] = [];
  #windowStart = -Infinity;
  #inWindow = 0;
  #skipped = 0;
  readonly #tellLater: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(server: StdioServerConfig, logger: Logger, boundary: Boundary) {
    this.#logger = logger;
    this.#tellLater = boundary.guard('stderr', () => this.#tellSkipped());
    this.#server = server.name;
    this.#secrets = secretsOf(server);
    this.lines = splitLines({
      maxBytes: STDERR_LINE_BYTES,
      budget: UNBOUNDED,
      onLine: (line) => this.#line(line),
      onDropped: (line) => this.#line(line.head),
    });
  }

  /** What it said of its end: the first line that tells of an error, else the last three. */
  get last(): string {
    const text = this.#telling ?? this.#latest.map((line) => this.#show(line)).join(' | ');
    return text.slice(0, LAST_STDERR_CHARS);
  }

  end(): void {
    const rest = this.lines.end();
    if (rest) this.#line(rest);
    this.#tellSkipped();
  }

  #line(line: Buffer): void {
    if (isBlank(line)) return;
    this.#note(line);
    if (!this.#logger.debugEnabled) return;
    const now = monotonic.now();
    if (now - this.#windowStart >= STDERR_WINDOW_MS) {
      this.#tellSkipped();
      this.#windowStart = now;
      this.#inWindow = 0;
    }
    if (this.#inWindow++ < STDERR_LINES) {
      this.#logger.debug('stderr of the stdio server', { server: this.#server, line: this.#show(line) });
      return;
    }
    this.#skipped++;
    this.#timer ??= setTimeout(this.#tellLater, STDERR_WINDOW_MS).unref();
  }

  #note(line: Buffer): void {
    if (this.#telling === undefined && TELLING.test(line.toString('latin1'))) {
      const text = this.#show(line);
      if (!PREAMBLE.test(text)) this.#telling = text;
    }
    // Copied: a view would keep its whole chunk.
    this.#latest.push(Buffer.from(line));
    if (this.#latest.length > LATEST_LINES) this.#latest.shift();
  }

  #tellSkipped(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#skipped === 0) return;
    this.#logger.debug('more lines on stderr of the stdio server than are logged', {
      server: this.#server,
      skipped: this.#skipped,
    });
    this.#skipped = 0;
  }

  #show(line: Buffer): string {
    const text = line.toString().replace(ESCAPE_SEQUENCES, '').replace(CONTROLS, ' ').trim();
    return maskSecrets(text, this.#secrets);
  }
}

function isBlank(line: Buffer): boolean {
  for (const byte of line) if (byte > 32) return false;
  return true;
}

const UNBOUNDED = createBudget(Infinity);
/** The colours of a terminal. */
const ESCAPE_SEQUENCES = /\u001b\[[0-9;?]*[A-Za-z]/g;
const CONTROLS = /\p{Cc}/gu;
