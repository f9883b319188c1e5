/** How long results of a modern server are fresh, and for whom, by its caching hints (2026-07-28, server/utilities/caching). */
import type { Freshness } from '../../protocol/ports.js';
import { membersOf } from '../../wire/walk.js';

/** The combined hints of several results. */
export class Hints {
  /** When the first of them becomes stale, on the monotonic clock; undefined: none has a hint. */
  until: number | undefined;
  /** At least one of them has no hint. */
  partial = false;
  isPrivate = false;
  /** As `until`, of those whose hint was above 0. */
  lapses: number | undefined;

  /** `result`: valid JSON of an object. */
  note(result: Buffer, now = performance.now()): void {
    let ttl: number | undefined;
    for (const { key, start, end } of membersOf(result)) {
      if (key === 'ttlMs') ttl = Number(result.toString('latin1', start, end));
      else if (key === 'cacheScope' && result.toString('latin1', start, end) === '"private"')
        this.isPrivate = true;
    }
    if (ttl === undefined || !Number.isFinite(ttl)) {
      this.partial = true;
      return;
    }
    // Negative values count as 0.
    const ms = Math.max(0, ttl);
    this.until = Math.min(this.until ?? Infinity, now + ms);
    if (ms > 0) this.lapses = Math.min(this.lapses ?? Infinity, now + ms);
  }

  /** Whether at least one of them is stale, or may be. */
  stale(now = performance.now()): boolean {
    return this.partial || (this.until ?? now) <= now;
  }
}

/** `due`: when everything is read again anyway. */
export function freshnessOf(parts: readonly (Hints | undefined)[], due: number, isOwn: boolean): Freshness {
  let until = Infinity;
  let isPrivate = isOwn;
  for (const part of parts) {
    until = Math.min(until, part?.until ?? due);
    if (part?.partial) until = Math.min(until, due);
    if (part?.isPrivate) isPrivate = true;
  }
  return { until, scope: isPrivate ? 'private' : 'public' };
}

/** Milliseconds until the first part with a hint becomes stale; undefined: none has one. */
export function lapseMs(parts: readonly (Hints | undefined)[], now = performance.now()): number | undefined {
  const first = Math.min(...parts.map((part) => part?.lapses ?? Infinity));
  return first === Infinity ? undefined : Math.max(0, first - now);
}
