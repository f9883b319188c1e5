/** Counts wrong credentials by address, so that nobody can guess at speed or make the gateway verify without end. */
import { PerSecond } from '../lib/per-second.js';
import { Tries } from '../lib/tries.js';
import type { Logger } from '../observe/log.js';

/** How many wrong credentials an address may show at once. */
const BURST = 20;
/** After this long it may show one more, in ms. */
const EACH_MS = 1000;

export class Failures extends Tries {
  /** `now`: in ms. */
  constructor(now: () => number) {
    super({ burst: BURST, eachMs: EACH_MS, now });
  }
}

/** Lines that are logged in a second. */
const MOST_LINES = 10;

export interface RefusalLine {
  readonly reason: string;
  readonly address: string;
  readonly issuer?: string | undefined;
  readonly why?: string | undefined;
}

/** Logs refused credentials, at most ten lines in a second; the next line says how many are missing. */
export class RefusalLog {
  readonly #log: Logger;
  readonly #lines: PerSecond;
  #dropped = 0;

  constructor(log: Logger, now: () => number) {
    this.#log = log;
    this.#lines = new PerSecond(MOST_LINES, now);
  }

  write({ reason, address, issuer, why }: RefusalLine): void {
    if (!this.#lines.admits()) {
      this.#dropped++;
      return;
    }
    const dropped = this.#dropped > 0 ? this.#dropped : undefined;
    this.#dropped = 0;
    this.#log.info('authentication refused', { reason, address, issuer, why, dropped });
  }
}
