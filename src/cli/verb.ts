/** What a command, such as `servers` or `audit verify`, is made of. */
import type { Terminal } from '../terminal/terminal.js';

/** What was written after the command. */
export interface Written {
  /** The words that are not options. */
  readonly words: readonly string[];
  /** Options with their values, by name. */
  readonly values: Readonly<Record<string, string | undefined>>;
  /** Options without a value that were given. */
  readonly flags: ReadonlySet<string>;
  /** The command line after `--`; undefined: there was no `--`. */
  readonly program: readonly string[] | undefined;
}

/** The words of a list, as in `--groups a,b`. */
export function listed(text: string): readonly string[] {
  return text.split(',').filter((word) => word !== '');
}

/** Resolves with the exit status; throws Refusal. */
export type Verb = (written: Written, terminal: Terminal) => Promise<number>;

/** What a word completes to, in shells. */
export type Completes = 'server' | 'tool' | 'client' | 'code' | 'grant' | 'approval';

export interface VerbRow {
  /** What follows the command in its usage line: `FILE...`. */
  readonly usage: string;
  readonly help: string;
  /** How many words follow. */
  readonly words: readonly [least: number, most: number];
  /** Options with a value: how the help calls the value, and what it means. */
  readonly values: Readonly<Record<string, readonly [value: string, meaning: string]>>;
  /** Options without a value, and what they mean. */
  readonly flags: Readonly<Record<string, string>>;
  /** Short forms of options, such as `f` of `follow`; `c` of `config` needs none. */
  readonly short?: Readonly<Record<string, string>>;
  /** Whether a command line may follow, after `--`. */
  readonly takesProgram?: true;
  readonly completes?: Completes;
  readonly load: () => Promise<Verb>;
}

/** The rows of a command with commands of its own, such as `keys`. */
export type Rows = Readonly<Record<string, VerbRow>>;

export function isRow(each: VerbRow | Rows): each is VerbRow {
  return typeof (each as Partial<VerbRow>).load === 'function';
}
