/** Writes a config with the servers of the clients on this machine: `mcpstead init`. */
import { Refusal } from '../../terminal/explain.js';
import type { Terminal } from '../../terminal/terminal.js';
import { checkServers, type CheckedServer } from '../check-servers.js';
import { CLIENTS, clientNamed, placeOf, sourcesOf, type Source } from '../clients/index.js';
import type { Place } from '../clients/client.js';
import type { Plan } from '../clients/take.js';
import { configOf, ownConfigPath } from '../config-path.js';
import { ConfigFile } from '../edit/config-file.js';
import { counted, outputOf, type Output } from '../output.js';
import { agrees } from '../prompts.js';
import { REFUSED } from '../target.js';
import { reloadRunning } from '../reload.js';
import {
  choose,
  notesOf,
  planFor,
  prepare,
  shortPath,
  whatRuns,
  whyNot,
  writeTakeOver,
  type TakeOver,
} from '../take-over.js';
import { listed, type Verb, type Written } from '../verb.js';

const COLUMN = 9;

export const init: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const { env } = terminal;
  const path = configOf(written, env) ?? ownConfigPath(env);
  if (path === undefined) throw new Refusal('HOME is not set: name the config with --config');
  const place = placeOf(env, written.flags.has('project') ? process.cwd() : undefined);
  const clients = listed(written.values['from'] ?? '').map(clientNamed);
  const sources = sourcesOf(clients.length > 0 ? clients : CLIENTS, place);
  const config = new ConfigFile(path);
  const plan = planFor(sources, config, place, written);
  if (!output.json) showFound(sources, plan, output);
  const picked = await choose('Which servers does the gateway take over?', plan, written, terminal);
  const takeOver = prepare(config, plan, picked.chosen, picked.answers, place);
  if (!output.json) showTaken(takeOver, output);
  if (written.flags.has('dry-run')) return dryRun(takeOver, output, terminal);
  const { taken, secrets } = takeOver;
  const names = taken.filter(({ entry }) => entry.disabled !== true).map(({ entry }) => entry.name);
  if (taken.length > 0 || config.text === undefined) {
    if (!written.flags.has('yes') && !output.json)
      for (const { entry } of taken) output.line(label('runs', `${entry.name}: ${whatRuns(entry)}`));
    const what = `init writes ${shortPath(path, place)}, and starts ${counted(names.length, 'server')}`;
    const question = `Write ${shortPath(path, place)}, and start these servers once to check them?`;
    if (!(await agrees(question, what, written, terminal)))
      throw new Refusal('nothing was changed: consent was not given', REFUSED);
    writeTakeOver(takeOver);
  }
  if (!output.json) {
    const moved = secrets.count === 0 ? '' : `; ${counted(secrets.count, 'secret')} moved to secrets/ (0600)`;
    if (takeOver.text === undefined) output.line(label('wrote', 'nothing: the config has all of them'));
    else output.line(label('wrote', `${shortPath(path, place)}: ${counted(taken.length, 'server')}${moved}`));
    for (const note of notesOf(takeOver)) output.line(label('note', note));
  }
  const checked = names.length === 0 ? [] : await checkServers(path, names, terminal);
  if (config.text !== undefined && taken.length > 0) {
    const outcome = await reloadRunning(written, terminal);
    if (outcome.state === 'reloaded') output.note(`the gateway at ${outcome.origin} has reloaded`);
    else if (outcome.state === 'refused') output.note(outcome.why);
  }
  const next = nextSteps(takeOver, sources, written, place);
  if (output.json) output.document(documentOf(takeOver, sources, checked, next));
  else {
    if (checked.length > 0) showChecked(checked, output);
    output.line(label('next', next.join('     ')));
  }
  return 0;
};

function label(name: string, text: string): string {
  return `${name.padEnd(COLUMN)}${text}`;
}

