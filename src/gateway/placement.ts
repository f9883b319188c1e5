/**
 * Servers that one process runs for several, and the way of the others to it. A process that does not run a server has a link to the one
 * that does, and sends it what is meant for that server alone. Which process that is: host-place.ts, fleet-place.ts.
 */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ANONYMOUS } from '../auth/authenticate.js';
import type { ServerConfig, StdioServerConfig } from '../config/types.js';
import { GatewayError } from '../errors.js';
import { Hop } from '../fleet/hop.js';
import type { FleetKeys } from '../fleet/keys.js';
import type { PeerHeaders } from '../fleet/peer-header.js';
import type { Boundary } from '../observe/boundary.js';
import type { Logger } from '../observe/log.js';
import type { FleetStats } from '../observe/stats.js';
import type { ChildLease } from '../protocol/child-lease.js';
import { PEER_HEADER } from '../protocol/elsewhere.js';
import type { NamedClient, PeerClients } from '../protocol/peer-clients.js';
import type { Found } from '../proxy/gate.js';
import type { PlaceLease, PlaceOf, PlaceRole, Placing } from './place.js';
import { placementOf, type PeerLinks } from './placed.js';

/** How long a request is held while it is not known which process runs its server. */
const HELD_MS = 8000;
/** Requests that are held at a time. */
const MAX_HELD = 1000;
/** The pause after a process that runs a server could not be reached. */
const AGAIN_MS = 500;

export interface PlacementDeps {
  readonly keys: FleetKeys;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly stats: FleetStats;
  readonly headers: () => PeerHeaders;
  readonly clients: PeerClients;
  /** Another process runs a server from now on, or this one does: links to it are made anew. `isLost`: this one may not run it any more. */
  readonly moved: (server: string, isLost: boolean) => void;
  readonly host: PlaceOf;
  readonly fleet: PlaceOf;
}

interface Place extends Placing {
  readonly server: string;
  readonly lease: PlaceLease;
  /** To the present holder. */
  hop: Hop;
  role: PlaceRole;
  /** It had a holder before. */
  wasGuest: boolean;
}

export class Placement implements PeerLinks {
  readonly #deps: PlacementDeps;
  readonly #places = new Map<string, Place>();
  /** Those of an older configuration, until their last requests have ended. */
  readonly #retired = new Map<Place, NodeJS.Timeout>();
  /** Leases of places that are gone, whose children have not ended. */
  readonly #leaving = new Set<PlaceLease>();
  /** Called when the role of any place changes. */
  readonly #waiting = new Set<() => void>();
  #held = 0;
  #isOver = false;

  constructor(deps: PlacementDeps) {
    this.#deps = deps;
  }

  /** Whether another process may run the server: begins to find out, if it has not. */
  isElsewhere(config: ServerConfig): boolean {
    const { name } = config;
    const kind = placementOf(config);
    if (this.#isOver || config.kind !== 'stdio' || kind === undefined) {
      // A link that is made is one to the server itself.
      if (config.kind === 'stdio') this.remove(name);
      return false;
    }
    const placing = this.#deps[kind](config);
    let place = this.#places.get(name);
    if (place?.to !== placing.to) {
      this.remove(name, config.drain_seconds * 1000);
      place = this.#open(config, placing);
    }
    return place.role === 'guest' || place.role === 'seeking';
  }

