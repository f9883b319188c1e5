/** Reads the lists of a server after it has connected, and again when they may have changed. Each reading is a health check as well. */
import type { ServerConfig } from '../../config/types.js';
import type { GatewayError } from '../../errors.js';
import { backoffMs } from '../../lib/backoff.js';
import type { ListKind } from '../../protocol/lists.js';
import type { Carrier } from '../calls/calls.js';
import type { Listen } from '../listen/listen.js';
import type { EraWatch } from './era-watch.js';
import { asGatewayError, retryAfterOf, troubleOf } from './failures.js';
import { lapseMs } from './freshness.js';
import type { Health } from './health.js';
import type { Inventory } from './inventory.js';
import type { ReadResult } from './kept-lists.js';
import { MAX_WAIT_MS } from './lifecycle.js';
import type { LinkCalls } from './link-calls.js';
import type { ListCache } from './list-cache.js';
import type { OwnRequests } from './own-requests.js';
import { createRefresh, type Reading, type Refresh } from './refresh.js';

/** How long the lists wait for the acknowledgement of the listen stream, in ms: changes after it are notified. */
export const LISTEN_FIRST_MS = 500;
/** The shortest wait before a list that could not be read is read again, in ms. */
const SHORTEST_RETRY_MS = 500;

export interface ListRefreshDeps {
  readonly config: () => ServerConfig;
  readonly calls: LinkCalls;
  readonly own: OwnRequests;
  readonly era: EraWatch;
  readonly health: Health;
  readonly inventory: Inventory;
  readonly listen: Listen;
  /** Where lists are kept for the next run. */
  readonly cache: ListCache | undefined;
  /** What calls are sent on; undefined: the link is not up. */
  readonly up: () => Carrier | undefined;
  /** These lists changed, or what the server says about itself: then `kinds` may be empty. */
  readonly changed: (kinds: readonly ListKind[]) => void;
  /** A reading failed because the server cannot be reached. */
  readonly failed: (error: GatewayError, retryAfterMs: number | undefined) => void;
}

export class ListRefresh {
  readonly #deps: ListRefreshDeps;
  readonly #refresh: Refresh;
  /** Readings in a row that left a list stale. */
  #staleReadings = 0;

