import type { Logger } from '../observe/log.js';
import type { GatewayState } from '../proxy/runtime.js';

/** Whether the gateway is starting, serving or draining, and which required servers it waits for. */
export class Readiness {
  readonly #log: Logger;
  readonly #awaited: Set<string>;
  #state: GatewayState;
  #stopping = false;
  #serve: () => void = () => undefined;
  #fail: (error: Error) => void = () => undefined;
  /** Resolves once every required server has been up. */
  readonly serving = new Promise<void>((resolve) => (this.#serve = resolve));
  /** Resolves if a required server used up its attempts before that. */
  readonly failed = new Promise<Error>((resolve) => (this.#fail = resolve));

  constructor(required: readonly string[], log: Logger) {
    this.#log = log;
    this.#awaited = new Set(required);
    this.#state = required.length > 0 ? 'starting' : 'serving';
  }

  get state(): GatewayState {
    return this.#state;
  }

  get waitingFor(): readonly string[] {
    return [...this.#awaited];
  }

  /** It shuts down: not ready any more, but still serving. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** A server is up, not required any more, or gone. */
  settle(server: string): void {
    this.#awaited.delete(server);
    if (this.#awaited.size > 0) return;
    this.#serve();
    if (this.#state !== 'starting') return;
    this.#state = 'serving';
    this.#log.info('ready: every required upstream has been up');
  }

  gaveUp(server: string, error: Error): void {
    if (this.#state === 'starting' && !this.#stopping && this.#awaited.has(server))
      this.#fail(new Error(`required upstream '${server}' cannot be reached: ${error.message}`));
  }

  stop(): void {
    this.#stopping = true;
  }

  /** No new sessions from now on. */
  drain(): void {
    this.#stopping = true;
    this.#state = 'draining';
  }
}
