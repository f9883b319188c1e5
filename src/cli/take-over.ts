/** Takes servers of clients over into the config: what `init` and `import` have in common. */
import { dirname, join } from 'node:path';
import { configSchema } from '../config/json-schema.js';
import { Refusal } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';
import type { ClientServer, Place } from './clients/client.js';
import type { Source } from './clients/index.js';
import { planned, type Candidate, type Plan } from './clients/take.js';
import { translate, type Entry } from './clients/translate.js';
import { entryProblem, type ConfigFile } from './edit/config-file.js';
import type { Change } from './edit/edit.js';
import { writeText } from './edit/files.js';
import { SecretFiles } from './edit/secret-files.js';
import { canAsk, chosen, typed } from './prompts.js';
import { gatewayOf } from './target.js';
import type { Written } from './verb.js';
import { SCHEMA_FILE } from './verbs/schema.js';

/** A server that is taken over. */
export interface Taken {
  readonly candidate: Candidate;
  /** As it is written: secrets are references to files. */
  readonly entry: Entry;
}

export interface TakeOver {
  readonly config: ConfigFile;
  readonly plan: Plan;
  readonly taken: readonly Taken[];
  /** The text of the config after it; undefined: nothing changes. */
  readonly text: string | undefined;
  readonly secrets: SecretFiles;
}

/** What could be taken over from these sources. Throws a Refusal if the config cannot be read. */
export function planFor(
  sources: readonly Source[],
  config: ConfigFile,
  place: Place,
  written: Written,
): Plan {
  const url = written.values['url'];
  const own =
    config.text === undefined ? undefined : gatewayOf({ values: { config: config.path, url } }, place).origin;
  return planned(
    sources,
    config.resolved(place.env),
    config.servers.map(({ name }) => name),
    place,
    (each) => URL.canParse(each) && new URL(each).origin === own,
  );
}

/** Why a candidate is not taken without a person. */
export function whyNot({ asks, problem }: Candidate): string | undefined {
  return asks.length > 0 ? `asks for ${asks.join(', ')}` : problem;
}

