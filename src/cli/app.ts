/** Runs the commands of `table.ts`: reads their options and words, and loads the code of the one that runs. */
import {
  buildApplication,
  buildCommand,
  buildRouteMap,
  formatMessageForArgumentScannerError,
  proposeCompletions,
  run,
  text_en,
  type Application,
  type ArgumentScannerError,
  type Command,
  type CommandContext,
  type FlagParametersForType,
  type RouteMap,
  type TypedPositionalParameters,
} from '@stricli/core';
import { Refusal } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';
import { TABLE, usageOf, type Named } from './table.js';
import { isRow, type Completes, type VerbRow } from './verb.js';

type PositionalArray = TypedPositionalParameters<readonly string[], Context>;
type Flags = Readonly<Record<string, string | boolean | undefined>>;

interface Context extends CommandContext {
  readonly terminal: Terminal;
  readonly program: readonly string[] | undefined;
  status: number;
}

/** Lists what a word of a command completes to. */
export type Propose = (kind: Completes, partial: string) => Promise<readonly string[]>;

const NOTHING: Propose = () => Promise.resolve([]);

/** Runs a command line whose first word is in the table. Resolves with the exit status; rejects with a Refusal. */
export async function runVerb(argv: readonly string[], terminal: Terminal): Promise<number> {
  const end = argv.indexOf('--');
  const inputs = end === -1 ? argv : argv.slice(0, end);
  const program = end === -1 ? undefined : argv.slice(end + 1);
  const named = namedBy(inputs);
  const asksHelp = inputs.some((word) => word === '--help' || word === '-h');
  if (!named && !asksHelp) throw unknownSecond(inputs);
  if (program && !named?.row.takesProgram)
    throw new Refusal(
      `${named ? `mcpstead ${named.name}` : 'this command'} takes no command line after --`,
      2,
    );
  let errors = '';
  const streams = {
    stdout: { write: terminal.out },
    stderr: { write: (text: string) => void (errors += text) },
    env: { STRICLI_SKIP_VERSION_CHECK: '1', STRICLI_NO_COLOR: '1' },
    exitCode: undefined as number | undefined,
  };
  const context: Context = { process: streams, terminal, program, status: 0 };
  let thrown: { error: unknown } | undefined;
  await run(
    build(NOTHING, (error) => (thrown ??= { error })),
    inputs,
    { ...context, forCommand: () => context },
  );
  if (thrown) throw thrown.error;
  if ((streams.exitCode ?? 0) < 0) {
    const what = errors.trim().replace(/\s*\n\s*/g, ' ');
    const usage = named ? usageOf(named) : 'mcpstead --help';
    throw new Refusal(what.endsWith('?') ? what : `${what}; usage: ${usage}`, 2);
  }
  return context.status;
}

/** What can follow an unfinished command line; the last word is the unfinished one. */
export async function proposals(
  words: readonly string[],
  propose: Propose,
  terminal: Terminal,
): Promise<string[]> {
  const process = { stdout: { write: () => undefined }, stderr: { write: () => undefined }, env: {} };
  const context: Context = { process, terminal, program: undefined, status: 0 };
  const found = await proposeCompletions(
    build(propose, () => undefined),
    words,
    {
      ...context,
      forCommand: () => context,
    },
  );
  return found.map(({ completion }) => completion);
}

/** The command that a line names. */
function namedBy([first = '', second = '']: readonly string[]): Named | undefined {
  const found = TABLE[first];
  if (!found) return undefined;
  if (isRow(found)) return { name: first, row: found };
  const row = Object.hasOwn(found, second) ? found[second] : undefined;
  return row && { name: `${first} ${second}`, row };
}

function unknownSecond([first = '', second]: readonly string[]): Refusal {
  const known = Object.keys(TABLE[first] ?? {}).join(', ');
  const what =
    second === undefined ? `mcpstead ${first} needs a command` : `unknown command '${first} ${second}'`;
  return new Refusal(`${what}; there is: ${known}`, 2);
}

