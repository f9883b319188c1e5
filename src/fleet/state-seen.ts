/** The newest records that this process has seen: a store that goes back to an older one is found out, and set right. */
import { createHash } from 'node:crypto';

export interface SeenRecord {
  readonly generation: number;
  /** Unix time in milliseconds; 0: never. */
  readonly expires: number;
  /** The value; empty: it was removed, or is too large to be kept. */
  readonly json: string;
}

const MOST = 20_000;
const MOST_BYTES = 32 * 1024 * 1024;
const LARGE = 256 * 1024;

/** Bounded: the records that were used last. */
export class SeenRecords {
  readonly #records = new Map<string, SeenRecord>();
  #bytes = 0;

  get(key: string): SeenRecord | undefined {
    return this.#records.get(key);
  }

  set(key: string, record: SeenRecord): void {
    this.#drop(key);
    this.#records.set(key, record.json.length > LARGE ? { ...record, json: '' } : record);
    this.#bytes += sizeOf(key, this.#records.get(key));
    for (const oldest of this.#records.keys()) {
      if (this.#records.size <= MOST && this.#bytes <= MOST_BYTES) break;
      this.#drop(oldest);
    }
  }

  /** A record of this key with a lower generation was there before it was removed. */
  removed(key: string, generation: number): void {
    this.set(key, { generation, expires: 0, json: '' });
  }

  #drop(key: string): void {
    this.#bytes -= sizeOf(key, this.#records.get(key));
    this.#records.delete(key);
  }
}

function sizeOf(key: string, record: SeenRecord | undefined): number {
  return record ? 200 + key.length + record.json.length : 0;
}

export function isOver(expires: number, now: number): boolean {
  return expires !== 0 && expires <= now;
}

/** In hexadecimal digits, as scripts of the store make it. */
export function sha1(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('hex');
}
