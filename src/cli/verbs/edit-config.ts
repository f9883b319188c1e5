/** Edits the servers of the config: `mcpstead add | remove | enable | disable`. */
import { isAbsolute } from 'node:path';
import { Refusal } from '../../terminal/explain.js';
import type { Terminal } from '../../terminal/terminal.js';
import { placeOf } from '../clients/index.js';
import { plainName, type Entry } from '../clients/translate.js';
import { configOf, ownConfigPath } from '../config-path.js';
import { ConfigFile, entryProblem } from '../edit/config-file.js';
import type { Change } from '../edit/edit.js';
import { writeText } from '../edit/files.js';
import { outputOf } from '../output.js';
import { agrees } from '../prompts.js';
import { serverFrom } from '../registry/choose.js';
import { fetchServer } from '../registry/fetch.js';
import { readServerFile } from '../registry/server-json.js';
import { reloadRunning, reloadStatus } from '../reload.js';
import { prepareNew, shortPath, whatRuns, writeTakeOver } from '../take-over.js';
import { REFUSED } from '../target.js';
import { listed, type Verb, type Written } from '../verb.js';

const NAME = /^(?!.*__)[A-Za-z0-9_-]{1,64}$/;
const REGISTRY_NAME = /^[A-Za-z0-9.-]+\/[A-Za-z0-9._-]+$/;

/** A command line, a URL, a name of the registry, or a server.json. */
export const add: Verb = async (written, terminal) => {
  const { words, program, values } = written;
  const [first, second] = words;
  const file = values['file'];
  if (file !== undefined) {
    if (words.length > 0 || program)
      throw new Refusal('--file is the whole server: leave out the other words', 2);
    return await addFromRegistry(written, terminal, () => Promise.resolve(readServerFile(file)));
  }
  if (first === undefined)
    throw new Refusal('name a server: mcpstead add NAME -- COMMAND, or mcpstead add NAME URL', 2);
  if (program === undefined && second === undefined) {
    if (!REGISTRY_NAME.test(first))
      throw new Refusal(
        `what is ${first}? mcpstead add ${first} -- COMMAND, or mcpstead add ${first} URL`,
        2,
      );
    return await addFromRegistry(written, terminal, () => fetchServer(first, values['registry'], terminal));
  }
  if (program !== undefined && second !== undefined)
    throw new Refusal('a server has a command or a URL, not both', 2);
  checkName(first);
  const entry = program === undefined ? remote(first, second ?? '', written) : local(first, program, written);
  return await write(configFor(written, terminal), [entry], written, terminal);
};

function local(name: string, [command, ...args]: readonly string[], { values }: Written): Entry {
  if (!command) throw new Refusal('there is no command after --', 2);
  if (values['token-env'] !== undefined) throw new Refusal('--token-env is for a URL; use --inherit', 2);
  const inherit = listed(values['inherit'] ?? '');
  const isPath = /[\\/]/.test(command) && !isAbsolute(command);
  return {
    name,
    command,
    ...(args.length > 0 && { args }),
    // A relative program is meant from here, not from the folder of the config.
    ...(isPath && { cwd: process.cwd() }),
    ...(inherit.length > 0 && { inherit_env: inherit }),
  };
}

function remote(name: string, url: string, { values }: Written): Entry & { readonly auth?: object } {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new Refusal(
      `'${url}' is not an http or https URL; a command follows --: mcpstead add ${name} -- COMMAND`,
      2,
    );
  if (values['inherit'] !== undefined) throw new Refusal('--inherit is for a command; use --token-env', 2);
  const variable = values['token-env'];
  return { name, url, ...(variable !== undefined && { auth: { type: 'bearer', token_env: variable } }) };
}

