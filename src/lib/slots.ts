/** Limits how many tasks run at the same time; waiting tasks start in order. */
export interface Slots {
  /** Resolves with the release, which may be called more than once. Rejects when the signal aborts first. */
  take(signal: AbortSignal): Promise<() => void>;
  setLimit(limit: number): void;
}

export function createSlots(limit: number): Slots {
  let used = 0;
  let bound = limit;
  const waiting: (() => void)[] = [];

  function next(): void {
    while (used < bound && waiting.length > 0) waiting.shift()?.();
  }

  function grant(): () => void {
    used++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      used--;
      next();
    };
  }

  return {
    take(signal) {
      signal.throwIfAborted();
      if (used < bound) return Promise.resolve(grant());
      return new Promise((resolve, reject) => {
        const serve = (): void => {
          signal.removeEventListener('abort', leave);
          resolve(grant());
        };
        const leave = (): void => {
          waiting.splice(waiting.indexOf(serve), 1);
          reject(signal.reason as Error);
        };
        waiting.push(serve);
        signal.addEventListener('abort', leave, { once: true });
      });
    },
    setLimit(value) {
      bound = value;
      next();
    },
  };
}
