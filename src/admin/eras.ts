/** Which clients use which servers across the eras, counted while somebody watches. */
import type { EndedCall } from '../observe/calls.js';
import { nameOfClient } from './callers.js';
import type { EraCell } from './schemas.js';

/** Pairs of clients and servers; more are not counted. */
const MOST = 500;

export class Eras {
  readonly #cells = new Map<string, EraCell>();
  /** When counting began, in Unix milliseconds; undefined: it has not. */
  since: number | undefined;

  count({ from, target }: EndedCall): void {
    if (!from || !target) return;
    this.since ??= Date.now();
    const { link } = target;
    const client = nameOfClient(from.clientInfo).name ?? 'unknown';
    const key = `${client}\0${from.era}\0${link.server}\0${link.era}`;
    let cell = this.#cells.get(key);
    if (!cell) {
      if (this.#cells.size >= MOST) return;
      cell = {
        client,
        client_era: from.era,
        server: link.server,
        server_era: link.era,
        passed: 0,
        parked: 0,
        unrolled: 0,
      };
      this.#cells.set(key, cell);
    }
    if (from.era === link.era) cell.passed++;
    else if (from.era === 'modern') cell.parked++;
    else cell.unrolled++;
  }

  all(): EraCell[] {
    return [...this.#cells.values()].map((cell) => ({ ...cell }));
  }
}