  constructor(deps: ListRefreshDeps) {
    this.#deps = deps;
    const { calls, config, inventory, era } = deps;
    this.#refresh = createRefresh({
      boundary: calls.boundary,
      ttlMs: () => config().tools.ttl_seconds * 1000,
      hintMs: () => lapseMs([inventory.hints, era.hints]),
      read: (reading) => this.#readAll(reading),
      done: (error) => {
        this.#done(error);
      },
    });
  }

  /** When the next reading is due, on the monotonic clock. */
  get due(): number {
    return this.#refresh.due;
  }

  /**
   * Reads the lists over a new connection; resolves with the kinds that changed. Rejects where the server cannot be reached, or where
   * `check` throws: the connection was lost.
   */
  async first(carrier: Carrier, check: () => void): Promise<readonly ListKind[]> {
    const { inventory } = this.#deps;
    const read = await this.#read(carrier);
    check();
    const kinds = this.#take(read, true);
    inventory.outdateListsFor();
    return kinds;
  }

  /** The link is up, and the lists were read: begins the timer. */
  begin(): void {
    this.#refresh.schedule(true);
    this.#retryStale();
  }

  /** The interval of the configuration changed. */
  reschedule(): void {
    this.#refresh.schedule(false);
  }

  /** Reads now, or joins a reading that is running. Rejects where the server cannot be reached. */
  run(): Promise<void> {
    return this.#refresh.run();
  }

  /** As `run`, without the outcome. */
  now(): void {
    this.#refresh.now();
  }

  /** A list changed: reads soon, once for several notifications. */
  listChanged(): void {
    if (this.#deps.up()) this.#refresh.soon();
  }

  stop(): void {
    this.#refresh.stop();
  }

  #done(error: unknown): void {
    const { calls, era, failed, up } = this.#deps;
    const { log, observer, server } = calls;
    if (!up()) return this.#refresh.stop();
    observer.checked(error === undefined);
    if (error === undefined) {
      // The doubt arose while the lists were being read.
      if (era.suspect) this.#refresh.soon();
      this.#retryStale();
      return;
    }
    const failure = asGatewayError(error, server);
    if (troubleOf(error) === 'answer') {
      // A fault of the gateway, or an answer that is not a list: the connection is fine.
      log.warn('the lists could not be read', { server, error: calls.shown(failure).message });
      this.#refresh.schedule(false);
      return;
    }
    failed(failure, retryAfterOf(failure));
  }

  /** A list for fewer capabilities could not be read. */
  incomplete(): void {
    if (this.#deps.up() && !this.#refresh.isBusy) this.#retryStale();
  }

  /** Reads lists again that could not be read, less often after each failure. */
  #retryStale(): void {
    const { stale, listsFor } = this.#deps.inventory;
    const problems = [...stale.values(), ...(listsFor?.problems ?? [])];
    if (problems.length === 0) {
      this.#staleReadings = 0;
      return;
    }
    this.#staleReadings++;
    const { backoff_base_ms, backoff_max_ms } = this.#deps.config().reconnect;
    const requested = Math.max(...problems.map((error) => retryAfterOf(error) ?? 0));
    const backoff = backoffMs(this.#staleReadings, backoff_base_ms, backoff_max_ms);
    this.#refresh.again(Math.min(Math.max(backoff, requested, SHORTEST_RETRY_MS), MAX_WAIT_MS));
  }

  async #readAll({ notified, isRetry }: Reading): Promise<void> {
    const { inventory, up } = this.#deps;
    const carrier = up();
    if (!carrier) return;
    const isDescribedAnew = !isRetry && (await this.#discover(carrier));
    const wanted = isRetry ? [...inventory.stale.keys()] : undefined;
    const read = wanted?.length === 0 ? undefined : await this.#read(carrier, wanted);
    if (up() !== carrier) return;
    const kinds = read ? this.#take(read, false) : [];
    if (kinds.length > 0 || isDescribedAnew) this.#changed(kinds);
    const { listsFor } = inventory;
    if (!listsFor) return;
    const others = await listsFor.renew(
      notified || kinds.length > 0 ? 'all' : isRetry ? 'incomplete' : 'used',
    );
    if (up() === carrier && others.length > 0) this.#changed(others);
  }

  #read(carrier: Carrier, kinds?: readonly ListKind[]): Promise<ReadResult> {
    const { health, inventory, own } = this.#deps;
    return inventory.read({
      kinds,
      modern: carrier.modern !== undefined,
      request: (method, params) => own.request(carrier, method, params),
      ping: () => health.ping(carrier),
    });
  }

  #take(read: ReadResult, isFirst: boolean): readonly ListKind[] {
    const { cache, calls, config, inventory } = this.#deps;
    const wasStale = inventory.stale.size > 0;
    const kinds = inventory.take(read);
    const { peer, lists, stale } = inventory;
    if (cache && peer && stale.size === 0 && (kinds.length > 0 || isFirst || wasStale))
      calls.boundary.detach('link', cache.write(config(), peer, lists));
    return kinds;
  }

  #changed(kinds: readonly ListKind[]): void {
    const { calls, changed } = this.#deps;
    calls.log.info('lists changed', { server: calls.server, lists: kinds.join(' ') });
    changed(kinds);
  }

  /** Asks a modern server again what it says about itself, where that is due. Returns whether that is new. */
  async #discover(carrier: Carrier): Promise<boolean> {
    const { era, health, inventory, listen, up } = this.#deps;
    try {
      const peer = await era.check(carrier);
      if (!peer || up() !== carrier || !inventory.describedAs(peer)) return false;
    } catch (error) {
      if (troubleOf(error) !== 'silence') throw error;
      await health.ping(carrier);
      return false;
    }
    // It may notify other things now.
    listen.stop();
    await listen.start(LISTEN_FIRST_MS);
    return true;
  }
}
