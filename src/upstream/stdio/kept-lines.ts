/** The last lines that a child wrote to stderr, for operators: bounded, and without secrets. */
import { maskSecrets, secretsOf } from '../../config/redact.js';
import type { ServerConfig } from '../../config/types.js';

const MOST_LINES = 100;
/** Longer lines are cut, after their secrets have been masked. */
const LINE_CHARS = 1024;

export class KeptLines {
  readonly #configured: readonly string[];
  readonly #more: () => readonly string[];
  /** A line as it came, or as it is shown. */
  readonly #lines: (Buffer | string)[] = [];

  /** `more`: further secrets. */
  constructor(server: ServerConfig, more: () => readonly string[] = () => []) {
    this.#configured = secretsOf(server);
    this.#more = more;
  }

  /** Oldest first. */
  get all(): string[] {
    return this.#lines.map((line) => (typeof line === 'string' ? line : this.show(line)));
  }

  /** `line`: a copy, which keeps no larger buffer in memory. */
  add(line: Buffer): void {
    this.#lines.push(line.length > LINE_CHARS ? this.show(line).slice(0, LINE_CHARS) : line);
    if (this.#lines.length > MOST_LINES) this.#lines.shift();
  }

  /** Takes over the lines of the link that this one replaces. */
  inherit(old: KeptLines): void {
    this.#lines.unshift(...old.all);
    this.#lines.splice(0, this.#lines.length - MOST_LINES);
  }

  /** The text of a line without escape sequences, control characters and secrets. */
  show(line: Buffer): string {
    const text = line.toString().replace(ESCAPE_SEQUENCES, '').replace(CONTROLS, ' ').trim();
    return maskSecrets(text, [...this.#configured, ...this.#more()]);
  }
}

/** The colours of a terminal. */
const ESCAPE_SEQUENCES = /\u001b\[[0-9;?]*[A-Za-z]/g;
const CONTROLS = /\p{Cc}/gu;