/** Shows what would run, asks for its variables and for consent. */
async function addFromRegistry(
  written: Written,
  terminal: Terminal,
  get: () => Promise<unknown>,
): Promise<number> {
  const output = outputOf(written, terminal);
  const config = configFor(written, terminal);
  const found = await serverFrom(await get(), written, terminal);
  const name = written.values['name'] ?? plainName(found.name);
  checkName(name);
  if (config.find(name)) throw new Refusal(`there is a server '${name}': name this one with --name`);
  const place = placeOf(terminal.env);
  const { entry, takeOver } = prepareNew(config, name, found.server, found.answers, place);
  if (!output.json) {
    output.line(`${found.title}`);
    output.line(`${entry.command === undefined ? 'url' : 'runs'}     ${whatRuns(entry)}`);
    for (const note of found.notes) output.note(note);
  }
  const what = `add ${found.title} to the config`;
  if (!(await agrees(`Add ${name} to ${shortPath(config.path, place)}?`, what, written, terminal)))
    throw new Refusal('nothing was changed: consent was not given', REFUSED);
  writeTakeOver(takeOver);
  if (output.json)
    output.document({ config: config.path, added: name, runs: whatRuns(entry), notes: found.notes });
  else output.line(`added ${name} to ${shortPath(config.path, place)}`);
  return reloadStatus(await reloadRunning(written, terminal), output);
}

export const remove: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const config = configFor(written, terminal);
  const names = [...new Set(written.words)];
  const found = names.map((name) => declared(config, name));
  // From behind, so that the places of list items stay right.
  const changes = found
    .sort((a, b) => Number(b.path.at(-1)) - Number(a.path.at(-1)) || 0)
    .map(({ path }): Change => ({ op: 'remove', path }));
  config.write(config.after(changes));
  if (output.json) output.document({ config: config.path, removed: names });
  else output.line(`removed ${names.join(', ')} from ${shortPath(config.path, placeOf(terminal.env))}`);
  return reloadStatus(await reloadRunning(written, terminal), output);
};

export const enable: Verb = (written, terminal) => toggle(written, terminal, false);
export const disable: Verb = (written, terminal) => toggle(written, terminal, true);

async function toggle(written: Written, terminal: Terminal, disabled: boolean): Promise<number> {
  const output = outputOf(written, terminal);
  const config = configFor(written, terminal);
  const names = [...new Set(written.words)];
  const due = names.map((name) => declared(config, name)).filter((server) => server.disabled !== disabled);
  const word = disabled ? 'disabled' : 'enabled';
  const changes = due.map(({ path }): Change => {
    const key = [...path, 'disabled'];
    return disabled ? { op: 'set', path: key, value: true } : { op: 'remove', path: key };
  });
  if (due.length > 0) config.write(config.after(changes));
  if (output.json) output.document({ config: config.path, [word]: due.map(({ name }) => name) });
  else if (due.length === 0) output.line(`nothing to do: ${names.join(', ')} is ${word}`);
  else output.line(`${word} ${due.map(({ name }) => name).join(', ')}`);
  return due.length === 0 ? 0 : reloadStatus(await reloadRunning(written, terminal), output);
}

/** Writes servers into the config, which is made if there is none. */
async function write(
  config: ConfigFile,
  entries: readonly { readonly name: string }[],
  written: Written,
  terminal: Terminal,
): Promise<number> {
  const output = outputOf(written, terminal);
  for (const entry of entries) {
    if (config.find(entry.name))
      throw new Refusal(
        `there is a server '${entry.name}': choose another name, or mcpstead remove ${entry.name} first`,
      );
    const problem = entryProblem(entry, terminal.env);
    if (problem !== undefined) throw new Refusal(`${entry.name}: ${problem}`);
  }
  const text = config.after(entries.map((entry) => config.adding(entry)));
  writeText(config.path, text, { before: { text: config.text } });
  const names = entries.map(({ name }) => name);
  if (output.json) output.document({ config: config.path, added: names });
  else output.line(`added ${names.join(', ')} to ${shortPath(config.path, placeOf(terminal.env))}`);
  return reloadStatus(await reloadRunning(written, terminal), output);
}

function configFor(written: Written, { env }: Terminal): ConfigFile {
  const path = configOf(written, env) ?? ownConfigPath(env);
  if (path === undefined) throw new Refusal('HOME is not set: name the config with --config');
  return new ConfigFile(path);
}

function declared(config: ConfigFile, name: string) {
  const found = config.find(name);
  if (found) return found;
  const names = config.servers.map((server) => server.name).join(', ');
  throw new Refusal(`there is no server '${name}' in ${config.path}; it has: ${names || 'none'}`);
}

function checkName(name: string): void {
  if (!NAME.test(name))
    throw new Refusal(
      `a name is 1 to 64 of A-Z a-z 0-9 _ -, without __, not '${name}'; try ${plainName(name)}`,
      2,
    );
}
