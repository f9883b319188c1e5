/** What is known of the era of one upstream, and when that is found out again (2026-07-28, basic/versioning). */
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

/** An upstream is not asked for its era again before, however often it proves wrong. */
const DOUBT_MS = 30_000;
/** How much longer a child may keep silent that answered late once. */
const PATIENCE = 4;

export interface EraWatchDeps {
  readonly server: string;
  readonly log: Logger;
  readonly own: OwnRequests;
  /** What a dial found out holds for the next one: over HTTP it does, another child may be another server. */
  readonly keeps: boolean;
  /** The era to try first where nothing is known. */
  readonly prefers: () => Era;
  /** Asks it apart from what is going on. */
  readonly probe: () => Promise<Verdict>;
}

export class EraWatch {
  readonly #deps: EraWatchDeps;
  #known: Known | undefined;
  #patience = 1;
  #outgrown = false;
  #suspect = false;
  /** It took `initialize`, but did not say what it speaks. */
  #unsure = false;
  #doubted = -Infinity;
  #hints: Hints | undefined;

  constructor(deps: EraWatchDeps) {
    this.#deps = deps;
  }

  /** What the next dial begins with. */
  get known(): Known | undefined {
    if (this.#known) return this.#known;
    return this.#deps.prefers() === 'legacy' ? { era: 'legacy', sse: false } : undefined;
  }

  /** How many times as long as configured a child may keep silent. */
  get patience(): number {
    return this.#patience;
  }

  /** It is to be asked at the next refresh. */
  get suspect(): boolean {
    return this.#suspect;
  }

  /** The hints of its answer to server/discover; undefined: there was none. */
  get hints(): Hints | undefined {
    return this.#hints;
  }

  dialled({ known, discovered }: Dialled): void {
    this.#known = this.#deps.keeps ? known : undefined;
    this.#unsure = known === undefined;
    this.#suspect = false;
    this.#noted(discovered);
  }

  /** It does not answer as one of its era. true: it is worth asking now. */
  doubt(): boolean {
    const now = performance.now();
    if (now - this.#doubted < DOUBT_MS) return false;
    this.#doubted = now;
    this.#known = undefined;
    this.#suspect = true;
    this.#deps.log.info('the upstream does not answer as one of its era: finding that out again', {
      server: this.#deps.server,
    });
    return true;
  }

  /** A child that is spoken to in the legacy era answered the probe after all. */
  late(): void {
    if (this.#patience > 1) return;
    this.#patience = PATIENCE;
    this.#outgrown = true;
  }

  /** true, once: the child is to be left for another one, which has more time to say that it is of the modern era. */
  outgrown(): boolean {
    const was = this.#outgrown;
    this.#outgrown = false;
    return was;
  }

  /**
   * What a modern upstream says of itself, asked for where that is stale or in doubt. undefined: there was nothing to ask, or it answered
   * with something else: what it said before stands. Rejects where there is no way to it, or where it is no longer what it was.
   */
  async again(carrier: Carrier): Promise<Peer | undefined> {
    const { modern } = carrier;
    if (this.#unsure) await this.#askAgain();
    const isSuspect = this.#suspect;
    this.#suspect = false;
    if (modern === undefined || !(isSuspect || (this.#hints?.stale() ?? true))) return undefined;
    const { server, log, own, keeps } = this.#deps;
    const probed = await settled(own.open(carrier, DISCOVER, undefined));
    const verdict = judgeProbe(probed, modern, server);
    const trouble = probed.type === 'error' ? troubleOf(probed.error) : 'answer';
    if (trouble !== 'answer') throw (probed as Probed & { type: 'error' }).error;
    if (verdict.era === 'none' || (verdict.era === 'legacy' && verdict.offer === undefined && !isSuspect)) {
      log.debug('server/discover brought nothing new', { server });
      // Still in doubt: it is asked again at the next refresh.
      this.#suspect = isSuspect;
      return undefined;
    }
    if (verdict.era === 'legacy' || 'retry' in verdict || verdict.peer.revision !== modern) {
      this.#known = undefined;
      throw new GatewayError(
        'upstream_disconnected',
        `upstream '${server}' speaks the revision ${modern} no more: connecting again`,
      );
    }
    this.#known = keeps ? { era: 'modern' } : undefined;
    this.#noted(probed.type === 'result' ? probed.value : undefined);
    return verdict.peer;
  }

  async #askAgain(): Promise<void> {
    const { server, probe } = this.#deps;
    const verdict = await probe();
    if (verdict.era === 'none') return;
    this.#unsure = false;
    if (verdict.era === 'modern')
      throw new GatewayError(
        'upstream_disconnected',
        `upstream '${server}' says now that it speaks a modern revision: connecting again`,
      );
    this.#known = { era: 'legacy', sse: false };
  }

  #noted(discovered: Buffer | undefined): void {
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
