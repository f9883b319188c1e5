/**
 * Everything that one link writes to the metrics of its server. Several links may serve one server: the shared one, those of single
 * clients, the legacy one beside a modern one. Their counters add up; the gauges show the shared link alone.
 */
import type { Outcome, ServerStats, SessionResetReason } from '../../observe/stats.js';
import type { Peer } from '../../protocol/ports.js';

export class LinkObserver {
  readonly #stats: ServerStats;
  /** Whether the gauges of the server show this link. */
  readonly #isShown: boolean;

  constructor(stats: ServerStats, isShown: boolean) {
    this.#stats = stats;
    this.#isShown = isShown;
  }

  sent(bytes: number): void {
    this.#stats.bytesSent += bytes;
  }

  received(bytes: number): void {
    this.#stats.bytesReceived += bytes;
  }

  /** The server sent something. */
  seen(): void {
    if (this.#isShown) this.#stats.lastSeen = Date.now() / 1000;
  }

  /** A message of the server was dropped: unreadable, or too large. */
  dropped(): void {
    this.#stats.unreadable++;
  }

  /** `since`: when the attempt began, as `performance.now()` has it. */
  initialized(result: Outcome, since: number): void {
    this.#stats.initialize.add(result);
    this.#stats.initializeDuration.observe((performance.now() - since) / 1000);
  }

  reconnected(result: Outcome): void {
    this.#stats.reconnectAttempts.add(result);
  }

  checked(isHealthy: boolean): void {
    this.#stats.healthChecks.add(isHealthy ? 'success' : 'failure');
  }

  sessionReset(reason: SessionResetReason): void {
    this.#stats.sessionResets.add(reason);
  }

  up({ era, revision }: Peer, tools: number): void {
    if (!this.#isShown) return;
    const stats = this.#stats;
    stats.connected = true;
    stats.era = era;
    stats.revision = revision;
    stats.toolsCount = tools;
    this.seen();
  }

  down(): void {
    this.#stats.reconnects++;
    if (this.#isShown) this.#stats.connected = false;
  }

  /** The wait before the next attempt begins. */
  waits(ms: number): void {
    if (!this.#isShown) return;
    this.#stats.inBackoff = true;
    this.#stats.currentBackoffSeconds = ms / 1000;
  }

  /** That wait is over, or was given up. `ms`: the part of it that counts as waited. */
  waited(ms: number): void {
    this.#stats.backoffSeconds += ms / 1000;
    if (!this.#isShown) return;
    this.#stats.inBackoff = false;
    this.#stats.currentBackoffSeconds = 0;
  }

  listsRead(result: Outcome, since: number): void {
    const stats = this.#stats;
    if (result === 'success' && this.#isShown) stats.toolsLastRefresh = Date.now() / 1000;
    stats.toolsRefresh.add(result);
    stats.toolsRefreshDuration.observe((performance.now() - since) / 1000);
  }

  lists(tools: number): void {
    if (this.#isShown) this.#stats.toolsCount = tools;
  }
}
