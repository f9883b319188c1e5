/** `watch: true`: reloads when the config file changes. */
import { createHash } from 'node:crypto';
import { lstatSync, readlinkSync, realpathSync, statSync, watch, type FSWatcher } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { FILE_BYTES, readBounded } from '../config/read.js';
import type { Logger } from '../observe/log.js';

/** How long the file must be unchanged before it is read: an editor writes in steps. */
const QUIET_MS = 200;
/** The longest wait, if the folder changes all the time. */
const MOST_MS = 2000;
/** How often a folder is looked at that cannot be watched. */
const RETRY_MS = 5000;
/** Symbolic links from one to the next, as Linux follows them. */
const MOST_LINKS = 40;

/** What a config file was when it was read: its real path and a hash of its content, or why it cannot be read. */
type Print =
  { readonly path: string; readonly hash: string } | { readonly path?: never; readonly why: string };

/** The folder that a watcher was made for may be replaced by another one of that name. */
interface Watched {
  readonly watcher: FSWatcher;
  readonly id: string;
}

interface Watching {
  /** Reports its own failures. Not called again before it has settled. */
  readonly reload: () => Promise<unknown>;
  readonly log: Logger;
}

/**
 * Reloads when the file at `path` has other content than what was last read, or is reached through other symbolic links, as when Kubernetes
 * swaps the link `..data` of a ConfigMap: then its neighbours may have changed, too. Watches folders, because an editor replaces a file with
 * a new one. A file that cannot be read, and a folder that cannot be watched, are logged once; the running configuration is kept.
 */
export class ConfigWatch {
  readonly #path: string;
  readonly #watched = new Map<string, Watched>();
  #watching: Watching | undefined;
  #last: Print = { why: 'not read yet' };
  #isMissing = false;
  #isBlind = false;
  #reloading = false;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** When the first event came after the last check; ms. */
  #since: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Returns what `load` does with the file, and remembers what the file is: nothing reloads it until it is another. */
  read<T>(load: () => T): T {
    // Before: if the file changes meanwhile, it is read once too often.
    this.#last = printOf(this.#path);
    return load();
  }

  begin(watching: Watching): void {
    this.#watching = watching;
    // The file may have changed since it was read.
    this.#check();
  }

  /** The parts of a gateway that signals act on: this ends before the gateway begins to. */
  stopping<T extends { close(): Promise<void>; reload(): Promise<unknown>; readonly failed: Promise<Error> }>(
    gateway: T,
  ): Pick<T, 'close' | 'reload' | 'failed'> {
    return {
      failed: gateway.failed,
      reload: () => gateway.reload(),
      close: () => {
        this.close();
        return gateway.close();
      },
    };
  }

  close(): void {
    this.#watching = undefined;
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    for (const { watcher } of this.#watched.values()) watcher.close();
    this.#watched.clear();
  }

  #changed = (): void => {
    if (!this.#watching) return;
    const now = performance.now();
    this.#since ??= now;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#check, Math.max(0, Math.min(QUIET_MS, this.#since + MOST_MS - now)));
    this.#timer.unref();
  };

  #check = (): void => {
    this.#since = undefined;
    const watching = this.#watching;
    if (!watching || this.#reloading) return;
    const { log } = watching;
    // Before the file is read: a later change is an event.
    this.#follow(log);
    const next = printOf(this.#path);
    const file = this.#path;
    if (next.path === undefined) {
      if (!this.#isMissing)
        log.warn('the config file cannot be read, the running configuration is kept: put the file back', {
          file,
          error: next.why,
        });
      this.#isMissing = true;
      return;
    }
    if (this.#isMissing) log.info('the config file can be read again', { file });
    this.#isMissing = false;
    if (this.#last.path === next.path && this.#last.hash === next.hash) return;
    // Also if the reload does not read it.
    this.#last = next;
    this.#reloading = true;
    log.info('the config file has changed', { file });
    watching
      .reload()
      .catch(() => undefined)
      .finally(() => {
        this.#reloading = false;
        this.#check();
      });
  };

  /** Watches the folders that the path leads through now, and no others. */
  #follow(log: Logger): void {
    const folders = foldersOf(this.#path);
    for (const folder of this.#watched.keys()) if (!folders.has(folder)) this.#drop(folder);
    const problems = [...folders].map((folder) => this.#watch(folder)).filter((why) => why !== undefined);
    if (!this.#isBlind) for (const problem of problems) log.warn(problem, { file: this.#path });
    this.#isBlind = problems.length > 0;
    clearTimeout(this.#retry);
    if (!this.#isBlind) return;
    this.#retry = setTimeout(this.#check, RETRY_MS);
    this.#retry.unref();
  }

  /** Returns why the folder cannot be watched. */
  #watch(folder: string): string | undefined {
    try {
      const { dev, ino } = statSync(folder);
      const id = `${dev}:${ino}`;
      if (this.#watched.get(folder)?.id === id) return undefined;
      this.#drop(folder);
      const watcher = watch(folder, { persistent: false }, this.#changed);
      this.#watched.set(folder, { watcher, id });
      watcher.on('error', () => {
        if (this.#watched.get(folder)?.watcher === watcher) this.#drop(folder);
        this.#changed();
      });
      return undefined;
    } catch (error) {
      this.#drop(folder);
      return problemOf(folder, error as NodeJS.ErrnoException);
    }
  }

  #drop(folder: string): void {
    this.#watched.get(folder)?.watcher.close();
    this.#watched.delete(folder);
  }
}

function printOf(path: string): Print {
  try {
    const hash = createHash('sha256').update(readBounded(path, FILE_BYTES)).digest('hex');
    return { path: realpathSync(path), hash };
  } catch (error) {
    return { why: (error as Error).message };
  }
}

function problemOf(folder: string, { code, message }: NodeJS.ErrnoException): string {
  const seconds = RETRY_MS / 1000;
  const what = `cannot watch ${folder} for changes of the config file, which is read every ${seconds} s instead`;
  switch (code) {
    case 'ENOSPC':
      return `${what}: the limit of inotify watches is reached; raise sysctl fs.inotify.max_user_watches`;
    case 'EMFILE':
    case 'ENFILE':
      return `${what}: the limit of inotify instances or of open files is reached; raise sysctl fs.inotify.max_user_instances or ulimit -n`;
    default:
      return `${what}: ${message}`;
  }
}

/** The folder of a path, and that of each file that it leads to through symbolic links. */
function foldersOf(path: string): Set<string> {
  const folders = new Set<string>();
  let at = resolve(path);
  for (let links = 0; links < MOST_LINKS; links++) {
    folders.add(dirname(at));
    try {
      if (!lstatSync(at).isSymbolicLink()) break;
      at = resolve(dirname(at), readlinkSync(at));
    } catch {
      break;
    }
  }
  return folders;
}
