import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/**
 * How long anything is waited for: a net for what never comes, so that a test says what that was. A busy machine may take
 * many times as long as an idle one; nothing is proved by how long it takes.
 */
export const NET = 45_000;

/** Polls `probe` until it gives something other than undefined or false; throws after `ms`. */
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
 * Waits until `read` gives the same value many times in a row, and gives that. A busy machine may look still: what a test
 * says of the value must hold at any time.
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

/** A timer to hold another against: of two that begin together the shorter one rings first, however busy the machine is. */
export function timer(ms: number): { readonly rung: boolean } {
  const state = { rung: false };
  setTimeout(() => {
    state.rung = true;
  }, ms);
  return state;
}

/** The value of `promise`, or an error that says what was waited for. */
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
