/** How much may wait for a yes. Other processes with the same store are counted as of the last look at it. */
import type { GatewayError } from '../errors.js';
import { isLive, type ApprovalRecord } from './record.js';
import { busyError } from './words.js';

/** After so many noes within this time a tool is refused to a principal, for as long, in ms. */
export const MANY_NOES = 3;
export const NOES_MS = 600_000;

const MINUTE_MS = 60_000;
/** Principals whose last minute is remembered. */
const MAX_PRINCIPALS = 10_000;

export interface Limits {
  /** Records that are open, or whose yes is not used. */
  readonly open: number;
  readonly perPrincipal: number;
  /** New records of a principal. */
  readonly perMinute: number;
}

interface Known {
  readonly principal: string;
  readonly created: number;
  readonly isOpen: boolean;
  /** When it is over, whoever notices. */
  readonly until: number;
}

export class Bounds {
  readonly #now: () => number;
  readonly #live = new Map<string, Known>();
  /** What is about to be made, by principal. */
  readonly #coming = new Map<string, number>();
  /** When the records of a principal were made. */
  readonly #made = new Map<string, number[]>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A record as it is now. */
  note(record: ApprovalRecord): void {
    if (!isLive(record)) {
      this.#live.delete(record.key);
      return;
    }
    this.#live.set(record.key, {
      principal: record.principal,
      created: record.created,
      isOpen: record.state === 'open',
      until: record.until ?? record.expires,
    });
  }

  gone(key: string): void {
    this.#live.delete(key);
  }

  /** The keys of all records that are known to be live. */
  get keys(): readonly string[] {
    return [...this.#live.keys()];
  }

  /** Reserves a place for a new record. Returns what frees the place once the record is noted, or was not made; an error: there is none. */
  reserve(principal: string, limits: Limits): (() => void) | GatewayError {
    const now = this.#now();
    let all = 0;
    let own = this.#coming.get(principal) ?? 0;
    for (const count of this.#coming.values()) all += count;
    for (const known of this.#live.values()) {
      if (known.until <= now) continue;
      all++;
      if (known.principal === principal) own++;
    }
    if (all >= limits.open) return busyError('try again once some are decided');
    if (own >= limits.perPrincipal) return busyError(`${limits.perPrincipal} of yours do`);
    const made = (this.#made.get(principal) ?? []).filter((at) => at > now - MINUTE_MS);
    if (made.length >= limits.perMinute)
      return busyError(`${limits.perMinute} of yours are new in this minute`);
    this.#made.delete(principal);
    this.#made.set(principal, [...made, now]);
    for (const oldest of this.#made.keys()) {
      if (this.#made.size <= MAX_PRINCIPALS) break;
      this.#made.delete(oldest);
    }
    this.#coming.set(principal, (this.#coming.get(principal) ?? 0) + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const left = (this.#coming.get(principal) ?? 1) - 1;
      if (left > 0) this.#coming.set(principal, left);
      else this.#coming.delete(principal);
    };
  }

  /** How many are open, and for how many ms the oldest one has been. */
  figures(): { readonly open: number; readonly oldestMs: number } {
    const open = [...this.#live.values()].filter(({ isOpen, until }) => isOpen && until > this.#now());
    const oldest = Math.min(...open.map(({ created }) => created));
    return { open: open.length, oldestMs: open.length === 0 ? 0 : Math.max(0, this.#now() - oldest) };
  }
}
