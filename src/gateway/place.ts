/** What the two kinds of placement have in common: who runs a server, and the way to it. */
import type { Socket } from 'node:net';
import type { StdioServerConfig } from '../config/types.js';
import type { HostRole } from '../fleet/host-placement.js';
import type { LeaseRole } from '../fleet/leases.js';
import type { ChildLease } from '../protocol/child-lease.js';

/** Of this process, for one server: see HostRole and LeaseRole. */
export type PlaceRole = HostRole | LeaseRole;

export interface PlaceLease {
  start(): void;
  /** Opens a connection to the process that runs the server. Rejects with an Error, or with the reason of `signal`. */
  connect(signal: AbortSignal): Promise<Socket>;
  /** How long to wait after a connection failed, in ms. The process may have ended just now. */
  unreachable(): number;
  /** Lets another process run the server, as soon as that is safe. */
  release(): void;
  /** Resolves when no other process is connected. */
  left(): Promise<void>;
  /** Resolves when another process may run the server; absent: it may as soon as this process has ended. Never rejects. */
  released?(): Promise<void>;
  /** The last requests after a release have ended. */
  end(): void;
  close(): void;
  /** The right to run its children; absent: whoever is the holder may. */
  readonly children?: ChildLease;
}

/** A server under a configuration, before its lease is opened. */
export interface Placing {
  /** What the receiver is called in requests to the process that runs the server, and what else it may be called. */
  readonly to: string;
  readonly also: readonly string[];
  /** What is sent there is handled, or refused without doing anything, whatever the role of this process is. */
  readonly isAlwaysSelf: boolean;
  /** A new process must not start before the old one has ended. */
  readonly isSerial: boolean;
  /** For the log. */
  readonly where: string;
  open(changed: (role: PlaceRole) => void): PlaceLease;
}

export type PlaceOf = (config: StdioServerConfig) => Placing;

/** The part of a configuration that decides what a child does, besides its environment. */
export function childConfig({ command, args, cwd, revision, quirks, roots }: StdioServerConfig): object {
  return { command, args, cwd, revision, quirks, roots };
}

/** Pairs in an order that does not depend on how they were written. */
export function sortedEntries(environment: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(environment).sort(([a], [b]) => (a < b ? -1 : 1));
}