/** Asks a person which servers to take, and for their values; without one, those that need nobody. */
export async function choose(
  question: string,
  { candidates }: Plan,
  written: Written,
  terminal: Terminal,
): Promise<{ readonly chosen: readonly Candidate[]; readonly answers: ReadonlyMap<string, string> }> {
  const ready = candidates.filter((each) => whyNot(each) === undefined);
  const answers = new Map<string, string>();
  if (!canAsk(written, terminal) || written.flags.has('dry-run') || candidates.length === 0)
    return { chosen: ready, answers };
  const names = await chosen(
    question,
    candidates
      .filter(({ problem }) => problem === undefined)
      .map((each) => ({ value: each.name, hint: [each.client, whyNot(each)].filter(Boolean).join(', ') })),
    ready.map(({ name }) => name),
    terminal,
  );
  const picked = candidates.filter(({ name }) => names.includes(name));
  const complete: Candidate[] = [];
  for (const candidate of picked) {
    for (const what of candidate.asks)
      if (!answers.has(what)) {
        const isSecret = /^\$\{(?:\{ *)?(?:input|keyring|inputs)/.test(what);
        const value = await typed(`${what} of ${candidate.name} (empty: leave it out)`, isSecret, terminal);
        if (value !== '') answers.set(what, value);
      }
    if (candidate.asks.every((what) => answers.has(what))) complete.push(candidate);
  }
  return { chosen: complete, answers };
}

/** What will be written for the servers that were chosen. Writes nothing. Throws a Refusal with a snippet if the config cannot be edited. */
export function prepare(
  config: ConfigFile,
  plan: Plan,
  chosen: readonly Candidate[],
  answers: ReadonlyMap<string, string>,
  place: Place,
): TakeOver {
  const secrets = new SecretFiles(config.folder);
  const taken = chosen.map((candidate): Taken => {
    const { name, server, dollars } = candidate;
    const { platform } = place;
    const keep = (what: string, value: string): string => secrets.keep(`${name}-${what}`, value);
    const { entry } = translate(server, { name, platform, dollars, answers, keep });
    const problem = entryProblem(entry, place.env);
    if (problem !== undefined) throw new Refusal(`${name} of ${candidate.client}: ${problem}`);
    return { candidate, entry };
  });
  const text = textOf(
    config,
    taken.map(({ entry }) => config.adding(entry)),
  );
  return { config, plan, taken, text, secrets };
}

/** The same for one server that belongs to no client. */
export function prepareNew(
  config: ConfigFile,
  name: string,
  server: ClientServer,
  answers: ReadonlyMap<string, string>,
  place: Place,
): { readonly entry: Entry; readonly takeOver: TakeOver } {
  const secrets = new SecretFiles(config.folder);
  const keep = (what: string, value: string): string => secrets.keep(`${name}-${what}`, value);
  const { entry } = translate(server, { name, platform: place.platform, answers, keep });
  const problem = entryProblem(entry, place.env);
  if (problem !== undefined) throw new Refusal(`${name}: ${problem}`);
  const text = textOf(config, [config.adding(entry)]);
  const plan = { candidates: [], leftOut: [] };
  return { entry, takeOver: { config, plan, taken: [], text, secrets } };
}

function textOf(config: ConfigFile, changes: readonly Change[]): string | undefined {
  if (config.text !== undefined) return changes.length === 0 ? undefined : config.after(changes);
  if (config.format === 'json') return config.after(changes.length > 0 ? changes : [emptyServers]);
  const head = `# yaml-language-server: $schema=./${SCHEMA_FILE}\n`;
  return head + (changes.length === 0 ? 'servers: []\n' : config.after(changes));
}

const emptyServers: Change = { op: 'set', path: ['servers'], value: [] };

/** Writes secrets, schema and config, in this order: the config refers to the others. Throws a Refusal. */
export function writeTakeOver({ config, text, secrets }: TakeOver): void {
  if (text === undefined) return;
  secrets.write();
  if (config.text === undefined)
    writeText(join(dirname(config.path), SCHEMA_FILE), `${JSON.stringify(configSchema(), null, 2)}\n`);
  config.write(text);
}

/** Lines about what is not as it was in the clients. */
export function notesOf({ taken, plan }: TakeOver): readonly string[] {
  const notes: string[] = [];
  for (const { candidate } of taken) {
    const { name, client, server, variables, unknown } = candidate;
    if (name !== server.name) notes.push(`${server.name} of ${client} is named ${name}`);
    if (unknown.length > 0) notes.push(`${name}: not taken over from ${client}: ${unknown.join(', ')}`);
    if (variables.length > 0)
      notes.push(`${name} needs ${variables.join(', ')} in the environment of the gateway`);
  }
  const names = new Set(taken.map(({ candidate }) => candidate.name));
  for (const candidate of plan.candidates) {
    const why = whyNot(candidate);
    if (why !== undefined && !names.has(candidate.name))
      notes.push(`${candidate.name} of ${candidate.client} is left out: ${why}`);
  }
  for (const { client, server, why, same } of plan.leftOut)
    if (!same || why.includes('headers')) notes.push(`${server} of ${client} is left out: ${why}`);
  return notes;
}

/** `npx -y @modelcontextprotocol/server-github`, or the URL. */
export function whatRuns({ command, args = [], url }: Entry): string {
  if (command === undefined) return url ?? '';
  return [command, ...args]
    .map((word) => (/^[\w@%+=:,./${}-]+$/.test(word) ? word : JSON.stringify(word)))
    .join(' ');
}

/** A path as people write it. */
export function shortPath(path: string, { home, platform }: Place): string {
  const separator = platform === 'win32' ? '\\' : '/';
  return path.startsWith(home + separator) ? `~${path.slice(home.length)}` : path;
}
