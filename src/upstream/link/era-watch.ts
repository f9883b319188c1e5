/** What is known about the era of a server, and when that is checked (2026-07-28, basic/versioning). */
import { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import type { Peer } from '../../protocol/ports.js';
import type { Era } from '../../protocol/revisions.js';
import type { Carrier } from '../calls/calls.js';
import { settled, type Dialled, type Known } from './dialled.js';
import { Hints } from './freshness.js';
import type { OwnRequests } from './own-requests.js';
import { troubleOf } from './failures.js';
import { DISCOVER, judgeProbe, type Probed, type Verdict } from './probe.js';

/** The shortest time between two doubts, in ms. */
const DOUBT_MS = 30_000;
/** Factor for the time that a child has which answered the probe late once. */
const PATIENCE = 4;

export interface EraWatchDeps {
  readonly server: string;
  readonly log: Logger;
  readonly own: OwnRequests;
  /** Whether the era is kept for the next attempt: over HTTP it is, a new child may be another program. */
  readonly keeps: boolean;
  /** The era that is tried first if nothing is known. */
  readonly prefers: () => Era;
  /** Probes the server beside the connection that is up. */
  readonly probe: () => Promise<Verdict>;
}

export class EraWatch {
  readonly #deps: EraWatchDeps;
  #known: Known | undefined;
  #patience = 1;
  #outgrown = false;
  #suspect = false;
  /** The server accepted `initialize`, but did not say which revisions it speaks. */
  #unsure = false;
  #doubted = -Infinity;
  #hints: Hints | undefined;

  constructor(deps: EraWatchDeps) {
    this.#deps = deps;
  }

  /** What the next attempt begins with. */
  get known(): Known | undefined {
    if (this.#known) return this.#known;
    return this.#deps.prefers() === 'legacy' ? { era: 'legacy', sse: false } : undefined;
  }

  /** Factor for the configured time that a child has to answer the probe. */
  get patience(): number {
    return this.#patience;
  }

  /** The era is in doubt: checked at the next refresh. */
  get suspect(): boolean {
    return this.#suspect;
  }

  /** The caching hints of the answer to server/discover; undefined: there was none. */
  get hints(): Hints | undefined {
    return this.#hints;
  }

  dialled({ known, discovered }: Dialled): void {
    this.#known = this.#deps.keeps ? known : undefined;
    this.#unsure = known === undefined;
    this.#suspect = false;
    this.#noteHints(discovered);
  }

  /** The server does not answer as one of its era does. Returns whether it should be checked now. */
  doubt(): boolean {
    const now = performance.now();
    if (now - this.#doubted < DOUBT_MS) return false;
    this.#doubted = now;
    this.#known = undefined;
    this.#suspect = true;
    this.#deps.log.info('the upstream does not answer as one of its era: finding out its era again', {
      server: this.#deps.server,
    });
    return true;
  }

  /** A child that is used as a legacy server answered the probe late. */
  late(): void {
    if (this.#patience > 1) return;
    this.#patience = PATIENCE;
    this.#outgrown = true;
  }

  /** Returns true, once, if the child should be started again: then it has more time to answer the probe. */
  outgrown(): boolean {
    const was = this.#outgrown;
    this.#outgrown = false;
    return was;
  }

  /**
   * Asks a modern server what it says about itself, if that is stale or in doubt. undefined: not asked, or not a usable answer; what is
   * known still counts. Rejects if the server cannot be reached, or if its era or revision has changed.
   */
  async check(carrier: Carrier): Promise<Peer | undefined> {
    const { modern } = carrier;
    if (this.#unsure) await this.#probeAgain();
    const isSuspect = this.#suspect;
    this.#suspect = false;
    if (modern === undefined || !(isSuspect || (this.#hints?.stale() ?? true))) return undefined;
    const { server, log, own, keeps } = this.#deps;
    const probed = await settled(own.open(carrier, DISCOVER, undefined));
    const verdict = judgeProbe(probed, modern, server);
    const trouble = probed.type === 'error' ? troubleOf(probed.error) : 'answer';
    if (trouble !== 'answer') throw (probed as Probed & { type: 'error' }).error;
    if (verdict.era === 'none' || (verdict.era === 'legacy' && verdict.offer === undefined && !isSuspect)) {
      log.debug('server/discover: nothing new', { server });
      // Still in doubt: checked again at the next refresh.
      this.#suspect = isSuspect;
      return undefined;
    }
    if (verdict.era === 'legacy' || 'retry' in verdict || verdict.peer.revision !== modern) {
      this.#known = undefined;
      throw new GatewayError(
        'upstream_disconnected',
        `upstream '${server}' does not speak the revision ${modern} any more: connecting again`,
      );
    }
    this.#known = keeps ? { era: 'modern' } : undefined;
    this.#noteHints(probed.type === 'result' ? probed.value : undefined);
    return verdict.peer;
  }

  async #probeAgain(): Promise<void> {
    const { server, probe } = this.#deps;
    const verdict = await probe();
    if (verdict.era === 'none') return;
    this.#unsure = false;
    if (verdict.era === 'modern')
      throw new GatewayError(
        'upstream_disconnected',
        `upstream '${server}' now speaks a modern revision: connecting again`,
      );
    this.#known = { era: 'legacy', sse: false };
  }

  #noteHints(discovered: Buffer | undefined): void {
    this.#hints = undefined;
    if (!discovered) return;
    this.#hints = new Hints();
    this.#hints.note(discovered);
  }
}

export function samePeer(a: Peer, b: Peer): boolean {
  return (
    a.instructions === b.instructions &&
    a.serverInfo.equals(b.serverInfo) &&
    JSON.stringify(a.capabilities) === JSON.stringify(b.capabilities)
  );
}
