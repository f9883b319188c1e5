/** Takes over the servers of one client, or of one file: `mcpstead import FILE|CLIENT`. */
import { Refusal } from '../../terminal/explain.js';
import { CLIENTS, placeOf, sourcesOf } from '../clients/index.js';
import { fileSource } from '../clients/generic.js';
import { configOf, ownConfigPath } from '../config-path.js';
import { ConfigFile } from '../edit/config-file.js';
import { counted, outputOf } from '../output.js';
import { agrees } from '../prompts.js';
import { REFUSED } from '../target.js';
import { reloadRunning, reloadStatus } from '../reload.js';
import { choose, notesOf, planFor, prepare, shortPath, whatRuns, writeTakeOver } from '../take-over.js';
import { listed, type Verb } from '../verb.js';

export const importServers: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const { env } = terminal;
  const [from = ''] = written.words;
  const path = configOf(written, env) ?? ownConfigPath(env);
  if (path === undefined) throw new Refusal('HOME is not set: name the config with --config');
  const place = placeOf(env, written.flags.has('project') ? process.cwd() : undefined);
  const client = CLIENTS.find(({ name }) => name === from);
  const sources = client ? sourcesOf([client], place) : [fileSource(from, place)];
  const [first] = sources;
  if (!first) {
    const looked = client?.find(place).map((file) => file.path) ?? [];
    throw new Refusal(`${from} has no file on this machine: looked for ${looked.join(', ')}`);
  }
  for (const { broken } of sources) if (broken !== undefined) throw new Refusal(`left alone: ${broken}`);
  const only = written.values['only'] === undefined ? undefined : listed(written.values['only']);
  const all = sources.flatMap(({ servers }) => servers.map(({ name }) => name));
  const strange = only?.find((name) => !all.includes(name));
  if (strange !== undefined)
    throw new Refusal(`${from} has no server '${strange}'; it has: ${all.join(', ')}`);
  const config = new ConfigFile(path);
  const plan = planFor(
    sources.map((source) => ({
      ...source,
      servers: source.servers.filter(({ name }) => only === undefined || only.includes(name)),
    })),
    config,
    place,
    written,
  );
  const picked = await choose(
    `Which servers of ${from} does the gateway take over?`,
    plan,
    written,
    terminal,
  );
  const takeOver = prepare(config, plan, picked.chosen, picked.answers, place);
  const { taken, secrets, text } = takeOver;
  const names = taken.map(({ entry }) => entry.name);
  if (written.flags.has('dry-run')) {
    if (output.json) output.document({ dry_run: true, config: path, text: text ?? null });
    else if (text !== undefined && names.length > 0) terminal.out(text);
    for (const note of notesOf(takeOver)) output.note(note);
    return 0;
  }
  if (names.length === 0) {
    if (output.json)
      output.document({ config: path, taken: [], notes: notesOf(takeOver), left_out: plan.leftOut });
    else output.line(`nothing to take over from ${from}`);
    if (!output.json) {
      for (const { server, why } of plan.leftOut) output.note(`${server} is left out: ${why}`);
      for (const note of notesOf(takeOver)) output.note(note);
    }
    return 0;
  }
  if (!output.json) for (const { entry } of taken) output.line(`${entry.name}: ${whatRuns(entry)}`);
  const what = `import adds ${counted(names.length, 'server')}, which a gateway then starts`;
  if (!(await agrees(`Add ${names.join(', ')} to ${shortPath(path, place)}?`, what, written, terminal)))
    throw new Refusal('nothing was changed: consent was not given', REFUSED);
  writeTakeOver(takeOver);
  const notes = notesOf(takeOver);
  if (output.json)
    output.document({ config: path, taken: names, secrets: secrets.count, notes, left_out: plan.leftOut });
  else {
    const moved = secrets.count === 0 ? '' : `; ${counted(secrets.count, 'secret')} moved to secrets/ (0600)`;
    output.line(`added ${names.join(', ')} to ${shortPath(path, place)}${moved}`);
    for (const note of notes) output.note(note);
  }
  return reloadStatus(await reloadRunning(written, terminal), output);
};