  /** The server was removed, or is placed otherwise. Requests of others that run go on for `graceMs`. */
  remove(server: string, graceMs = 0): void {
    const place = this.#places.get(server);
    if (!place) return;
    this.#places.delete(server);
    this.#deps.stats.leases.delete(server);
    place.lease.release();
    const end = this.#deps.boundary.guard('timer', () => {
      this.#retired.delete(place);
      this.#end(place);
    });
    this.#retired.set(place, setTimeout(end, graceMs).unref());
    this.#tell();
  }

  /** Whether this process runs the server, if it is placed. */
  runs(server: string): boolean {
    const role = this.#places.get(server)?.role;
    // What comes while it is paused waits in front of the child.
    return role === undefined || role === 'holder' || role === 'paused' || role === 'alone';
  }

  /** The right to run the children of a server; undefined: this process may, if it runs the server at all. */
  leaseOf(server: string): ChildLease | undefined {
    return this.#places.get(server)?.lease.children;
  }

  /** Whether another process runs the server. */
  isGuest(server: string): boolean {
    return this.#places.get(server)?.role === 'guest';
  }

  /** See Replicas. */
  placed(server: string): string | undefined | Promise<string | undefined | GatewayError> {
    const place = this.#places.get(server);
    if (place?.role === 'guest') return place.to;
    return isOpen(place) ? this.#whenPlaced(server) : undefined;
  }

  /** Where a request for a server goes after the process that was named could not be reached. Never rejects. */
  async next(server: string | undefined): Promise<Found> {
    if (server === undefined) return undefined;
    const role = this.#places.get(server)?.role;
    // This process handles it: there is nothing to wait for.
    if (role === undefined || role === 'holder' || role === 'alone') return undefined;
    const waiting = new AbortController();
    await Promise.race([this.#change(waiting.signal), sleep(AGAIN_MS, undefined, waiting)]).catch(
      () => undefined,
    );
    waiting.abort();
    const there = await this.placed(server);
    return typeof there === 'string' ? { kind: 'replica', replica: there } : there;
  }

  /** The way to the process that runs a server; undefined: the name is not one of ours. */
  hop(to: string): Hop | undefined {
    for (const place of this.#places.values()) if (place.to === to) return place.hop;
    return undefined;
  }

  /** Whether what is sent to this name is meant for this process. */
  isSelf(to: string): boolean {
    for (const place of [...this.#places.values(), ...this.#retired.keys()])
      if (place.to === to || place.also.includes(to)) return place.isAlwaysSelf || place.role === 'holder';
    return false;
  }

  /**
   * Lets other processes run the servers: at once where two may run for a moment, otherwise as soon as the own one has ended. Requests of
   * others that run go on.
   */
  release(): void {
    for (const { lease, isSerial } of this.#places.values()) if (!isSerial || lease.released) lease.release();
  }

  /** Resolves when no other process is connected to a server that was released, at the latest after `limitMs`. */
  async left(limitMs: number): Promise<void> {
    const places = [...this.#places.values(), ...this.#retired.keys()].filter(({ isSerial }) => !isSerial);
    const waiting = new AbortController();
    const late = sleep(limitMs, undefined, waiting).catch(() => undefined);
    await Promise.race([Promise.all(places.map(({ lease }) => lease.left())), late]);
    waiting.abort();
  }

  /** Resolves when other processes may run all servers that this one ran for the whole fleet, at the latest after `limitMs`. */
  async released(limitMs: number): Promise<void> {
    const waiting = new AbortController();
    const late = sleep(limitMs, undefined, waiting).catch(() => undefined);
    const places = [...this.#places.values(), ...this.#retired.keys()];
    const leases = [...places.map(({ lease }) => lease), ...this.#leaving];
    await Promise.race([Promise.all(leases.map(async (lease) => lease.released?.())), late]);
    waiting.abort();
  }

  close(): void {
    this.#isOver = true;
    for (const [place, timer] of this.#retired) {
      clearTimeout(timer);
      this.#close(place);
    }
    for (const place of this.#places.values()) this.#close(place);
    for (const lease of this.#leaving) lease.close();
    this.#retired.clear();
    this.#places.clear();
    this.#tell();
  }

  // PeerLinks

  client(_server: string, caller: NamedClient): string {
    return this.#deps.clients.name(caller);
  }

  headers(server: string, { principal }: NamedClient): readonly string[] {
    const place = this.#places.get(server);
    if (!place) return [];
    return [PEER_HEADER, this.#deps.headers().make(place.to, principal, undefined, true)];
  }

  own(server: string): readonly string[] {
    return this.headers(server, NOBODY);
  }

  /** Rejects with the reason of `signal`, or because this process runs a server of its own. */
  async connect(server: string, signal: AbortSignal): Promise<Socket> {
    for (;;) {
      signal.throwIfAborted();
      const place = this.#places.get(server);
      if (!place || place.role === 'alone')
        throw new Error('this replica runs a server of its own from now on');
      if (isOpen(place)) {
        await this.#change(signal);
        continue;
      }
      try {
        // It may lead to this process by now: a late request of the old link waits for the new one there.
        return await place.lease.connect(signal);
      } catch (error) {
        signal.throwIfAborted();
        this.#deps.log.debug('no connection to the process that runs a server', {
          server,
          error: error instanceof Error ? error.message : String(error),
        });
        await sleep(place.lease.unreachable(), undefined, { signal });
      }
    }
  }

  #open({ name: server }: StdioServerConfig, placing: Placing): Place {
    const { boundary, stats } = this.#deps;
    const lease = placing.open(
      boundary.guard('detached', (role: PlaceRole) => {
        this.#became(place, role);
      }),
    );
    const hop = this.#hopTo(server);
    const place: Place = { ...placing, ...{ server, lease, hop, role: 'seeking', wasGuest: false } };
    this.#places.set(server, place);
    stats.leases.set(server, false);
    lease.start();
    return place;
  }

  #hopTo(server: string): Hop {
    const { keys, boundary } = this.#deps;
    return new Hop('placed', {
      ...{ keys, secure: false },
      caught: (thrown) => void boundary.caught('detached', thrown),
      connect: (signal) => this.connect(server, signal),
    });
  }

  #became(place: Place, role: PlaceRole): void {
    const { server, where, role: before } = place;
    place.role = role;
    if (this.#places.get(server) !== place) return;
    const { stats, log, moved } = this.#deps;
    stats.leases.set(server, role === 'holder');
    const had = before === 'holder' || before === 'paused';
    const isLost = had && (role === 'seeking' || role === 'guest');
    if (role === 'guest') log.info(`another process of ${where} runs a server`, { server });
    else if (role === 'holder' && !had)
      log.info(`this process runs a server for all of ${where}`, { server });
    const isNews = (role === 'holder' && !had) || role === 'alone' || (role === 'guest' && place.wasGuest);
    // The link that waits for the first holder is already on its way to it.
    if (isLost || isNews) moved(server, isLost);
    if (role !== 'seeking' && place.wasGuest) {
      // What is kept open to the last holder would hold it up where it shuts down.
      place.hop.close();
      place.hop = this.#hopTo(server);
    }
    place.wasGuest ||= role === 'guest';
    this.#tell();
  }

  #end({ lease, hop }: Place): void {
    lease.end();
    hop.destroy();
    const released = lease.released?.();
    if (!released) return;
    this.#leaving.add(lease);
    void released.then(() => this.#leaving.delete(lease));
  }

  #close(place: Place): void {
    place.lease.close();
    place.hop.destroy();
  }

  #tell(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const each of waiting) each();
  }

  /** Resolves when a role changes; rejects with the reason of `signal`. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const changed = (): void => {
        signal.removeEventListener('abort', aborted);
        resolve();
      };
      const aborted = (): void => {
        this.#waiting.delete(changed);
        reject(signal.reason as Error);
      };
      if (signal.aborted) return void reject(signal.reason as Error);
      signal.addEventListener('abort', aborted, { once: true });
      this.#waiting.add(changed);
    });
  }

  async #whenPlaced(server: string): Promise<string | undefined | GatewayError> {
    if (this.#held >= MAX_HELD) return unknown(server);
    this.#held++;
    const signal = AbortSignal.timeout(HELD_MS);
    try {
      while (isOpen(this.#places.get(server))) await this.#change(signal);
    } catch {
      return unknown(server);
    } finally {
      this.#held--;
    }
    const place = this.#places.get(server);
    return place?.role === 'guest' ? place.to : undefined;
  }
}

function unknown(server: string): GatewayError {
  return new GatewayError(
    'unavailable',
    `the process that runs the server '${server}' is not known yet: try again`,
  );
}

/** Who the requests of a link itself are of. */
const NOBODY: NamedClient = { client: '', alone: false, era: 'modern', principal: ANONYMOUS };

/** Whether it is not known which process runs the server, or whether it may. */
function isOpen(place: Place | undefined): boolean {
  return place?.role === 'seeking' || place?.role === 'paused';
}
