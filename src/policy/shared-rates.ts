/** The port of a store that counts the calls of all replicas together. */
import type { Wait, Want } from './buckets.js';

export interface SharedRates {
  /**
   * Takes one call from each bucket, or from none if one is empty, by the clock of the store alone. Waits at most 100 ms and never rejects.
   * Resolves with what is in the way, or with `taken`; undefined: the store is away or too slow, so each replica counts by itself.
   */
  take(owner: string, wants: readonly Want[]): Promise<Wait | 'taken' | undefined>;
}