/** `claude-desktop 4 servers, cursor 3 (2 the same), vscode 1` */
function showFound(sources: readonly Source[], { leftOut }: Plan, output: Output): void {
  const counts = new Map<string, number>();
  for (const { client, servers, broken } of sources) {
    if (broken === undefined) counts.set(client.name, (counts.get(client.name) ?? 0) + servers.length);
    else output.note(`${client.name} is left alone: ${broken}`);
  }
  const parts = [...counts].map(([name, count], index) => {
    const same = leftOut.filter((each) => each.client === name && each.same).length;
    const what = index === 0 ? counted(count, 'server') : String(count);
    return `${name} ${what}${same === 0 ? '' : ` (${same} the same)`}`;
  });
  output.line(label('found', parts.length === 0 ? 'no client with servers' : parts.join(', ')));
}

/** `[x] github [x] files [ ] figma (asks for ${input:figma})` */
function showTaken({ plan, taken }: TakeOver, output: Output): void {
  if (plan.candidates.length === 0) return;
  const names = new Set(taken.map(({ candidate }) => candidate.name));
  const parts = plan.candidates.map((candidate) => {
    if (names.has(candidate.name)) return `[x] ${candidate.name}`;
    const why = whyNot(candidate);
    return `[ ] ${candidate.name}${why === undefined ? '' : ` (${why})`}`;
  });
  output.line(label('take', parts.join(' ')));
}

function dryRun(takeOver: TakeOver, output: Output, terminal: Terminal): number {
  const { text, config } = takeOver;
  if (output.json) output.document({ dry_run: true, config: config.path, text: text ?? null });
  else {
    for (const note of notesOf(takeOver)) output.line(label('note', note));
    output.line(text === undefined ? 'nothing would be written' : `${config.path} would be:`);
    if (text !== undefined) terminal.out(text);
  }
  return 0;
}

/** `3 up; postgres: command 'uvx' is not in PATH: install it, or write its full path`; a line each if several are down. */
function showChecked(checked: readonly CheckedServer[], output: Output): void {
  const up = `${checked.filter((server) => server.up).length} up`;
  const down = checked.filter((server) => !server.up).map(({ name, why }) => `${name}: ${why ?? ''}`);
  if (down.length <= 1) output.line(label('checked', [up, ...down].join('; ')));
  else {
    output.line(label('checked', `${up}, ${down.length} not`));
    for (const each of down) output.line(label('', each));
  }
}

function nextSteps(
  { taken, plan, config }: TakeOver,
  sources: readonly Source[],
  written: Written,
  { env, platform }: Place,
): readonly string[] {
  const option = config.path === ownConfigPath(env) ? '' : ` --config ${config.path}`;
  if (taken.length === 0 && config.servers.length === 0) return [`mcpstead add NAME -- COMMAND${option}`];
  const involved = new Set([
    ...taken.map(({ candidate }) => candidate.client),
    ...plan.leftOut.filter(({ same }) => same).map(({ client }) => client),
  ]);
  const clients = [...new Set(sources.map(({ client }) => client.name))].filter((name) => involved.has(name));
  const project = written.flags.has('project') ? ' --project' : '';
  return [
    platform === 'win32' ? `mcpstead${option}` : `mcpstead service install${option}`,
    ...(clients.length > 0 ? [`mcpstead install ${clients.join(' ')} --replace${project}${option}`] : []),
  ];
}

function documentOf(
  takeOver: TakeOver,
  sources: readonly Source[],
  checked: readonly CheckedServer[],
  next: readonly string[],
): object {
  const { config, taken, plan, secrets, text } = takeOver;
  return {
    config: config.path,
    written: text !== undefined,
    found: sources.map(({ client, file, servers, broken }) => ({
      client: client.name,
      file: file.path,
      servers: servers.length,
      error: broken ?? null,
    })),
    taken: taken.map(({ candidate: { client, server, name } }) => ({ name, client, from: server.name })),
    left_out: [
      ...plan.leftOut.map(({ client, server, why }) => ({ client, server, why })),
      ...plan.candidates.flatMap((candidate) => {
        const { client, server } = candidate;
        const why = whyNot(candidate);
        return why === undefined ? [] : [{ client, server: server.name, why }];
      }),
    ],
    secrets: secrets.count,
    notes: notesOf(takeOver),
    checked,
    next,
  };
}
