export interface SingleFlight<T> {
  /** Joins the current run, or starts one. */
  call(): Promise<T>;
  /** Rejects all waiting callers with `reason` and aborts the run. The next call starts a new run, even if this one has not ended. */
  cancel(reason?: Error): void;
  readonly running: boolean;
}

/** Shares one run of `fn` between concurrent callers. */
export function singleFlight<T>(fn: (signal: AbortSignal) => Promise<T>): SingleFlight<T> {
  let current: { promise: Promise<T>; controller: AbortController } | undefined;

  function start(): Promise<T> {
    const controller = new AbortController();
    const { signal } = controller;
    const promise = new Promise<T>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      fn(signal).then(resolve, reject);
    });
    const run = { promise, controller };
    current = run;
    const done = () => {
      if (current === run) current = undefined;
    };
    promise.then(done, done);
    return promise;
  }

  return {
    call: () => current?.promise ?? start(),
    cancel(reason = new Error('cancelled')) {
      const run = current;
      current = undefined;
      run?.controller.abort(reason);
    },
    get running() {
      return current !== undefined;
    },
  };
}
