/** The clients whose files commands read and write. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { Refusal } from '../../terminal/explain.js';
import { BrokenFile, parsed } from '../edit/edit.js';
import { readText } from '../edit/files.js';
import { claudeCode } from './claude-code.js';
import { claudeDesktop } from './claude-desktop.js';
import type { Client, ClientFile, ClientServer, Place } from './client.js';
import { cline } from './cline.js';
import { codex } from './codex.js';
import { continueDev } from './continue.js';
import { cursor } from './cursor.js';
import { gemini } from './gemini.js';
import { goose } from './goose.js';
import { lmstudio } from './lmstudio.js';
import { vscode } from './vscode.js';
import { windsurf } from './windsurf.js';
import { zed } from './zed.js';

export const CLIENTS: readonly Client[] = [
  claudeDesktop,
  claudeCode,
  cursor,
  vscode,
  windsurf,
  zed,
  gemini,
  codex,
  cline,
  continueDev,
  lmstudio,
  goose,
];

/** Throws a Refusal. */
export function clientNamed(name: string): Client {
  const found = CLIENTS.find((client) => client.name === name);
  if (found) return found;
  const known = CLIENTS.map((client) => client.name).join(', ');
  throw new Refusal(`there is no client '${name}'; known are: ${known}`, 2);
}

/** The surroundings of this process. `project`: a folder whose own files are meant. */
export function placeOf(env: NodeJS.ProcessEnv, project?: string): Place {
  const { platform } = process;
  const home = (platform === 'win32' ? env['USERPROFILE'] : env['HOME']) || homedir();
  return { env, platform, home, project };
}

/** A file of a client, as it was read. */
export interface Source {
  readonly client: Client;
  readonly file: ClientFile;
  readonly servers: readonly ClientServer[];
  /** Why it cannot be read, with its place; the file is left alone. */
  readonly broken?: string;
}

/** Reads all files that the clients have. */
export function sourcesOf(clients: readonly Client[], place: Place): readonly Source[] {
  return clients.flatMap((client) =>
    client.find(place).flatMap((file) => {
      const source = read(client, file);
      return source ? [source] : [];
    }),
  );
}

/** undefined: there is no such file. */
export function read(client: Client, file: ClientFile): Source | undefined {
  try {
    const text = readText(file.path);
    if (text === undefined) return undefined;
    return { client, file, servers: client.read(parsed(text, file.format, file.path)) };
  } catch (error) {
    if (!(error instanceof BrokenFile) && !(error instanceof Refusal)) throw error;
    return { client, file, servers: [], broken: error.message };
  }
}

/** The file of a client that is written: the first one that exists, otherwise the first one. */
export function fileToWrite(client: Client, place: Place): ClientFile {
  const files = client.find(place);
  const found = files.find(({ path }) => existsSync(path)) ?? files[0];
  if (!found) throw new Refusal(`${client.name} has no file in a project: leave out --project`);
  return found;
}
