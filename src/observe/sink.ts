import { write } from 'node:fs';

/** The destination of log lines. Writing never blocks: a stalled reader costs lines, not calls. */
export interface Sink {
  write(line: string): void;
  /** Resolves when everything is written, or after a second: a stalled reader must not delay an exit. */
  flush(): Promise<void>;
}

/** Bytes that wait to be written, at the most; further lines are dropped. */
const LIMIT_BYTES = 1024 * 1024;
const WRITE_BYTES = 64 * 1024;
/** A full non-blocking pipe is retried after this long. */
const RETRY_MS = 50;
const FLUSH_MS = 1000;

/**
 * Writes to a file descriptor, in order, one write at a time. Once there is room again, `onDropped` gets the number of lost lines and can
 * write to the log.
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
        // The reader is gone (EPIPE): there is nowhere to report it.
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
        // Later in this turn, to batch lines.
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
