import { write } from 'node:fs';

/** Where log lines go. Writing never blocks: a reader that stands still costs lines, not calls. */
export interface Sink {
  write(line: string): void;
  /** Resolves when all is written, at the latest after a second: a reader that stands still must not hold an exit. */
  flush(): Promise<void>;
}

/** What waits to be written, in bytes; beyond it lines are dropped. */
const LIMIT_BYTES = 1024 * 1024;
const WRITE_BYTES = 64 * 1024;
/** A full pipe that does not block is tried again. */
const RETRY_MS = 50;
const FLUSH_MS = 1000;

/**
 * Writes to a file descriptor, in order, one write at a time. `onDropped` is told how many lines were lost
 * once there is room again; what it writes then is part of the log.
 */
export function openSink(fd: number, onDropped: (lines: number) => void): Sink {
  let waiting: string[] = [];
  let bytes = 0;
  let dropped = 0;
  let writing = false;
  let gone = false;
  let flushing: (() => void)[] = [];

  function next(): void {
    if (waiting.length === 0) {
      if (dropped > 0) {
        const lines = dropped;
        dropped = 0;
        onDropped(lines);
      }
      if (waiting.length === 0) {
        writing = false;
        const done = flushing;
        flushing = [];
        for (const resolve of done) resolve();
        return;
      }
    }
    writing = true;
    let size = 0;
    let count = 0;
    while (count < waiting.length && size < WRITE_BYTES) size += (waiting[count++] as string).length;
    push(Buffer.from(waiting.splice(0, count).join('')), 0);
  }

  function push(chunk: Buffer, from: number): void {
    write(fd, chunk, from, chunk.length - from, null, (error, written) => {
      if (error?.code === 'EAGAIN') {
        setTimeout(push, RETRY_MS, chunk, from).unref();
        return;
      }
      if (error) {
        // Nobody reads any more (EPIPE): there is no place left to say so.
        gone = true;
        waiting = [];
        dropped = 0;
      } else if (from + written < chunk.length) {
        bytes -= written;
        push(chunk, from + written);
        return;
      } else {
        bytes -= written;
      }
      next();
    });
  }

  return {
    write(line) {
      if (gone) return;
      const size = Buffer.byteLength(line);
      if (bytes + size > LIMIT_BYTES) {
        dropped++;
        return;
      }
      bytes += size;
      waiting.push(line);
      if (!writing) {
        // Later in this turn, so that lines that come together go out together.
        writing = true;
        setImmediate(next);
      }
    },
    flush() {
      if (!writing) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, FLUSH_MS);
        flushing.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    },
  };
}
