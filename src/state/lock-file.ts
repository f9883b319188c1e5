/**
 * A lock between processes: an exclusive file that says who holds it. A holder renews it; a lock that was not renewed, or whose process is
 * gone, is taken over.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { open, readFile, rm, stat, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from './write-file.js';

const RENEW_MS = 10_000;
const STALE_MS = 30_000;
const FIRST_LOOK_MS = 25;
/** More than the content of a lock ever has. */
const MAX_BYTES = 1024;

/** Who holds a lock. A process id means something only on the same host, in the same namespace. */
interface Holder {
  readonly host: string;
  readonly namespace: string;
  readonly pid: number;
  /** When the process started, in ticks since the boot; 0: unknown. Tells a process from a later one with its id. */
  readonly started: number;
}

const SELF: Holder = {
  host: hostname(),
  namespace: pidNamespace(),
  pid: process.pid,
  started: startOf(process.pid) ?? 0,
};

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

/** undefined: there is no such process, or no /proc. */
function startOf(pid: number): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // proc(5): field 22; the second one, the name in parentheses, may contain anything.
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[19]);
  } catch {
    return undefined;
  }
}

/** Whether the process of a lock is known to be gone. */
function isGone({ host, namespace, pid, started }: Holder): boolean {
  if (host !== SELF.host || namespace !== SELF.namespace) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return codeOf(error) === 'ESRCH';
  }
  const now = startOf(pid);
  return started !== 0 && now !== undefined && now !== started;
}

function parse(text: string): Holder | undefined {
  try {
    const { host, namespace, pid, started } = JSON.parse(text) as Partial<Record<keyof Holder, unknown>>;
    if (typeof host !== 'string' || typeof namespace !== 'string') return undefined;
    if (!Number.isSafeInteger(pid) || (pid as number) <= 0 || !Number.isSafeInteger(started))
      return undefined;
    return { host, namespace, pid: pid as number, started: started as number };
  } catch {
    return undefined;
  }
}

export interface LockFileOptions {
  /** How often a waiting process looks at least; at first it looks more often, since most locks are held for a request. */
  readonly retryMs: number;
  readonly signal: AbortSignal;
}

/**
 * Waits for the lock at `path`, and resolves with its release. Rejects with the reason of the signal, or with the error of the file system
 * if the file cannot be created for another reason than that it exists.
 */
export async function lockFile(path: string, options: LockFileOptions): Promise<() => Promise<void>> {
  const { retryMs, signal } = options;
  const seen = { at: 0, changed: performance.now() };
  let waitMs = Math.min(FIRST_LOOK_MS, retryMs);
  for (;;) {
    signal.throwIfAborted();
    const handle = await create(path);
    if (handle) {
      // A process that took the old lock for stale may have removed this one.
      if (await isAt(handle, path)) return hold(handle, path);
      await handle.close();
      continue;
    }
    if (await takeOver(path, seen)) continue;
    await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    waitMs = Math.min(waitMs * 1.5, retryMs);
  }
}

/** undefined: the file exists. */
async function create(path: string): Promise<FileHandle | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'wx', 0o600);
  } catch (error) {
    // Windows refuses a name whose file is being removed.
    if (codeOf(error) === 'EEXIST' || (process.platform === 'win32' && codeOf(error) === 'EPERM'))
      return undefined;
    throw error;
  }
  // On a full disk the file stays empty: then only its age says whether it is stale.
  await handle.write(JSON.stringify(SELF), 0).catch(() => undefined);
  return handle;
}

async function isAt(handle: FileHandle, path: string): Promise<boolean> {
  try {
    const [mine, there] = [await handle.stat({ bigint: true }), await stat(path, { bigint: true })];
    return mine.ino === there.ino && mine.dev === there.dev;
  } catch {
    return false;
  }
}

function hold(handle: FileHandle, path: string): () => Promise<void> {
  const renewal = setInterval(() => void renew().catch(() => undefined), RENEW_MS).unref();
  let released: Promise<void> | undefined;

  async function renew(): Promise<void> {
    // Writing sets the time by the clock of the file system, which all holders share.
    await handle.write(JSON.stringify(SELF), 0).catch(() => handle.utimes(new Date(), new Date()));
  }

  return () =>
    (released ??= (async () => {
      clearInterval(renewal);
      const own = await isAt(handle, path);
      await handle.close();
      if (own) await rm(path, { force: true });
    })());
}

/** Removes the lock if it is stale. Returns whether to try again at once. */
async function takeOver(path: string, seen: { at: number; changed: number }): Promise<boolean> {
  const now = performance.now();
  const at = await timeOf(path);
  if (at === undefined) return true;
  if (at !== seen.at) Object.assign(seen, { at, changed: now });
  const old = Date.now() - at > STALE_MS || now - seen.changed > STALE_MS;
  if (!old && !(await isHolderGone(path))) return false;
  // One process at a time removes a stale lock, so that none removes the lock that another has just taken.
  const guard = `${path}.break`;
  let handle: FileHandle;
  try {
    handle = await open(guard, 'wx', 0o600);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    const left = await timeOf(guard);
    if (left !== undefined && Date.now() - left > STALE_MS) await rm(guard, { force: true });
    return false;
  }
  try {
    const time = (await handle.stat()).mtimeMs;
    const still = await timeOf(path);
    const stale = still !== undefined && (time - still > STALE_MS || (still === at && old));
    if (stale || (await isHolderGone(path))) await rm(path, { force: true });
    return true;
  } finally {
    await handle.close();
    await rm(guard, { force: true });
  }
}

async function timeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function isHolderGone(path: string): Promise<boolean> {
  try {
    const text = await readFile(path, 'utf8');
    const holder = text.length > MAX_BYTES ? undefined : parse(text);
    return holder !== undefined && isGone(holder);
  } catch {
    return false;
  }
}
