import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/**
 * Time limit of every wait: a safety net, so that a failing test reports what it was waiting for. A busy machine may take
 * many times as long as an idle one; no test proves anything by a duration.
 */
export let NET = 45_000;

/** Sets the time limit of the waits that follow. Only for tests that must fail: no wait of theirs is worth the whole limit. */
export function limitWaits(ms: number): void {
  NET = ms;
}

/** Polls `probe` until it returns something other than undefined, null or false; throws after `NET` ms. */
export async function until<T>(
  probe: () => T | Promise<T>,
  what = 'the condition',
): Promise<Exclude<T, undefined | false | null>> {
  const deadline = performance.now() + NET;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false && value !== null) {
      return value as Exclude<T, undefined | false | null>;
    }
    if (performance.now() > deadline) throw new Error(`${what} did not come within ${NET} ms`);
    await sleep(15);
  }
}

/**
 * Waits until `read` returns the same value many times in a row, and returns it. A busy machine may only appear idle, so a
 * test's assertion about the value must hold at any time.
 */
export async function settled<T>(read: () => T | Promise<T>): Promise<T> {
  let last = await read();
  for (let same = 0; same < 20; same++) {
    await sleep(15);
    const value = await read();
    if (value !== last) same = -1;
    last = value;
  }
  return last;
}

/** A timer for comparison with another one: of two that start together, the shorter one fires first, however busy the machine. */
export function timer(ms: number): { readonly rung: boolean } {
  const state = { rung: false };
  setTimeout(() => {
    state.rung = true;
  }, ms);
  return state;
}

/** The value of `promise`, or an error that names `what` after `NET` ms. */
export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let net: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    net = setTimeout(() => {
      reject(new Error(`${what} did not come within ${NET} ms`));
    }, NET);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(net);
  }
}
