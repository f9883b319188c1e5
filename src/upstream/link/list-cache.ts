/**
 * What servers listed in the last run, on disk, so that clients get lists while servers start. One file per server; a file that is
 * unreadable or belongs to another server is ignored.
 */
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServerConfig } from '../../config/types.js';
import type { Logger } from '../../observe/log.js';
import type { Peer } from '../../protocol/ports.js';
import {
  LIST_KINDS,
  LISTS,
  NO_LISTS,
  readListPage,
  type ListKind,
  type Lists,
} from '../../protocol/lists.js';
import { isLegacyRevision, isModernRevision } from '../../protocol/revisions.js';
import { capabilitiesOf } from '../../protocol/shapes.js';
import { arrayOf, objectOf, readObject, textOf } from '../../wire/json.js';

const VERSION = 1;
const MAX_AGE_MS = 30 * 24 * 3_600_000;
/** The largest file, in bytes. */
const MAX_BYTES = 8_388_608;
const MAX_BYTES_IN_ALL = 67_108_864;
const MAX_FILES = 2000;
/** So many written files make a sweep of the folder due, or MAX_BYTES. */
const SWEEP_FILES = 200;
const FILE = /^[0-9a-f]{64}\.lists$/;
/** A file that is being written; an older one is what a gateway left that was killed. */
const PART = /^\.[0-9a-f]{64}\.[0-9a-f]{12}$/;
const MAX_PART_AGE_MS = 3_600_000;

/** What a server listed, and said about itself. */
export interface Remembered {
  readonly peer: Peer;
  readonly lists: Lists;
  /** When that was, in Unix milliseconds. */
  readonly at: number;
}

export class ListCache {
  readonly #folder: string;
  readonly #log: Logger;
  #usable: boolean;
  /** Files that are being written, by name: one write at a time, the newest content wins. */
  readonly #writing = new Map<string, { next: string | undefined }>();
  /** What was written since the last sweep of the folder, in bytes and in files; infinite before the first one. */
  #unswept = { bytes: Infinity, files: Infinity };

  constructor(folder: string, log: Logger) {
    this.#folder = folder;
    this.#log = log;
    this.#usable = this.#prepare();
  }

