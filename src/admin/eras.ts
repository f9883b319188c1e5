/** Which clients use which servers across the eras, counted while somebody watches. */
import type { EndedCall } from '../observe/calls.js';
import type { Link } from '../protocol/ports.js';
import { nameOfClient } from './callers.js';
import type { EraCell } from './schemas.js';

/** Pairs of clients and servers; more are not counted. */
const MOST = 500;

export class Eras {
  readonly #cells = new Map<string, EraCell>();
  /** The cells of one client by what it says about itself, and the links: so that a call needs no key of its own. */
  readonly #known = new Map<string, WeakMap<Link, EraCell>>();
  /** When counting began, in Unix milliseconds; undefined: it has not. */
  since: number | undefined;

  count({ from, target }: EndedCall): void {
    if (!from || !target) return;
    this.since ??= Date.now();
    const { link } = target;
    const { era, clientInfo } = from;
    let links = this.#known.get(clientInfo ?? '');
    if (!links) {
      if (this.#known.size >= MOST) this.#known.clear();
      this.#known.set(clientInfo ?? '', (links = new WeakMap<Link, EraCell>()));
    }
    let cell = links.get(link);
    if (cell?.client_era !== era || cell.server_era !== link.era) {
      cell = this.#cellOf(nameOfClient(clientInfo).name ?? 'unknown', era, link);
      if (!cell) return;
      links.set(link, cell);
    }
    if (era === link.era) cell.passed++;
    else if (era === 'modern') cell.parked++;
    else cell.unrolled++;
  }

  all(): EraCell[] {
    return [...this.#cells.values()].map((cell) => ({ ...cell }));
  }

  #cellOf(client: string, era: EraCell['client_era'], link: Link): EraCell | undefined {
    const key = JSON.stringify([client, era, link.server, link.era]);
    let cell = this.#cells.get(key);
    if (cell || this.#cells.size >= MOST) return cell;
    cell = {
      client,
      client_era: era,
      server: link.server,
      server_era: link.era,
      passed: 0,
      parked: 0,
      unrolled: 0,
    };
    this.#cells.set(key, cell);
    return cell;
  }
}