function build(propose: Propose, failed: (error: unknown) => void): Application<Context> {
  const routes: Record<string, Command<Context> | RouteMap<Context>> = {};
  for (const [name, found] of Object.entries(TABLE))
    routes[name] = isRow(found)
      ? commandOf(found, propose)
      : buildRouteMap<string, Context>({
          routes: Object.fromEntries(
            Object.entries(found).map(([second, row]) => [second, commandOf(row, propose)]),
          ),
          docs: { brief: Object.keys(found).join(', ') },
        });
  return buildApplication<Context>(
    buildRouteMap<string, Context>({
      routes,
      docs: { brief: 'one MCP endpoint in front of many MCP servers' },
    }),
    {
      name: 'mcpstead',
      scanner: { caseStyle: 'original', allowArgumentEscapeSequence: false },
      documentation: { disableAnsiColor: true },
      localization: {
        text: {
          ...text_en,
          noCommandRegisteredForInput: ({ input, corrections }) =>
            `unknown command '${input}'; ${corrections.length > 0 ? `did you mean ${corrections.join(' or ')}?` : 'see mcpstead --help'}`,
          exceptionWhileParsingArguments: (error) => wrongArguments(error as ArgumentScannerError),
          exceptionWhileRunningCommand(error) {
            failed(error);
            return '';
          },
          exceptionWhileLoadingCommandFunction(error) {
            failed(error);
            return '';
          },
        },
      },
    },
  );
}

function looksLikeFile(word: string): boolean {
  return /\.(ya?ml|jsonc?)$/i.test(word);
}

function wrongArguments(error: ArgumentScannerError): string {
  return `${formatMessageForArgumentScannerError(error, {
    FlagNotFoundError: ({ input, corrections }) =>
      `there is no --${input}${corrections.length > 0 ? `: did you mean ${corrections.map((each) => `--${each}`).join(' or ')}?` : ''}`,
    AliasNotFoundError: ({ input }) => `there is no -${input}`,
    UnexpectedPositionalError: ({ input }) =>
      `unexpected argument '${input}'${looksLikeFile(input) ? `; did you mean --config ${input}?` : ''}`,
    UnsatisfiedPositionalError: ({ placeholder }) => `${placeholder} is missing`,
    UnsatisfiedFlagError: ({ externalFlagName }) => `--${externalFlagName} needs a value`,
  })}`;
}

const NO_WORDS = { kind: 'tuple', parameters: [] } as unknown as PositionalArray;

function commandOf(row: VerbRow, propose: Propose): Command<Context> {
  const [minimum, maximum] = row.words;
  const { completes } = row;
  const flags: Record<string, unknown> = {};
  for (const [name, [placeholder, brief]] of Object.entries(row.values))
    flags[name] = { kind: 'parsed', parse: String, optional: true, placeholder, brief };
  for (const [name, brief] of Object.entries(row.flags))
    flags[name] = { kind: 'boolean', optional: true, withNegated: false, brief };
  return buildCommand<Flags, readonly string[], Context>({
    parameters: {
      flags: flags as FlagParametersForType<Flags, Context>,
      aliases: { ...('config' in row.values && { c: 'config' }), ...row.short },
      positional:
        maximum === 0
          ? NO_WORDS
          : {
              kind: 'array',
              minimum,
              ...(Number.isFinite(maximum) && { maximum }),
              parameter: {
                parse: String,
                brief: row.usage,
                placeholder: /[A-Za-z]+/.exec(row.usage)?.[0] ?? 'word',
                ...(completes && { proposeCompletions: (partial: string) => propose(completes, partial) }),
              },
            },
    },
    docs: { brief: row.help },
    async loader() {
      const verb = await row.load();
      return async function (this: Context, given, ...words) {
        const values: Record<string, string> = {};
        const set = new Set<string>();
        for (const [name, value] of Object.entries(given))
          if (typeof value === 'string') values[name] = value;
          else if (value === true) set.add(name);
        this.status = await verb({ words, values, flags: set, program: this.program }, this.terminal);
      };
    },
  });
}
