import type { Budget } from './budget.js';

const LF = 10;
const CR = 13;
/** What is shown of a line that was not kept: enough to find its id, which stands in the head or in the tail. */
const SHOWN_BYTES = 256;
/** Smaller pieces are copied together, so that a line written byte by byte costs no buffer a byte. */
const SMALL_PIECE = 4096;
const SCRATCH_BYTES = 16 * 1024;
/** A line beyond this is handed over in its pieces where that is asked for: to join them is to hold it twice. */
const LARGE_LINE = 128 * 1024;

export interface DroppedLine {
  readonly bytes: number;
  /** The first bytes of the line. */
  readonly head: Buffer;
  /** The last bytes; for a short line they overlap with the head. */
  readonly tail: Buffer;
  /** `line`: longer than one may be. `budget`: all buffers together hold too much. */
  readonly reason: 'line' | 'budget';
}

export interface LineSplitter {
  /**
   * `more`: asked after each line, and told how many bytes were looked at. Where it says no, the rest of the chunk is given back: it is to
   * be pushed before anything else.
   */
  push(chunk: Buffer, more?: (bytes: number) => boolean): Buffer | undefined;
  /** The stream is over: gives back to the budget, and returns, what is held of a line that will not end. */
  end(): Buffer | undefined;
}

/**
 * Cuts a stream into lines at LF. A line is handed over without its line break, empty ones not at all; it is a
 * view of the chunk it came in, or one buffer joined of several. A line larger than `maxBytes`, or for whose
 * beginning the budget has no room, is skipped to its end; `onDropping` is called as soon as that is known.
 */
export function splitLines(options: {
  maxBytes: number;
  budget: Budget;
  onLine(line: Buffer): void;
  /** A large line in the pieces it came in, more than one, none of them empty. */
  onPieces?(pieces: Buffer[]): void;
  onDropping?(reason: 'line' | 'budget'): void;
  /** Bytes of such a line as they come. */
  onSkipped?(bytes: number, head: Buffer): void;
  onDropped(line: DroppedLine): void;
}): LineSplitter {
  const { maxBytes, budget } = options;
  let parts: Buffer[] = [];
  let held = 0;
  let scratch: Buffer | undefined;
  let scratchUsed = 0;
  let dropping: { bytes: number; head: Buffer; tail: Buffer; reason: 'line' | 'budget' } | undefined;

  function emit(line: Buffer): void {
    const { length } = line;
    const end = length > 0 && line[length - 1] === CR ? length - 1 : length;
    if (end > 0) options.onLine(end === length ? line : line.subarray(0, end));
  }

  function finish(pieces: Buffer[]): void {
    if (!options.onPieces || pieces.length < 2 || bytesOf(pieces) < LARGE_LINE)
      return emit(Buffer.concat(pieces));
    const last = pieces.pop() as Buffer;
    const end = last[last.length - 1] === CR ? last.length - 1 : last.length;
    if (end > 0) pieces.push(last.subarray(0, end));
    options.onPieces(pieces);
  }

  function hold(piece: Buffer): void {
    const reason = held + piece.length > maxBytes ? 'line' : budget.take(piece.length) ? undefined : 'budget';
    if (reason) return drop(piece, reason);
    held += piece.length;
    if (piece.length >= SMALL_PIECE) {
      seal();
      parts.push(piece);
      return;
    }
    if (scratch && scratchUsed + piece.length > SCRATCH_BYTES) seal();
    scratch ??= Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    piece.copy(scratch, scratchUsed);
    scratchUsed += piece.length;
  }

  function seal(): void {
    if (scratch) parts.push(scratch.subarray(0, scratchUsed));
    scratch = undefined;
    scratchUsed = 0;
  }

  function release(): Buffer[] {
    seal();
    const all = parts;
    parts = [];
    budget.give(held);
    held = 0;
    return all;
  }

  function drop(piece: Buffer, reason: 'line' | 'budget'): void {
    const before = release();
    dropping = { bytes: 0, head: Buffer.alloc(0), tail: Buffer.alloc(0), reason };
    for (const each of before) skip(each);
    skip(piece);
    options.onDropping?.(reason);
  }

  function skip(piece: Buffer): void {
    if (!dropping) return;
    dropping.bytes += piece.length;
    const missing = SHOWN_BYTES - dropping.head.length;
    if (missing > 0) dropping.head = Buffer.concat([dropping.head, piece.subarray(0, missing)]);
    dropping.tail =
      piece.length >= SHOWN_BYTES
        ? Buffer.from(piece.subarray(-SHOWN_BYTES))
        : Buffer.concat([dropping.tail, piece]).subarray(-SHOWN_BYTES);
    options.onSkipped?.(piece.length, dropping.head);
  }

  /** `last`: the last piece of a line. */
  function line(last: Buffer): void {
    if (!dropping) {
      if (held === 0 && last.length <= maxBytes) return emit(last);
      hold(last);
    } else {
      skip(last);
    }
    if (dropping) {
      const dropped: DroppedLine = dropping;
      dropping = undefined;
      options.onDropped(dropped);
    } else {
      finish(release());
    }
  }

  return {
    push(chunk, more) {
      let start = 0;
      for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
        const piece = chunk.subarray(start, end);
        start = end + 1;
        line(piece);
        if (more && !more(piece.length + 1) && start < chunk.length) return chunk.subarray(start);
      }
      if (start === chunk.length) return undefined;
      const rest = start === 0 ? chunk : chunk.subarray(start);
      if (dropping) skip(rest);
      else hold(rest);
      more?.(rest.length);
      return undefined;
    },
    end() {
      dropping = undefined;
      return held === 0 ? undefined : Buffer.concat(release());
    },
  };
}

export function bytesOf(pieces: readonly Buffer[]): number {
  let bytes = 0;
  for (const { length } of pieces) bytes += length;
  return bytes;
}
