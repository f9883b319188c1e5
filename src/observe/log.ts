/** The logger interface. Fields are flat and never contain secrets. */
export interface Logger {
  /** Whether `debug` lines are written; check before building an expensive one. */
  readonly debugEnabled: boolean;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export const silent: Logger = {
  debugEnabled: false,
  debug() {},
  info() {},
  warn() {},
  error() {},
};
