/** Locks of the state that all replicas share. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LOCK, UNLOCK } from './state-scripts.js';
import { StoreError, type FleetStore } from './store.js';

const RETRY_MS = 200;
/** How long a lock waits for a store that is away. */
const AWAY_MS = 2000;
/** A holder that is gone keeps others waiting for this long at most. */
const HELD_MS = 8000;
/** How often a holder that is there says so. */
const RENEW_MS = 2000;

/**
 * Waits until this is the only holder of the lock, and returns its release; after `ttlMs` the lock is free without it. If the store stays
 * away, no other process gets the lock from it either, and this one goes on: a write with an old generation is refused in any case. Rejects
 * with the reason of the signal.
 */
export async function takeLease(
  store: FleetStore,
  name: string,
  ttlMs: number,
  signal: AbortSignal,
): Promise<() => Promise<void>> {
  const token = randomBytes(16).toString('base64url');
  const left = (): number => Math.ceil(Math.min(HELD_MS, until - performance.now()));
  let until = 0;
  let awaySince: number | undefined;
  for (;;) {
    signal.throwIfAborted();
    try {
      until = performance.now() + ttlMs;
      if ((await store.run(LOCK, [name], [token, left()])) === 1) break;
      awaySince = undefined;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      awaySince ??= performance.now();
      if (performance.now() - awaySince > AWAY_MS) break;
    }
    await sleep(RETRY_MS * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
  }
  let renewal: Promise<unknown> | undefined;
  const timer = setInterval(() => {
    if (left() > 0) renewal = store.run(LOCK, [name], [token, left()]).catch(() => undefined);
    else clearInterval(timer);
  }, RENEW_MS).unref();
  return async () => {
    clearInterval(timer);
    await renewal;
    // A lock that cannot be released is free after its time.
    await store.run(UNLOCK, [name], [token]).catch(() => undefined);
  };
}

/** The same, for at most `limitMs`: then it rejects with a StoreError, as if the store had refused. */
export async function takeLeaseWithin(
  limitMs: number,
  store: FleetStore,
  name: string,
  ttlMs: number,
): Promise<() => Promise<void>> {
  const signal = AbortSignal.timeout(limitMs);
  return await takeLease(store, name, ttlMs, signal).catch((error: unknown) => {
    throw signal.aborted ? new StoreError('refused', 'a lock in the store is not released') : error;
  });
}
