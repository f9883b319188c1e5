import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';

/** What a child is started with. */
interface Start {
  readonly command: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

const WINDOWS = process.platform === 'win32';
/** Where a system without PATH looks. */
const DEFAULT_PATH = '/usr/bin:/bin';

/** Why the program of a stdio server would not be found; undefined: it would. */
export function commandProblem({ command, environment, cwd = '.' }: Start): string | undefined {
  if (/[\\/]/.test(command)) {
    return existsSync(resolve(cwd, command)) ? undefined : `command '${command}' does not exist`;
  }
  const folders = (environment['PATH'] ?? (WINDOWS ? '' : DEFAULT_PATH)).split(delimiter);
  const endings = WINDOWS ? ['', ...(environment['PATHEXT'] ?? '.EXE;.CMD;.BAT;.COM').split(';')] : [''];
  const found = folders.some((folder) =>
    endings.some((ending) => isProgram(join(resolve(cwd, folder), command + ending))),
  );
  return found ? undefined : `command '${command}' is not in PATH: install it, or write its full path`;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** `npx -y pkg` as a command: what is to be done about it; undefined: it is a program, or no more than a missing one. */
export function argumentsInCommand(
  start: Start,
  written: string,
  args: readonly string[],
): string | undefined {
  const [program = '', ...more] = written.match(/"[^"]*"|'[^']*'|\S+/g) ?? [];
  if (more.length === 0 || commandProblem(start) === undefined) return undefined;
  if (/[\\/]/.test(program) && commandProblem({ ...start, command: program }) !== undefined) return undefined;
  const words = more.map((word) => (/^[\w.=/+-][\w.=/+@-]*$/.test(word) ? word : quoted(word)));
  const all = `[${[...words, ...(args.length > 0 ? ['...'] : [])].join(', ')}]`;
  return `'${written}' is no program: write command: ${program} and put the arguments into args: ${all}`;
}

function quoted(word: string): string {
  return /^["']/.test(word) ? word : JSON.stringify(word);
}
