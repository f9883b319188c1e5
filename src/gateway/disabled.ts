/** Servers that the configuration disables, and since when. */
import type { DisabledFacts } from '../admin/source.js';
import { statusOfDisabled } from '../admin/status.js';
import type { Config } from '../config/types.js';

export class DisabledServers {
  /** By name, in Unix milliseconds. */
  #since = new Map<string, number>();
  #config: Config | undefined;

  /** A configuration is in force from now on. */
  use(config: Config): void {
    const now = Date.now();
    this.#since = new Map(config.disabled.map(({ name }) => [name, this.#since.get(name) ?? now]));
    this.#config = config;
  }

  all(): DisabledFacts[] {
    return (this.#config?.disabled ?? []).map((config) => ({
      config,
      status: statusOfDisabled(config.name, this.#since.get(config.name) as number),
    }));
  }
}
