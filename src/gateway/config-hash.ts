/** A hash of what should be the same in the configurations of all replicas. */
import { createHmac } from 'node:crypto';
import type { Config } from '../config/types.js';

const HASH_CHARACTERS = 22;

export class ConfigHash {
  readonly #config: () => Config;
  #known: { readonly of: Config; readonly hash: string } | undefined;

  constructor(config: () => Config) {
    this.#config = config;
  }

  /** 22 characters. `key`: nobody else can tell what is configured. */
  of(key: Buffer): string {
    const config = this.#config();
    if (this.#known?.of !== config) {
      const { servers, policy, profiles, limits, approvals } = config;
      const text = JSON.stringify({ servers, policy, profiles, limits, approvals }, (name, value: unknown) =>
        name === 'where' || name === 'place' ? undefined : value,
      );
      const hash = createHmac('sha256', key).update(text).digest('base64url').slice(0, HASH_CHARACTERS);
      this.#known = { of: config, hash };
    }
    return this.#known.hash;
  }
}
