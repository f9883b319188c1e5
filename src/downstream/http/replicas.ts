/** What the port needs of the other replicas of a fleet. */
import type { IncomingMessage } from 'node:http';
import type { GatewayError } from '../../errors.js';
import type { Declined, HopHandler, HopRequest, Introduced } from '../../protocol/elsewhere.js';
import type { Found, FoundSession, Origin } from '../../proxy/gate.js';

export interface LiveReplica {
  readonly id: string;
  readonly name: string;
}

export interface Replicas {
  /** The identity of this replica. */
  readonly self: string;
  /** An id for a stream, which leads to this replica. */
  makeId(): string;
  /** The other live replica that a session or a stream was opened in; undefined: none. */
  homeOf(id: string): string | undefined;
  /** The live replica that holds the call of a `requestState`, also this one; undefined: none does, or any can go on with it. */
  ownerOf(state: string): string | undefined;
  /** The live replica that has a task, which may be this one; undefined: none has. */
  homeOfTask(id: string, origin: Origin): string | undefined;
  /** The other replica that has the links of a modern client, or will; undefined: this one. */
  homeOfClient(client: string): string | undefined;
  /** Another replica where a server is up, in this era if one is given; undefined: there is none. */
  whereUp(server: string, era?: 'modern'): string | undefined;
  /** This replica shuts down: what needs no session goes to others. */
  readonly isLeaving: boolean;
  /** Another replica that takes new sessions; undefined: there is none. */
  another(): string | undefined;
  /** Who sent a request to the port for replicas; undefined: no replica of this fleet. */
  introduced(req: IncomingMessage): Introduced | undefined;
  /** The live replicas, this one first. */
  live(): readonly LiveReplica[];
  /** Whether this replica may serve the links of others to a server; absent: it serves them all. */
  runs?(server: string): boolean;
  /**
   * Where a request is sent, whole, that opens something on the route of one server: to the replica that runs the server. undefined: here. A
   * promise, which never rejects, while that is not known; with an error if it stays so. Absent: here.
   */
  placed?(server: string): string | undefined | Promise<string | undefined | GatewayError>;
  /** The headers that introduce the client of an origin. */
  introduce(to: string, origin: Pick<Origin, 'principal' | 'remote' | 'headers'>): string[];
  /** Sends a request. Returns a function that ends the exchange. undefined: the address of the replica is not known. */
  send(to: string, request: HopRequest, handler: HopHandler): (() => void) | undefined;
  /** A replica gave a session to another one. */
  learn(id: string, owner: string): void;
  /** Where a session is, after some replicas did not do its request. Never rejects. */
  next(origin: Origin, declined: Declined): Promise<Found>;
  /** Goes on with a session that a replica gives to this one. */
  takeOver(origin: Origin, record: Buffer): FoundSession;
  /** Counts what became of a forwarded request. */
  count(result: 'answered' | 'moved' | 'refused' | 'lost'): void;
}
