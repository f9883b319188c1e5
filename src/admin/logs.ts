/** The last lines of the log, for operators. */
import type { LogFields, Logger } from '../observe/log.js';
import type { LogLevelName } from '../config/types.js';
import type { LogLine } from './schemas.js';

const MOST = 1000;
const MESSAGE_CHARS = 2048;
const RANK: Readonly<Record<LogLevelName, number>> = {
  trace: 0,
  debug: 1,
  info: 2,
  warn: 3,
  error: 4,
  off: 5,
};

interface Kept {
  /** Counts all lines. */
  readonly number: number;
  readonly time: number;
  readonly level: LogLine['level'];
  readonly message: string;
  readonly fields: LogFields | undefined;
}

export class LogRing {
  #lines: Kept[] = [];
  #number = 0;

  /** A logger that keeps its lines here as well. `level`: the least severe one that is kept. */
  keeping(logger: Logger, level: () => LogLevelName): Logger {
    const at =
      (name: LogLine['level']): Logger['info'] =>
      (message, fields) => {
        logger[name](message, fields);
        if (RANK[name] >= RANK[level()]) this.#keep(name, message, fields);
      };
    return {
      get debugEnabled() {
        return logger.debugEnabled;
      },
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
    };
  }

  /** Counts the lines so far. */
  get count(): number {
    return this.#number;
  }

  /** The lines after the first `count`, oldest first. */
  since(count: number): LogLine[] {
    const from = this.#lines.findIndex(({ number }) => number > count);
    return from === -1 ? [] : this.#lines.slice(from).slice(-MOST).map(lineOf);
  }

  #keep(level: LogLine['level'], message: string, fields: LogFields | undefined): void {
    this.#lines.push({ number: ++this.#number, time: Date.now(), level, message, fields });
    if (this.#lines.length > MOST + 128) this.#lines = this.#lines.slice(-MOST);
  }
}

function lineOf({ time, level, message, fields = {} }: Kept): LogLine {
  const shown: LogLine['fields'] = {};
  for (const [name, value] of Object.entries(fields))
    if (value !== undefined) shown[name] = typeof value === 'string' ? value.slice(0, MESSAGE_CHARS) : value;
  return {
    time: new Date(time).toISOString(),
    level,
    message: message.slice(0, MESSAGE_CHARS),
    fields: shown,
  };
}
