import { createRequire } from 'node:module';
import { isatty } from 'node:tty';
import type { Logger as Pino, LoggerOptions } from 'pino';
import type { LogLevelName } from '../config/types.js';
import type { LogFields, Logger } from './log.js';
import type { Sink } from './sink.js';
import { openSink } from './sink.js';

type LineLevel = 'debug' | 'info' | 'warn' | 'error';
type WriteLine = (level: LineLevel, message: string, fields: LogFields | undefined) => void;

export interface LoggerSettings {
  readonly level: LogLevelName;
  /** `auto`: `pretty` on a terminal, else `json`. */
  readonly format: 'auto' | 'pretty' | 'json';
  readonly destination: 'stdout' | 'stderr';
}

/** Overrides detected settings, for tests and embedding programs. */
export interface LoggerSurroundings {
  readonly terminal?: boolean;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly sink?: Sink;
}

const RANK: Record<LogLevelName, number> = { trace: 0, debug: 1, info: 2, warn: 3, error: 4, off: 5 };

/**
 * The gateway's log: JSON lines for machines, or one short line per event for people. Writing never blocks. At most 1 MB is buffered;
 * further lines are dropped and counted. Call `flush()` before the process exits.
 */
export function createLogger(
  settings: LoggerSettings,
  surroundings: LoggerSurroundings = {},
): Logger & { flush(): Promise<void> } {
  const fd = settings.destination === 'stdout' ? 1 : 2;
  const terminal = surroundings.terminal ?? isatty(fd);
  const env = surroundings.env ?? process.env;
  const sink =
    surroundings.sink ??
    openSink(fd, (lines) => {
      writeLine('warn', 'log lines were dropped: they were not read as fast as they came', { lines });
    });
  const pretty = settings.format === 'pretty' || (settings.format === 'auto' && terminal);
  const colours = terminal && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  const writeLine: WriteLine = pretty ? prettyLines(sink, colours) : jsonLines(sink);

  const least = RANK[settings.level];
  const at = (level: LineLevel): Logger['info'] =>
    RANK[level] < least ? () => {} : (message, fields) => writeLine(level, message, fields);
  return {
    debugEnabled: RANK.debug >= least,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    flush: () => sink.flush(),
  };
}

/** Loading pino takes longer than the rest of the start, so the terminal format does without it. */
function jsonLines(sink: Sink): WriteLine {
  const require = createRequire(import.meta.url);
  const pino = require('pino') as (options: LoggerOptions, to: Sink) => Pino;
  const logger = pino(
    {
      level: 'debug',
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    sink,
  );
  return (level, message, fields) => {
    if (fields === undefined) logger[level](message);
    else logger[level](fields, message);
  };
}

const COLOURS: Record<LineLevel, string> = {
  debug: '\u001b[2m',
  info: '\u001b[32m',
  warn: '\u001b[33m',
  error: '\u001b[31m',
};
const DIM = '\u001b[2m';
const PLAIN = '\u001b[0m';

/** `12:00:00.000 info  message  key=value key="two words"` */
function prettyLines(sink: Sink, colours: boolean): WriteLine {
  const paint = (colour: string, text: string) => (colours ? `${colour}${text}${PLAIN}` : text);
  return (level, message, fields) => {
    let line = `${paint(DIM, clockTime(new Date()))} ${paint(COLOURS[level], level.padEnd(5))} ${escapeControls(message)}`;
    let gap = '  ';
    for (const key in fields) {
      const value = fields[key];
      if (value === undefined) continue;
      line += `${gap}${paint(DIM, `${key}=`)}${typeof value === 'string' ? showString(value) : String(value)}`;
      gap = ' ';
    }
    sink.write(`${line}\n`);
  };
}

function clockTime(now: Date): string {
  const two = (n: number) => String(n).padStart(2, '0');
  return `${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}.${String(now.getMilliseconds()).padStart(3, '0')}`;
}

/** Quotes a value that a reader, or a tool that splits at spaces, could misread. */
function showString(value: string): string {
  return /^[^\s"=\\]+$/.test(value) && !UNPRINTABLE.test(value)
    ? value
    : escapeControls(JSON.stringify(value));
}

/** Line breaks, terminal escapes and bidirectional controls: a value must not forge a log line. */
const UNPRINTABLE = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/u;
const EVERY_UNPRINTABLE = new RegExp(UNPRINTABLE, 'gu');

function escapeControls(text: string): string {
  if (!UNPRINTABLE.test(text)) return text;
  return text.replace(EVERY_UNPRINTABLE, (c) => {
    if (c === '\n') return '\\n';
    if (c === '\r') return '\\r';
    if (c === '\t') return '\\t';
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
