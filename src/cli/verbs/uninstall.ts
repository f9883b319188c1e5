/** Takes the gateway out of the files of clients: `mcpstead uninstall CLIENT...`. */
import { existsSync } from 'node:fs';
import { isMapping } from '../../config/client-files.js';
import { stateFolder } from '../../config/listen.js';
import type { Path } from '../../config/problems.js';
import { Refusal } from '../../terminal/explain.js';
import type { Client, ClientFile, Place } from '../clients/client.js';
import { clientNamed, placeOf } from '../clients/index.js';
import { secretsOf } from '../clients/translate.js';
import { configOf } from '../config-path.js';
import { Backups, sha256, type Installed } from '../edit/backups.js';
import { diffLines } from '../edit/diff.js';
import { BrokenFile, edited, parsed, type Change } from '../edit/edit.js';
import { readText, removeIfThere, writeText } from '../edit/files.js';
import { outputOf, type Output } from '../output.js';
import { agrees } from '../prompts.js';
import { shortPath } from '../take-over.js';
import { REFUSED } from '../target.js';
import type { Verb } from '../verb.js';
import { ENTRY } from './install.js';

interface Job {
  readonly client: Client;
  readonly file: ClientFile;
  readonly before: string;
  /** undefined: the file did not exist before, and is removed. */
  readonly after: string | undefined;
  readonly record: Installed | undefined;
  /** Whether these are the bytes of the backup. */
  readonly exact: boolean;
}

export const uninstall: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const { env } = terminal;
  const clients = [...new Set(written.words)].map(clientNamed);
  const place = placeOf(env, written.flags.has('project') ? process.cwd() : undefined);
  const backups = new Backups(stateFolder(configOf(written, env), env));
  const jobs: Job[] = [];
  const failed: { client: string; why: string }[] = [];
  for (const client of clients) {
    let isKnown = false;
    for (const file of client.find(place))
      try {
        const job = jobFor(client, file, backups);
        if (job === 'absent') continue;
        isKnown = true;
        jobs.push(job);
      } catch (error) {
        if (!(error instanceof BrokenFile) && !(error instanceof Refusal)) throw error;
        isKnown = true;
        failed.push({ client: client.name, why: error.message });
        output.note(`${client.name} is left alone: ${error.message}`);
      }
    if (!isKnown && !output.json) output.line(`${client.name} does not have the gateway`);
  }
  if (!output.json) for (const job of jobs) show(job, place, output);
  if (jobs.length > 0 && !written.flags.has('dry-run')) {
    const names = jobs.map(({ client }) => client.name).join(', ');
    const what = `uninstall changes the files of ${names}`;
    if (!(await agrees(`Take the gateway out of ${names}?`, what, written, terminal)))
      throw new Refusal('nothing was changed: consent was not given', REFUSED);
    for (const job of jobs) perform(job, backups);
  }
  const done = written.flags.has('dry-run') ? [] : jobs;
  if (output.json)
    output.document({
      uninstalled: done.map(({ client, file, exact }) => ({
        client: client.name,
        file: file.path,
        restored: exact,
      })),
      failed,
    });
  else for (const { client, exact } of done) output.line(doneText(client.name, exact));
  return failed.length > 0 ? 1 : 0;
};

function doneText(client: string, exact: boolean): string {
  return exact
    ? `${client} is as it was before install`
    : `took the gateway out of ${client}; later edits of its file stay`;
}

function jobFor(client: Client, file: ClientFile, backups: Backups): Job | 'absent' {
  const before = readText(file.path);
  const record = backups.find(client.name, file.path);
  if (before === undefined) {
    if (record) backups.forget(record);
    return 'absent';
  }
  if (record?.sha256 === sha256(before)) {
    const after = record.backup === null ? undefined : backups.textOf(record.backup);
    return { client, file, before, after, record, exact: true };
  }
  const value = parsed(before, file.format, file.path);
  const changes = [...client.clear(record?.name ?? ENTRY, value)].reverse();
  const back = record ? returning(record, client, file, value, backups) : [];
  if (changes.length === 0 && back.length === 0) {
    if (record) backups.forget(record);
    return 'absent';
  }
  const after = edited(before, file.format, file.path, [...changes, ...back]);
  return { client, file, before, after, record, exact: false };
}

/** The changes that put back what `install --replace` took out, unless its name is taken by now. */
function returning(
  { removed }: Installed,
  client: Client,
  { format, path }: ClientFile,
  value: unknown,
  backups: Backups,
): readonly Change[] {
  const names = new Set(
    client.read(value).map((server) => `${JSON.stringify(server.path.slice(0, -1))} ${server.name}`),
  );
  return removed.flatMap((each): readonly Change[] => {
    const old = parsed(backups.textOf(each.backup), format, path);
    const entry = at(old, each.path);
    const holder = each.path.slice(0, -1);
    const last = each.path.at(-1);
    const isItem = typeof last === 'number';
    const name = isItem ? (isMapping(entry) ? String(entry['name']) : '') : String(last);
    if (entry === undefined || names.has(`${JSON.stringify(holder)} ${name}`)) return [];
    return isItem
      ? [{ op: 'append', path: holder, value: entry }]
      : [{ op: 'set', path: each.path, value: entry }];
  });
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((from, part) => {
    if (Array.isArray(from)) return (from as unknown[])[Number(part)];
    return isMapping(from) && Object.hasOwn(from, part) ? from[part] : undefined;
  }, value);
}

function show({ client, file, before, after, exact }: Job, place: Place, output: Output): void {
  const path = shortPath(file.path, place);
  if (after === undefined) {
    output.line(`${client.name}: ${path} is removed: it was made by install`);
    return;
  }
  output.line(`${client.name}: ${path}${exact ? ', as it was before install' : ''}`);
  const servers = [before, after].flatMap((text) => client.read(parsed(text, file.format, file.path)));
  for (const line of diffLines(before, after, secretsOf(servers))) output.line(`  ${line}`);
}

function perform({ client, file, before, after, record, exact }: Job, backups: Backups): void {
  if (!exact) backups.keep(client.name, before);
  if (after !== undefined) writeText(file.path, after, { before: { text: before } });
  else if (existsSync(file.path)) removeIfThere(file.path);
  if (record) backups.forget(record);
}
