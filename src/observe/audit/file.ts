/** The file of an audit log: appends lines in the background, begins a new file when one is full, and tries again where it cannot write. */
import {
  closeSync,
  constants,
  fstatSync,
  fsync,
  openSync,
  rename,
  rm,
  stat,
  write,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import type { Boundary } from '../boundary.js';
import { hashOf, lineAfter, type Link } from './chain.js';
import { endOf, fullFiles, fullName, type End } from './end.js';
import { WaitingLines } from './waiting.js';

/** Bytes that wait to be written; with more, the log counts as full. */
const BUFFER_BYTES = 8 * 1024 * 1024;
/** Room for calls that were under way when the log was full: their lines are still taken. */
const HARD_BYTES = 2 * BUFFER_BYTES;
/** Lines that come within this time after a write are gathered: a write costs more than a line. A process that is killed loses those. */
const GATHER_MS = 20;
/** Bytes of one write. */
const BATCH_BYTES = 256 * 1024;
const RETRY_MS = 1000;
/** How often the file is looked for under its name: it may have been moved or deleted. */
const LOOK_MS = 1000;
/** How long lines may take to be written at the end. */
const CLOSE_MS = 5000;
const LF = 0x0a;
/** What a line has besides its members, in bytes, about. */
const LINE_BYTES = 120;

const writeTo = promisify(write);
const sync = promisify(fsync);
const move = promisify(rename);
const remove = promisify(rm);
const statOf = promisify(stat);

export interface AuditFileDeps {
  /** An absolute path. */
  readonly path: string;
  readonly limits: () => { readonly rotate_bytes: number; readonly keep: number };
  readonly boundary: Boundary;
  /** It cannot write; told once until `recovered`. */
  readonly failed: (error: Error) => void;
  readonly recovered: () => void;
  readonly warn: (text: string, error: Error) => void;
}

/** JSON members, without braces; `bytes`: their bytes, about. */
export type Text = string | { readonly bytes: number; toString(): string };

/** A line that has no place in the chain yet. */
interface Added {
  readonly members: Text;
  /** Unix milliseconds. */
  readonly time: number;
}

export class AuditFile {
  readonly #deps: AuditFileDeps;
  /** How the log ended before this start. */
  readonly found: End;
  #fd: number;
  #inode: number;
  #size: number;
  /** The size at which the next file is begun, if that failed before. */
  #rotateAt = 0;
  #link: Link;
  /** Lines are made and put into the chain together, shortly before they are written: between calls each costs half as much again. */
  #added: Added[] = [];
  /** Bytes of `#added`, about. */
  #addedBytes = 0;
  readonly #waiting = new WaitingLines();
  /** What is being written, and how much of it is. */
  #batch: Buffer | undefined;
  #done = 0;
  #running: Promise<void> | undefined;
  #writing = false;
  /** When a write ended, by performance.now(). */
  #last = -Infinity;
  /** Ends a pause. */
  #hurry: () => void = () => undefined;
  #trouble: Error | undefined;
  #retry: NodeJS.Timeout | undefined;
  #looked = performance.now();
  #closed = false;

  /** Throws an Error with what is wrong with the file. */
  constructor(deps: AuditFileDeps) {
    this.#deps = deps;
    this.#fd = open(deps.path);
    try {
      const { size, ino } = fstatSync(this.#fd);
      this.#size = size;
      this.#inode = ino;
      this.found = endOf(deps.path, this.#fd);
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
    this.#link = this.found.link;
    // Ends the line that an earlier process did not finish.
    if (this.found.open) this.#batch = Buffer.from('\n');
  }

  /** The last line. */
  get head(): Link {
    this.#chain();
    return this.#link;
  }

  /** Why lines are not written; undefined: they are. */
  get trouble(): string | undefined {
    if (this.#trouble) return `cannot write ${this.#deps.path}: ${this.#trouble.message}`;
    return this.#bytes > BUFFER_BYTES ? `${this.#deps.path} is written too slowly` : undefined;
  }

  /** Adds a line. Returns false if there is no room for it: it is lost then. */
  append(members: Text, most: 'soft' | 'hard'): boolean {
    if (this.#closed || this.#bytes > (most === 'soft' ? BUFFER_BYTES : HARD_BYTES)) return false;
    this.#added.push({ members, time: Date.now() });
    this.#addedBytes +=
      LINE_BYTES + (typeof members === 'string' ? Buffer.byteLength(members) : members.bytes);
    if (!this.#retry) this.#start();
    return true;
  }

  /** Bytes of the lines that wait. */
  get #bytes(): number {
    return this.#addedBytes + this.#waiting.bytes;
  }

  #chain(): void {
    for (const { members, time } of this.#added) {
      const line = this.#waiting.add(lineAfter(this.#link, String(members), time));
      this.#link = { seq: this.#link.seq + 1, hash: hashOf(line) };
    }
    this.#added = [];
    this.#addedBytes = 0;
  }

  /** Opens the file anew if another one has its name. */
  reopen(): void {
    this.#looked = -Infinity;
    this.#start();
  }

  /** Writes what waits, for a limited time, and closes the file. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#start();
    this.#hurry();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_MS)));
    await Promise.race([this.#running, late]);
    clearTimeout(timer);
    this.destroy();
  }

  /** Writes what waits at once, as far as that is possible, and closes the file. */
  destroy(): void {
    clearTimeout(this.#retry);
    this.#closed = true;
    this.#hurry();
    if (this.#fd === -1) return;
    const fd = this.#fd;
    // The end of a write under way is not known: nothing may be written after it.
    if (!this.#writing && !this.#trouble)
      try {
        for (let batch = this.#next(); batch; batch = this.#next())
          this.#wrote(writeSync(fd, batch, this.#done, batch.length - this.#done));
      } catch (error) {
        this.#fail(error);
      }
    this.#fd = -1;
    if (!this.#writing) closeSync(fd);
    else
      void this.#running?.finally(() => {
        closeSync(fd);
      });
  }

  #start(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    if (this.#running) return;
    this.#running = this.#run();
    this.#deps.boundary.detach('detached', this.#running);
  }

  async #run(): Promise<void> {
    let failure: unknown;
    try {
      do {
        await this.#pause();
        await this.#writeAll();
        // `reopen` may have been called when the last line was being written.
      } while ((this.#bytes > 0 || this.#looked === -Infinity) && this.#fd !== -1);
      if (this.#closed && this.#fd !== -1) await sync(this.#fd);
    } catch (error) {
      failure = error;
    }
    this.#running = undefined;
    if (failure !== undefined) this.#fail(failure);
    else if (this.#trouble) {
      this.#trouble = undefined;
      this.#deps.recovered();
    }
  }

  /** Waits for more lines: those of this turn of the event loop, and where lines come fast, those of the next milliseconds. */
  #pause(): Promise<void> {
    const ms = this.#closed ? 0 : this.#last + GATHER_MS - performance.now();
    return new Promise((resolve) => {
      if (ms <= 0) {
        setImmediate(resolve);
        return;
      }
      const timer = setTimeout(resolve, ms);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#fd !== -1) {
      if (performance.now() - this.#looked > LOOK_MS) await this.#look();
      this.#chain();
      if (this.#isFull()) await this.#rotate();
      const batch = this.#next();
      if (!batch || this.#fd === -1) return;
      this.#writing = true;
      try {
        const { bytesWritten } = await writeTo(this.#fd, batch, this.#done, batch.length - this.#done, null);
        this.#wrote(bytesWritten);
      } finally {
        this.#writing = false;
        this.#last = performance.now();
      }
      if (!this.#batch && this.#bytes < BATCH_BYTES && !this.#closed) return;
    }
  }

  #fail(thrown: unknown): void {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    const isNew = !this.#trouble;
    this.#trouble = error;
    const again = this.#deps.boundary.guard('timer', () => {
      this.#start();
    });
    if (!this.#closed) this.#retry = setTimeout(again, RETRY_MS).unref();
    if (isNew) this.#deps.failed(error);
  }

  #wrote(bytes: number): void {
    this.#size += bytes;
    this.#done += bytes;
    if (this.#batch && this.#done < this.#batch.length) return;
    this.#batch = undefined;
    this.#done = 0;
  }

  /** The bytes to write next: as many lines as the file has room for, and one at least. */
  #next(): Buffer | undefined {
    if (this.#batch) return this.#batch;
    this.#chain();
    const room = Math.min(BATCH_BYTES, this.#deps.limits().rotate_bytes - this.#size);
    return (this.#batch = this.#waiting.take(room));
  }

  #isFull(): boolean {
    const { first } = this.#waiting;
    if (first === undefined || this.#batch || this.#size === 0) return false;
    return this.#size + first > Math.max(this.#deps.limits().rotate_bytes, this.#rotateAt);
  }

  async #rotate(): Promise<void> {
    const { path, limits, warn } = this.#deps;
    const { rotate_bytes, keep } = limits();
    const written = this.#link.seq - this.#waiting.count;
    try {
      await move(path, fullName(path, written));
    } catch (error) {
      // Lines are worth more than the size of a file.
      this.#rotateAt = this.#size + rotate_bytes;
      warn('the audit log cannot be renamed, and grows further', error as Error);
      return;
    }
    this.#rotateAt = 0;
    if (this.#fd === -1) return;
    this.#use(open(path));
    for (const old of fullFiles(path).slice(0, -keep))
      await remove(old).catch((error: unknown) => {
        warn('an old file of the audit log cannot be deleted', error as Error);
      });
  }

  /** Opens the file anew where its name leads elsewhere. */
  async #look(): Promise<void> {
    const { path } = this.#deps;
    // `reopen` may be called meanwhile: then it is looked at once more.
    this.#looked = performance.now();
    const inode = await statOf(path).then(
      ({ ino }) => ino,
      () => undefined,
    );
    if (this.#fd === -1 || inode === this.#inode) return;
    try {
      this.#use(open(path));
    } catch (error) {
      this.#looked = -Infinity;
      throw error;
    }
  }

  /** Goes on in another file, with a whole line. */
  #use(fd: number): void {
    const { ino, size } = fstatSync(fd);
    closeSync(this.#fd);
    this.#fd = fd;
    this.#inode = ino;
    this.#size = size;
    if (!this.#batch || this.#done === 0) return;
    this.#batch = this.#batch.subarray(this.#batch.lastIndexOf(LF, this.#done - 1) + 1);
    this.#done = 0;
    if (this.#batch.length === 0) this.#batch = undefined;
  }
}

function open(path: string): number {
  const { O_APPEND, O_CREAT, O_RDWR, O_NONBLOCK } = constants;
  // A pipe without a reader would block.
  const fd = openSync(path, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK, 0o600);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw new Error(`audit.file: ${path} is not a regular file`);
}
