/** A problem in a configuration, and its fix. */
export interface ConfigProblem {
  /** The path as the caller gave it; absent for a configuration object. */
  readonly file?: string;
  /** From 1; absent if the cause is not in the file (an environment variable). */
  readonly line?: number;
  readonly column?: number;
  /** `servers[0].timeouts.connect_ms`, the name of a variable, or empty for the file as a whole. */
  readonly key: string;
  readonly message: string;
  readonly fix?: string;
}

/** A configuration that cannot be used. `message` has one line per problem, and no secrets. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];
  /** One line each. */
  readonly warnings: readonly string[];

  constructor(problems: readonly ConfigProblem[], warnings: readonly string[] = []) {
    super(problems.map(formatProblem).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
    this.warnings = warnings;
  }
}

/** `config.yaml:12:5: servers[0].name: problem (fix)`, on one line. */
function formatProblem(problem: ConfigProblem): string {
  const place = [problem.file, problem.line, problem.column].filter((part) => part !== undefined).join(':');
  const text = subject(problem.key, problem.message) + (problem.fix === undefined ? '' : ` (${problem.fix})`);
  return (place === '' ? text : `${place}: ${text}`).replace(/\s*[\r\n]+\s*/g, ' ');
}

function subject(key: string, message: string): string {
  if (key === '' || message.startsWith(key)) return message;
  return /^(must|is|has|needs) /.test(message) ? `${key} ${message}` : `${key}: ${message}`;
}

export type Path = readonly (string | number)[];

/** `['servers', 0, 'headers', 'X-A']` as `servers[0].headers.X-A`. */
function pathText(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[\w-]+$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}

/** Locates values in the text of the file. */
export interface Source {
  readonly file: string | undefined;
  /** The position of a value, or of the enclosing value if it is absent; `onKey`: the position of its key. */
  at(path: Path, onKey?: boolean): { line: number; column: number } | undefined;
}

/** For a configuration object, which has no lines. */
export const noSource: Source = { file: undefined, at: () => undefined };

/** Collects all problems of a configuration, to be thrown together. */
export class Findings {
  readonly problems: ConfigProblem[] = [];
  readonly warnings: string[] = [];
  readonly #source: Source;

  constructor(source: Source) {
    this.#source = source;
  }

  problem(path: Path, message: string, fix?: string, onKey = false): void {
    this.problems.push(this.#place(path, message, fix, onKey));
  }

  /** A problem caused by an environment variable. */
  environment(variable: string, message: string, fix?: string): void {
    this.problems.push({ key: variable, message, ...(fix === undefined ? {} : { fix }) });
  }

  warn(path: Path, message: string, fix?: string): void {
    this.warnings.push(formatProblem(this.#place(path, message, fix, true)));
  }

  /** All problems, in file order. */
  error(): ConfigError {
    const order = ({ line = 0, column = 0 }: ConfigProblem): number => line * 1e6 + column;
    return new ConfigError(
      this.problems.sort((a, b) => order(a) - order(b)),
      this.warnings,
    );
  }

  /** `config.yaml:12`, or the key if there is no file. */
  where(path: Path): string {
    const line = this.#source.at(path, true)?.line;
    return this.#source.file !== undefined && line !== undefined
      ? `${this.#source.file}:${line}`
      : pathText(path);
  }

  /** The place of a value, for a problem that is found later. */
  placeOf(path: Path): Omit<ConfigProblem, 'message' | 'fix'> {
    const { message: _, ...place } = this.#place(path, '', undefined, false);
    return place;
  }

  #place(path: Path, message: string, fix: string | undefined, onKey: boolean): ConfigProblem {
    const { file } = this.#source;
    return {
      ...(file === undefined ? {} : { file }),
      ...this.#source.at(path, onKey),
      key: pathText(path),
      message,
      ...(fix === undefined ? {} : { fix }),
    };
  }
}
