/** Lines that wait to be written to a file: as bytes, because many of them are written at once. */

/** Lines share buffers of this size; a longer line has one of its own. */
const BLOCK_BYTES = 256 * 1024;
const LF = 0x0a;
/** Most bytes of a UTF-16 code unit in UTF-8. */
const UNIT_BYTES = 3;

interface Block {
  readonly bytes: Buffer;
  /** Lines that are not taken yet are between these. What is before them may be in use by who took it. */
  from: number;
  to: number;
}

export class WaitingLines {
  /** Oldest first. */
  readonly #blocks: Block[] = [];
  /** Bytes of each line, oldest first. */
  readonly #lengths: number[] = [];
  #bytes = 0;

  get count(): number {
    return this.#lengths.length;
  }

  /** Bytes of all lines with their line breaks. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes of the oldest line with its line break; undefined: none waits. */
  get first(): number | undefined {
    return this.#lengths[0];
  }

  /** Adds a line. Returns its bytes without the line break. */
  add(line: string): Buffer {
    const block = this.#blockFor(line);
    const begin = block.to;
    const end = begin + block.bytes.write(line, begin);
    block.bytes[end] = LF;
    block.to = end + 1;
    this.#lengths.push(block.to - begin);
    this.#bytes += block.to - begin;
    return block.bytes.subarray(begin, end);
  }

  /** Takes the oldest lines: one at least, and no more than `room` bytes otherwise. They stay as they are. undefined: none waits. */
  take(room: number): Buffer | undefined {
    const [block] = this.#blocks;
    if (!block || block.from === block.to) return undefined;
    const { from, to } = block;
    const most = Math.min(room, to - from);
    let bytes = 0;
    let count = 0;
    for (const length of this.#lengths) {
      if (count > 0 && bytes + length > most) break;
      bytes += length;
      count++;
    }
    this.#lengths.splice(0, count);
    this.#bytes -= bytes;
    block.from += bytes;
    if (block.from === to && this.#blocks.length > 1) this.#blocks.shift();
    return block.bytes.subarray(from, from + bytes);
  }

  #blockFor(line: string): Block {
    const last = this.#blocks.at(-1);
    const left = last ? last.bytes.length - last.to : 0;
    if (last && line.length * UNIT_BYTES < left) return last;
    const bytes = Buffer.byteLength(line) + 1;
    if (last && bytes <= left) return last;
    if (last && last.from === last.to) this.#blocks.pop();
    const block = { bytes: Buffer.allocUnsafeSlow(Math.max(bytes, BLOCK_BYTES)), from: 0, to: 0 };
    this.#blocks.push(block);
    return block;
  }
}
