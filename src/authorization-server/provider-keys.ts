/** The signing keys of an identity provider: read again after five minutes, and held through an outage. */
import { singleFlight, type SingleFlight } from '../lib/single-flight.js';
import { unlessAborted } from '../lib/within.js';
import type { ProviderMetadata } from './provider-metadata.js';
import { ProviderProblem } from './provider-problem.js';

/** A key set as it was read once. */
export interface ReadKeys {
  /** JSON. */
  readonly text: string;
  /** Unix ms. */
  readonly at: number;
  /** The metadata as an object of its own: oauth4webapi keeps imported keys by it. */
  readonly server: ProviderMetadata;
}

const FRESH_MS = 300_000;
const HELD_MS = 86_400_000;

export class ProviderKeys {
  readonly #now: () => number;
  readonly #read: SingleFlight<ReadKeys>;
  #held: ReadKeys | undefined;

  /** `get` resolves with the key set as JSON. */
  constructor(metadata: ProviderMetadata, get: (signal: AbortSignal) => Promise<string>, now: () => number) {
    this.#now = now;
    this.#read = singleFlight(async (signal) => {
      const text = await get(signal);
      return (this.#held = { text, at: now(), server: { ...metadata } });
    });
  }

  /** The keys that are held, or new ones. Rejects as `get` does, or with the reason of `signal`. */
  async current(signal: AbortSignal): Promise<ReadKeys> {
    const held = this.#held;
    if (held && this.#isWithin(held, FRESH_MS)) return held;
    try {
      return await this.again(signal);
    } catch (error) {
      if (held && this.#isWithin(held, HELD_MS) && error instanceof ProviderProblem && error.kind === 'away')
        return held;
      throw error;
    }
  }

  /** Reads the keys again. Rejects as `current` does. */
  async again(signal: AbortSignal): Promise<ReadKeys> {
    signal.throwIfAborted();
    return unlessAborted(this.#read.call(), signal);
  }

  close(): void {
    this.#read.cancel(new Error('closed'));
  }

  #isWithin({ at }: ReadKeys, ms: number): boolean {
    return Math.abs(this.#now() - at) < ms;
  }
}
