import type { Budget } from './budget.js';

const LF = 10;
const CR = 13;
/** How many bytes of a dropped line are reported from each end: enough to find the id of the message. */
const SHOWN_BYTES = 256;
/** Smaller pieces are copied together, so that a line written byte by byte does not cost a buffer per byte. */
const SMALL_PIECE = 4096;
const SCRATCH_BYTES = 16 * 1024;
/** Larger lines are passed on in pieces, if the caller supports it: joining them would take twice the memory. */
const LARGE_LINE = 128 * 1024;

export interface DroppedLine {
  readonly bytes: number;
  /** The first bytes of the line. */
  readonly head: Buffer;
  /** The last bytes; for a short line they overlap with the head. */
  readonly tail: Buffer;
  /** `line`: longer than `maxBytes`. `budget`: the budget has no room. */
  readonly reason: 'line' | 'budget';
}

export interface LineSplitter {
  /**
   * `more` is called after each line with the number of bytes processed. If it returns false, the rest of the chunk is returned, and has
   * to be pushed before anything else.
   */
  push(chunk: Buffer, more?: (bytes: number) => boolean): Buffer | undefined;
  /** Ends the stream. Returns the unfinished line, and gives its bytes back to the budget. */
  end(): Buffer | undefined;
}

/**
 * Cuts a stream into lines at LF. Lines are passed on without their line break, and empty lines are skipped. A line is
 * a view of its chunk, or one buffer joined from several. A line that is larger than `maxBytes`, or that the budget has
 * no room for, is skipped to its end; `onDropping` is called as soon as that is known.
 */
export function splitLines(options: {
  maxBytes: number;
  budget: Budget;
  onLine(line: Buffer): void;
  /** A large line, in two or more non-empty pieces. */
  onPieces?(pieces: Buffer[]): void;
  onDropping?(reason: 'line' | 'budget'): void;
  /** Bytes of a dropped line, as they arrive. */
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

  /** `last`: it is the last piece of the line. */
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
