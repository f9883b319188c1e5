/** Writes the gateway into the files of clients: `mcpstead install CLIENT...`. */
import { commandProblem } from '../../config/command.js';
import { stateFolder } from '../../config/listen.js';
import { commandOf } from '../../lib/package-files.js';
import { Refusal } from '../../terminal/explain.js';
import type { Terminal } from '../../terminal/terminal.js';
import type { Client, ClientFile, ClientServer, GatewayEntry, Place } from '../clients/client.js';
import { clientNamed, fileToWrite, placeOf } from '../clients/index.js';
import { accessOf, keyFor, type ClientKey } from '../clients/keys.js';
import { isGateway, isSame, partsOf, resolved } from '../clients/take.js';
import { secretsOf, translate } from '../clients/translate.js';
import { configOf } from '../config-path.js';
import { Backups, sha256, type Installed } from '../edit/backups.js';
import { resolvedServers, type Resolved } from '../edit/config-file.js';
import { diffLines } from '../edit/diff.js';
import { BrokenFile, edited, parsed, type Change } from '../edit/edit.js';
import { readText, writeText } from '../edit/files.js';
import { outputOf, type Output } from '../output.js';
import { runProgram } from '../programs.js';
import { agrees } from '../prompts.js';
import { reloadRunning } from '../reload.js';
import { shortPath } from '../take-over.js';
import { gatewayOf, NO_GATEWAY, REFUSED } from '../target.js';
import type { Verb, Written } from '../verb.js';

/** The name of the entry. */
export const ENTRY = 'mcpstead';

/** What will be written into one client. */
interface Job {
  readonly client: Client;
  readonly file: ClientFile;
  /** undefined: there is no file yet. */
  readonly before: string | undefined;
  readonly after: string;
  /** Entries that are taken out: their names, and where they are. */
  readonly removed: readonly { readonly name: string; readonly path: readonly (string | number)[] }[];
  readonly key: ClientKey;
  /** Not shown. */
  readonly secrets: ReadonlySet<string>;
  /** The client's own program writes the entry: its arguments. */
  readonly program?: readonly string[];
}

export const install: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const { env } = terminal;
  const clients = [...new Set(written.words)].map(clientNamed);
  const place = placeOf(env, written.flags.has('project') ? process.cwd() : undefined);
  const config = configOf(written, env);
  const { endpoint } = gatewayOf(written, terminal);
  if (new URL(endpoint).port === '0')
    throw new Refusal(
      'no gateway runs with this config, whose port is 0: start it, or name the endpoint with --url',
      NO_GATEWAY,
    );
  const url = written.values['url'] === undefined ? endpoint : endpointOf(written.values['url']);
  const backups = new Backups(stateFolder(config, env));
  const access = accessOf(config, env);
  const servers = written.flags.has('replace') && config !== undefined ? resolvedServers(config, env) : [];
  const jobs: Job[] = [];
  const failed: { client: string; why: string }[] = [];
  for (const client of clients)
    try {
      jobs.push(jobFor(client, url, keyFor(client, access), servers, place));
    } catch (error) {
      if (!(error instanceof BrokenFile) && !(error instanceof Refusal)) throw error;
      failed.push({ client: client.name, why: error.message });
      output.note(`${client.name} is left alone: ${error.message}`);
    }
  const due = jobs.filter(({ before, after }) => before !== after);
  if (!output.json) for (const job of jobs) show(job, place, output);
  if (!written.flags.has('dry-run') && due.length > 0) {
    const names = due.map(({ client }) => client.name).join(', ');
    const what = `install changes the files of ${names}`;
    if (!(await agrees(`Write this into ${names}?`, what, written, terminal)))
      throw new Refusal('nothing was changed: consent was not given', REFUSED);
    for (const job of due)
      try {
        await perform(job, backups);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        failed.push({ client: job.client.name, why: error.message });
        output.note(error.message);
      }
    if (due.some(({ key }) => key.add)) await tellKeys(written, terminal, output);
  }
  report(due, failed, url, output, written);
  return failed.length > 0 ? 1 : 0;
};

function endpointOf(url: string): string {
  const named = new URL(url);
  return named.pathname === '/' ? new URL('/mcp', named).href : named.href;
}

function jobFor(
  client: Client,
  url: string,
  key: ClientKey,
  servers: readonly Resolved[],
  place: Place,
): Job {
  const file = fileToWrite(client, place);
  const before = readText(file.path);
  const value = parsed(before ?? '', file.format, file.path);
  const found = client.read(value);
  const removed = found.flatMap((server) => {
    if (isGateway(server) || server.disabled) return [];
    const { entry } = translate(server, {
      name: server.name,
      platform: place.platform,
      dollars: client.dollars,
    });
    const parts = partsOf(resolved(entry, place.env));
    return servers.some((each) => isSame(partsOf(each), parts))
      ? [{ name: server.name, path: server.path }]
      : [];
  });
  const [command, ...args] = commandOf('cli/main.js');
  const gateway: GatewayEntry = {
    name: ENTRY,
    url,
    token: key.token,
    bridge: { command, args: [...args, 'stdio', '--url', url] },
  };
  // From behind, so that the places of list items stay right.
  const out = [...removed].reverse().map(({ path }): Change => ({ op: 'remove', path }));
  const text = out.length > 0 ? edited(before ?? '', file.format, file.path, out) : (before ?? '');
  const own = key.token && 'key' in key.token ? [key.token.key] : [];
  const job = { client, file, before, removed, secrets: new Set([...secretsOf(found), ...own]) };
  const isThere = found.some(
    (server) => server.name === ENTRY && leadsTo(server, url) && (!key.token || showsKey(server)),
  );
  if (isThere) return { ...job, after: text, key: { token: undefined } };
  const rest = before === undefined ? undefined : parsed(text, file.format, file.path);
  const after = edited(text, file.format, file.path, client.write(gateway, rest));
  const program = programFor(client, gateway, removed.length, place);
  return { ...job, after, key, ...(program && { program }) };
}