  /** undefined: nothing usable. */
  read(config: ServerConfig): Remembered | undefined {
    if (!this.#usable) return undefined;
    const key = keyOf(config);
    const path = join(this.#folder, `${key}.lists`);
    try {
      const { size, mtimeMs } = statSync(path);
      if (size > MAX_BYTES || Date.now() - mtimeMs > MAX_AGE_MS) return undefined;
      return parse(readFileSync(path), key);
    } catch {
      return undefined;
    }
  }

  /** Writes the lists. Never rejects for errors of the file system: they end the use of the cache. */
  async write(config: ServerConfig, peer: Peer, lists: Lists): Promise<void> {
    if (!this.#usable) return;
    const key = keyOf(config);
    const text = textFor(key, peer, lists);
    const busy = this.#writing.get(key);
    if (busy) {
      busy.next = text;
      return;
    }
    const state: { next: string | undefined } = { next: text };
    this.#writing.set(key, state);
    try {
      for (let now = state.next; now !== undefined; now = state.next) {
        state.next = undefined;
        await this.#store(key, now);
      }
    } finally {
      this.#writing.delete(key);
    }
    await this.#sweepIfDue();
  }

  async #store(key: string, text: string): Promise<void> {
    const path = join(this.#folder, `${key}.lists`);
    try {
      if (Buffer.byteLength(text) > MAX_BYTES) {
        await rm(path, { force: true });
        return;
      }
      const part = join(this.#folder, `.${key}.${randomBytes(6).toString('hex')}`);
      try {
        await writeFile(part, text, { mode: 0o600, flag: 'wx' });
        await rename(part, path);
      } finally {
        await rm(part, { force: true });
      }
      this.#unswept.bytes += Buffer.byteLength(text);
      this.#unswept.files += 1;
    } catch (error) {
      this.#giveUp(error);
    }
  }

  /** A sweep reads the times of all files: servers that start together, or change their lists often, must not cause one each. */
  async #sweepIfDue(): Promise<void> {
    const { bytes, files } = this.#unswept;
    if (!this.#usable || (bytes < MAX_BYTES && files < SWEEP_FILES)) return;
    this.#unswept = { bytes: 0, files: 0 };
    try {
      await this.#sweep();
    } catch (error) {
      this.#giveUp(error);
    }
  }

  /** Removes files that are too old or were never finished, and the oldest ones if there are too many or they are too large together. */
  async #sweep(): Promise<void> {
    const files: { path: string; size: number; mtimeMs: number }[] = [];
    for (const name of await readdir(this.#folder)) {
      const isPart = PART.test(name);
      if (!isPart && !FILE.test(name)) continue;
      const path = join(this.#folder, name);
      const { size, mtimeMs } = await stat(path).catch(() => ({ size: 0, mtimeMs: 0 }));
      if (!isPart) files.push({ path, size, mtimeMs });
      else if (Date.now() - mtimeMs > MAX_PART_AGE_MS) await rm(path, { force: true });
    }
    files.sort((a, b) => b.mtimeMs - a.mtimeMs);
    let sum = 0;
    for (const [index, { path, size, mtimeMs }] of files.entries()) {
      sum += size;
      const excess = index >= MAX_FILES || sum > MAX_BYTES_IN_ALL;
      if (excess || Date.now() - mtimeMs > MAX_AGE_MS) await rm(path, { force: true });
    }
  }

  #prepare(): boolean {
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      const { mode } = statSync(this.#folder);
      if ((mode & 0o077) !== 0) chmodSync(this.#folder, 0o700);
      readdirSync(this.#folder);
      return true;
    } catch (error) {
      this.#giveUp(error);
      return false;
    }
  }

  /** Logs once, and ends the use of the cache. */
  #giveUp(error: unknown): void {
    this.#usable = false;
    const why = error instanceof Error ? error.message : String(error);
    this.#log.debug('lists are not kept between runs: the folder cannot be used', { error: why });
  }
}

/** Identifies a server by how it is started or reached, without the values of secrets. */
function keyOf(config: ServerConfig): string {
  const { name, revision, session } = config;
  const where =
    config.kind === 'stdio'
      ? [config.command, config.args, config.cwd ?? null, Object.keys(config.env).sort()]
      : [config.url, config.protocol, Object.keys(config.headers).sort()];
  return createHash('sha256')
    .update(JSON.stringify([VERSION, name, revision, session, where]))
    .digest('hex');
}

function textFor(key: string, peer: Peer, lists: Lists): string {
  const { era, revision, capabilities, serverInfo, instructions } = peer;
  const body = JSON.stringify({
    key,
    at: Date.now(),
    peer: { era, revision, capabilities, serverInfo: serverInfo.toString('utf8'), instructions },
    lists: Object.fromEntries(
      LIST_KINDS.map((kind) => [kind, lists[kind].map(({ bytes }) => bytes.toString('utf8'))]),
    ),
  });
  return `${digestOf(body)}\n${body}`;
}

const digestOf = (body: string | Buffer): string => createHash('sha256').update(body).digest('hex');

function parse(file: Buffer, key: string): Remembered | undefined {
  const end = file.indexOf('\n');
  const body = file.subarray(end + 1);
  if (end !== 64 || file.toString('latin1', 0, end) !== digestOf(body)) return undefined;
  const read = readObject(body, MAX_BYTES);
  const peer = peerOf(objectOf(read?.['peer']));
  const { at } = read ?? {};
  if (!read || read['key'] !== key || typeof at !== 'number' || !peer) return undefined;
  const lists: Record<ListKind, Lists[ListKind]> = { ...NO_LISTS };
  const given = objectOf(read['lists']) ?? {};
  for (const kind of LIST_KINDS) {
    const texts = (arrayOf(given[kind]) ?? []).filter((each) => typeof each === 'string');
    // Parsed like an answer of the server: anything else is not taken for a definition.
    const { definitions } = readListPage(kind, Buffer.from(`{"${LISTS[kind].member}":[${texts.join()}]}`));
    lists[kind] = definitions;
  }
  return { peer, lists, at };
}

function peerOf(read: Readonly<Record<string, unknown>> | undefined): Peer | undefined {
  const revision = textOf(read?.['revision']);
  const serverInfo = textOf(read?.['serverInfo']);
  const capabilities = objectOf(read?.['capabilities']);
  if (revision === undefined || serverInfo === undefined || !capabilities) return undefined;
  const era = isModernRevision(revision) ? 'modern' : isLegacyRevision(revision) ? 'legacy' : undefined;
  if (era === undefined || era !== read?.['era']) return undefined;
  if (!readObject(Buffer.from(serverInfo))) return undefined;
  return {
    era,
    revision,
    capabilities: capabilitiesOf(capabilities),
    serverInfo: Buffer.from(serverInfo),
    instructions: textOf(read['instructions']),
  };
}
