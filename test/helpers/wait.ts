import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/** Polls `probe` until it gives something other than undefined or false; throws after `ms`. */
export async function until<T>(
  probe: () => T | Promise<T>,
  what = 'the condition',
  ms = 10_000,
): Promise<Exclude<T, undefined | false | null>> {
  const deadline = performance.now() + ms;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false && value !== null) {
      return value as Exclude<T, undefined | false | null>;
    }
    if (performance.now() > deadline) throw new Error(`${what} did not come within ${ms} ms`);
    await sleep(15);
  }
}

/** The value of `promise`, or an error that says what was waited for. */
export async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what} did not come within ${ms} ms`));
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