/** Claude Code writes its own file, if it is there to do so. A key must not be among the arguments of a program. */
function programFor(
  client: Client,
  gateway: GatewayEntry,
  removed: number,
  { project, env }: Place,
): readonly string[] | undefined {
  const hasKey = gateway.token !== undefined && 'key' in gateway.token;
  if (client.name !== 'claude-code' || project !== undefined || removed > 0 || hasKey) return undefined;
  const environment = Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  if (commandProblem({ command: 'claude', environment }) !== undefined) return undefined;
  const [set] = client.write(gateway, undefined);
  return ['mcp', 'add-json', '-s', 'user', ENTRY, JSON.stringify(set && 'value' in set ? set.value : {})];
}

function leadsTo({ url: own, args }: ClientServer, url: string): boolean {
  return own === url || args.includes(url);
}

function showsKey({ headers, env }: ClientServer): boolean {
  return headers['Authorization'] !== undefined || env['MCPSTEAD_BEARER_TOKEN'] !== undefined;
}

function show(
  { client, file, before, after, program, key, secrets }: Job,
  place: Place,
  output: Output,
): void {
  const path = shortPath(file.path, place);
  if (before === after) {
    output.line(`${client.name}: ${path} has the gateway already`);
    return;
  }
  output.line(`${client.name}: ${path}${before === undefined ? ' (new)' : ''}`);
  if (program) output.line(`  by claude ${program.join(' ')}`);
  for (const line of diffLines(before ?? '', after, secrets)) output.line(`  ${line}`);
  if (key.token && 'key' in key.token && key.warning !== undefined) output.note(`warning: ${key.warning}`);
}

/** Backup, record, write: in this order, so that `uninstall` knows of whatever was written. */
async function perform(
  { client, file, before, after, removed, key, program }: Job,
  backups: Backups,
): Promise<void> {
  const backup = before === undefined ? null : backups.keep(client.name, before);
  const earlier = backups.find(client.name, file.path);
  const isUntouched = earlier !== undefined && before !== undefined && earlier.sha256 === sha256(before);
  const record: Installed = {
    client: client.name,
    path: file.path,
    name: ENTRY,
    backup: earlier ? earlier.backup : backup,
    sha256: earlier && !isUntouched ? null : sha256(after),
    removed: [
      ...(earlier?.removed ?? []),
      ...(backup === null ? [] : removed.map(({ path }) => ({ backup, path }))),
    ],
  };
  key.add?.();
  backups.record(record);
  if (program) {
    const ran = await runProgram('claude', program);
    const now = readText(file.path);
    if (ran.status === 0 && now !== undefined) {
      backups.record({ ...record, sha256: record.sha256 === null ? null : sha256(now) });
      return;
    }
  }
  const hasKey = key.token !== undefined && 'key' in key.token;
  writeText(file.path, after, { mode: hasKey ? 0o600 : 0o644, before: { text: before } });
}

/** The gateway has to know the new keys. */
async function tellKeys(written: Written, terminal: Terminal, output: Output): Promise<void> {
  const outcome = await reloadRunning(written, terminal);
  if (outcome.state === 'reloaded')
    output.note(`the gateway at ${outcome.origin} has reloaded, and knows the new keys`);
  else if (outcome.state === 'refused') output.note(outcome.why);
}

function report(
  jobs: readonly Job[],
  failed: readonly { readonly client: string; readonly why: string }[],
  url: string,
  output: Output,
  written: Written,
): void {
  const dry = written.flags.has('dry-run');
  const bad = new Set(failed.map(({ client }) => client));
  const done = dry ? [] : jobs.filter(({ client }) => !bad.has(client.name));
  if (output.json) {
    output.document({
      url,
      ...(dry && { dry_run: true }),
      installed: done.map(({ client, file, removed, key }) => ({
        client: client.name,
        file: file.path,
        removed: removed.map(({ name }) => name),
        // Shown once, as by keys create.
        ...(key.variable && { variable: key.variable }),
        warning: key.warning ?? null,
      })),
      failed,
    });
    return;
  }
  for (const { client, removed, key } of done) {
    const out = removed.length === 0 ? '' : `, instead of ${removed.map(({ name }) => name).join(', ')}`;
    output.line(`installed into ${client.name}${out}: restart it`);
    if (key.variable) output.line(`${key.variable.name}=${key.variable.value}`);
    if (key.warning !== undefined && !(key.token && 'key' in key.token)) output.note(key.warning);
  }
}
