/** Makes a server of the config from a published one: its command or URL, with what a person has to give. */
import { Refusal } from '../../terminal/explain.js';
import type { Terminal } from '../../terminal/terminal.js';
import type { ClientServer } from '../clients/client.js';
import { canAsk, typed } from '../prompts.js';
import { REFUSED } from '../target.js';
import type { Written } from '../verb.js';
import {
  publishedFrom,
  type Argument,
  type Input,
  type Package,
  type Published,
  type Remote,
} from './server-json.js';

export interface FromRegistry {
  /** The last part of its name. */
  readonly name: string;
  /** `io.github.x/y 1.2.0`, and what it says about itself. */
  readonly title: string;
  /** With `${input:NAME}` where `answers` has the value. */
  readonly server: ClientServer;
  readonly answers: ReadonlyMap<string, string>;
  readonly notes: readonly string[];
}

/** Asks for values that are missing. Throws a Refusal. */
export async function serverFrom(
  value: unknown,
  written: Pick<Written, 'flags' | 'values'>,
  terminal: Terminal,
): Promise<FromRegistry> {
  const published = publishedFrom(value);
  const { name, version, description } = published;
  const way = wayOf(published);
  const answers = new Map<string, string>();
  const notes: string[] = [];
  const missing: string[] = [];
  // Texts of the registry are no references, whatever they look like: they are taken as answers are.
  const verbatim = (text: string): string => {
    const what = `\${command:text-${answers.size}}`;
    answers.set(what, text);
    return what;
  };
  const give = async (input: Input): Promise<string | undefined> => {
    const what = `\${input:${input.name}}`;
    if (input.value !== undefined) return await filled(input.value, input.variables);
    if (answers.has(what)) return what;
    const preset = terminal.env[input.name];
    if (input.isSecret && preset !== undefined && preset !== '') {
      notes.push(`${input.name} is read from the environment of the gateway`);
      return `\${${input.name}}`;
    }
    if (!input.isRequired) return input.otherwise === undefined ? undefined : verbatim(input.otherwise);
    if (!canAsk(written, terminal)) {
      if (input.otherwise !== undefined) return verbatim(input.otherwise);
      missing.push(input.name);
      return undefined;
    }
    const hints = [
      input.description,
      input.choices.join(' | '),
      input.otherwise && `default ${input.otherwise}`,
    ];
    const question = [input.name, ...hints].filter(Boolean).join(': ');
    const answer = (await typed(question, input.isSecret, terminal)) || input.otherwise;
    if (answer === undefined || answer === '') missing.push(input.name);
    else answers.set(what, answer);
    return what;
  };
  const filled = async (template: string, variables: readonly Input[]): Promise<string> => {
    const parts = template.split(/(\{[\w-]+\})/);
    const texts = await inOrder(parts, async (part) => {
      const variable = variables.find((each) => part === `{${each.name}}`);
      if (variable) return (await give(variable)) ?? '';
      return part === '' ? '' : verbatim(part);
    });
    return texts.join('');
  };
  const server = way.kind === 'package' ? await local(way, give) : await remote(way, give, filled);
  if (missing.length > 0)
    throw new Refusal(
      `${name} needs ${missing.join(', ')}: set ${missing.length === 1 ? 'it' : 'them'} in the environment, or run this on a terminal without --yes`,
      REFUSED,
    );
  if (published.others.length > 0) notes.push(`not understood: ${published.others.join(', ')}`);
  return {
    name: name.split('/').at(-1) ?? name,
    title: `${name} ${version}${description === '' ? '' : `: ${description}`}`.trim(),
    server,
    answers,
    notes,
  };
}

/** A package runs here; a URL needs nothing to be installed. The first package is taken, else the first URL. */
function wayOf({ ways, others, name }: Published): Package | Remote {
  const found = ways.find(({ kind }) => kind === 'package') ?? ways[0];
  if (found) return found;
  const known =
    others.length === 0 ? 'it has neither packages nor remotes' : `it has only: ${others.join(', ')}`;
  throw new Refusal(`${name} cannot be added: ${known}`);
}

/** One after the other: a person answers one question at a time. */
async function inOrder<T, R>(items: readonly T[], of: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await of(item));
  return results;
}

type Give = (input: Input) => Promise<string | undefined>;

const NOTHING = {
  path: [],
  args: [],
  env: {},
  headers: {},
  disabled: false,
  inherits: [],
  unknown: [],
} as const;

async function local(way: Package, give: Give): Promise<ClientServer> {
  const [command, ...words] = runtimeOf(way);
  const env: Record<string, string> = {};
  for (const input of way.environment) {
    const value = await give(input);
    if (value !== undefined) env[input.name] = value;
  }
  const runtime = await argumentsOf(way.runtimeArguments, give);
  const own = await argumentsOf(way.packageArguments, give);
  const at = words.length - (way.registry === 'nuget' ? 2 : 1);
  // docker passes on only what it is told to.
  const passed = way.registry === 'oci' ? Object.keys(env).flatMap((name) => ['-e', name]) : [];
  const args = [...words.slice(0, at), ...passed, ...runtime, ...words.slice(at), ...own];
  return { ...NOTHING, name: way.identifier, command, args, env };
}

/** The command line that runs a package, pinned to its version. */
function runtimeOf({ registry, identifier, version }: Package): readonly [string, ...string[]] {
  const isPinned = registry === 'oci' && /@sha256:|:[^/]+$/.test(identifier);
  if (version === undefined && !isPinned)
    throw new Refusal(
      `${identifier} of ${registry} names no version, so that it cannot be pinned: add it by its command`,
    );
  const pinned = version ?? '';
  switch (registry) {
    case 'npm':
      return ['npx', '-y', `${identifier}@${pinned}`];
    case 'pypi':
      return ['uvx', `${identifier}@${pinned}`];
    case 'nuget':
      return ['dnx', `${identifier}@${pinned}`, '--yes'];
    default:
      return ['docker', 'run', '-i', '--rm', isPinned ? identifier : `${identifier}:${pinned}`];
  }
}

async function argumentsOf(list: readonly Argument[], give: Give): Promise<readonly string[]> {
  const words: string[] = [];
  for (const argument of list) {
    const value = await give(argument);
    if (argument.flag === undefined) {
      if (value !== undefined) words.push(value);
    } else if (value !== undefined) words.push(argument.flag, value);
    else if (argument.isRequired || argument.value === '') words.push(argument.flag);
  }
  return words;
}

async function remote(
  way: Remote,
  give: Give,
  filled: (template: string, variables: readonly Input[]) => Promise<string>,
): Promise<ClientServer> {
  const headers: Record<string, string> = {};
  for (const input of way.headers) {
    const value = await give(input);
    if (value !== undefined) headers[input.name] = value;
  }
  const url = await filled(way.url, way.variables);
  return { ...NOTHING, name: url, url, headers, type: way.isSse ? 'sse' : undefined };
}
