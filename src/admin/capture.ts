/** Bodies of calls, kept for a limited time because an operator asked for them. Secrets are masked. */
import { maskSecrets } from '../config/redact.js';
import { redact } from '../observe/audit/redact.js';
import type { ObservedCall } from '../observe/calls.js';
import type { KeptCall, Watch } from './calls.js';
import type { Capture as Shown } from './schemas.js';

const MOST_CALLS = 100;
const DURATION_MS = 600_000;
const BODY_BYTES = 16_384;
/** What is read of an answer, before its secrets are masked. */
const READ_BYTES = 65_536;
/** Names of members whose values are secrets, whatever they are. */
const SECRET_NAMES: ReadonlySet<string> = new Set(
  'password passwd passphrase secret client_secret token access_token refresh_token id_token api_key apikey authorization cookie set-cookie private_key'.split(
    ' ',
  ),
);

export interface CaptureWish {
  readonly server: string;
  /** As the server calls it; undefined: every tool. */
  readonly tool: string | undefined;
  /** Who asked for it. */
  readonly by: string;
  /** Values that are masked. */
  readonly secrets: readonly string[];
}

interface Running extends CaptureWish {
  readonly until: number;
  left: number;
  readonly timer: NodeJS.Timeout;
  readonly over: () => void;
}

export class Capture {
  readonly #watch: Watch;
  #running: Running | undefined;

  constructor(watch: Watch) {
    this.#watch = watch;
  }

  get shown(): Shown | null {
    if (!this.#running) return null;
    const { server, tool, until, left, by } = this.#running;
    return { server, tool: tool ?? null, until: new Date(until).toISOString(), left, by };
  }

  /** Begins, in place of a capture that runs. */
  begin(wish: CaptureWish): void {
    this.end();
    const over = this.#watch.begin();
    const timer = setTimeout(() => {
      this.end();
    }, DURATION_MS).unref();
    const running: Running = {
      ...wish,
      until: Date.now() + DURATION_MS,
      left: MOST_CALLS,
      timer,
      over,
    };
    this.#running = running;
    this.#watch.sent = (call, kept) => {
      this.#take(running, call, kept);
    };
  }

  /** Returns whether there was one. Calls in flight that it has taken are still captured to their end. */
  end(): boolean {
    const running = this.#running;
    if (!running) return false;
    this.#running = undefined;
    this.#watch.sent = undefined;
    clearTimeout(running.timer);
    running.over();
    return true;
  }

  #take(running: Running, { target, details, method }: ObservedCall, kept: KeptCall): void {
    if (!details || target?.link.server !== running.server) return;
    if (running.tool !== undefined && (method !== 'tools/call' || target.name !== running.tool)) return;
    const bytes = details.argumentBytes();
    const answer: Buffer[] = [];
    let length = 0;
    details.tap = (chunk) => {
      if (length >= READ_BYTES) return;
      const part = Buffer.from(chunk.subarray(0, READ_BYTES - length));
      length += part.length;
      answer.push(part);
    };
    kept.captured = {
      request: bytes ? masked(bytes, running.secrets) : null,
      get response() {
        return length === 0 ? null : masked(Buffer.concat(answer), running.secrets);
      },
    };
    if (--running.left === 0) this.end();
  }
}

/** The name of a secret member in JSON inside a string: its quotes have the same backslashes in front. */
const EMBEDDED = new RegExp(
  `(?<!\\\\)(\\\\+)"(?:${[...SECRET_NAMES].join('|')})\\1"(?:\\s|\\\\+[nrt])*:(?:\\s|\\\\+[nrt])*`,
  'gi',
);
/** A run of backslashes and the quote after it. */
const QUOTE = /(\\*)"/g;
const BARE = /[^\s,}\]"\\]*/y;

/** Replaces the values of secret members in JSON inside strings of JSON, at any level. */
function maskEmbedded(text: string): string {
  let shown = '';
  let at = 0;
  EMBEDDED.lastIndex = 0;
  for (let found = EMBEDDED.exec(text); found; found = EMBEDDED.exec(text)) {
    const [whole, slashes = ''] = found;
    const start = found.index + whole.length;
    shown += `${text.slice(at, start)}${slashes}"***${slashes}"`;
    EMBEDDED.lastIndex = at = endOfValue(text, start, slashes);
  }
  return shown + text.slice(at);
}

/** The end of a value; of a string without an end, that of the text. `slashes`: in front of the quotes of its JSON. */
function endOfValue(text: string, start: number, slashes: string): number {
  if (!text.startsWith(`${slashes}"`, start)) {
    BARE.lastIndex = start;
    BARE.test(text);
    return BARE.lastIndex;
  }
  QUOTE.lastIndex = start + slashes.length + 1;
  for (let found = QUOTE.exec(text); found; found = QUOTE.exec(text)) {
    // Each level of strings doubles backslashes: what is left at the level of this JSON escapes the quote if it is odd.
    const left = Math.floor((found[1] ?? '').length / (slashes.length + 1));
    if (left % 2 === 0) return QUOTE.lastIndex;
  }
  return text.length;
}

/** What is shown of a body: secrets of the config and values of secret members are `***`, also in JSON inside a string. */
export function masked(json: Buffer, secrets: readonly string[]): string {
  const { text, cut } = redact(json, SECRET_NAMES, READ_BYTES);
  const shown = maskEmbedded(maskSecrets(text, secrets));
  const isLong = cut || Buffer.byteLength(shown) > BODY_BYTES;
  return isLong
    ? `${Buffer.from(shown)
        .toString('utf8', 0, BODY_BYTES)
        .replace(/\ufffd$/, '')}...`
    : shown;
}
