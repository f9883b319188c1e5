import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';

/** How a child process is started. */
interface Start {
  readonly command: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

const WINDOWS = process.platform === 'win32';
/** The search path of a system without PATH. */
const DEFAULT_PATH = '/usr/bin:/bin';

/** Why the program of a stdio server cannot start; undefined: no problem is known. */
export function commandProblem(start: Start): string | undefined {
  const folder = start.cwd === undefined ? undefined : problemOfFolder(start.cwd);
  return folder === undefined ? programProblem(start) : `cwd '${start.cwd}' ${folder}`;
}

function programProblem({ command, environment, cwd = '.' }: Start): string | undefined {
  if (/[\\/]/.test(command)) return problemOfFile(command, resolve(cwd, command));
  const folders = (environment['PATH'] ?? (WINDOWS ? '' : DEFAULT_PATH)).split(delimiter);
  const endings = WINDOWS ? ['', ...(environment['PATHEXT'] ?? '.EXE;.CMD;.BAT;.COM').split(';')] : [''];
  const found = folders.some((folder) =>
    endings.some((ending) => isProgram(join(resolve(cwd, folder), command + ending))),
  );
  return found ? undefined : `command '${command}' is not in PATH: install it, or write its full path`;
}

function problemOfFile(command: string, path: string): string | undefined {
  if (!existsSync(path)) return `command '${command}' does not exist`;
  if (isProgram(path)) return undefined;
  return statSync(path).isDirectory()
    ? `command '${command}' is a directory: name the program in it`
    : `command '${command}' may not be executed: check its permissions (chmod +x)`;
}

function problemOfFolder(path: string): string | undefined {
  try {
    if (!statSync(path).isDirectory()) return 'is not a directory';
    accessSync(path, constants.X_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : 'cannot be entered';
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Detects arguments in `command` (`npx -y pkg`) and says how to fix them; undefined: there are none. */
export function argumentsInCommand(
  start: Start,
  written: string,
  args: readonly string[],
): string | undefined {
  const [program = '', ...more] = written.match(/"[^"]*"|'[^']*'|\S+/g) ?? [];
  if (more.length === 0 || programProblem(start) === undefined) return undefined;
  if (/[\\/]/.test(program) && programProblem({ ...start, command: program }) !== undefined) return undefined;
  const words = more.map((word) => (/^[\w.=/+-][\w.=/+@-]*$/.test(word) ? word : quoted(word)));
  const all = `[${[...words, ...(args.length > 0 ? ['...'] : [])].join(', ')}]`;
  return `'${written}' is no program: write command: ${program} and put the arguments into args: ${all}`;
}

function quoted(word: string): string {
  return /^["']/.test(word) ? word : JSON.stringify(word);
}
