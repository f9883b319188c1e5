/**
 * Which replica has the links of a modern client, which has no session that leads there: the one with the highest hash of both (rendezvous
 * hashing), so that a replica that comes or goes moves only its share of the clients.
 */
import { createHash } from 'node:crypto';

/** Clients that are remembered, at the most. */
const MOST = 10_000;

export class ClientHomes {
  /** The replicas that the remembered homes were chosen from. */
  #among = '';
  readonly #homes = new Map<string, string>();

  /** undefined: there is no replica to choose. */
  homeOf(client: string, replicas: readonly string[]): string | undefined {
    const among = [...replicas].sort().join();
    if (among !== this.#among || this.#homes.size >= MOST) this.#homes.clear();
    this.#among = among;
    const hidden = createHash('sha256').update(client).digest('base64url');
    let home = this.#homes.get(hidden);
    if (home !== undefined) return home;
    let highest = '';
    for (const replica of replicas) {
      const score = createHash('sha256').update(`${replica}\0${hidden}`).digest('hex');
      if (score > highest) [highest, home] = [score, replica];
    }
    if (home !== undefined) this.#homes.set(hidden, home);
    return home;
  }
}
