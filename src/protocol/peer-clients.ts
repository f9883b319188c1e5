/**
 * What a link between two replicas adds to the protocol: who the client of a request is, so that the replica with the server can tell the
 * clients of the other one apart, and errors of a client as answers to questions, which 2026-07-28 has no form for.
 */
import type { Socket } from 'node:net';
import type { Principal } from './principal.js';
import type { Era } from './revisions.js';

/** The member of `_meta` that names the client of a request. Only the first one counts. */
export const PEER_CLIENT = 'mcpstead/client';
/** The member of `_meta` of an `input_required` result: `inputResponses` may have an error, `{"error": {...}}`, in place of a result. */
export const TAKES_ERRORS = 'mcpstead/errors';

/** What is named of a client: see Caller. */
export interface NamedClient {
  readonly client: string;
  readonly alone: boolean;
  readonly era: Era;
  readonly principal: Principal;
}

/** A client of another replica. */
export interface PeerClient {
  /** See Caller.client. Equal on all replicas for one client, and on this one different from those of its own clients. */
  readonly client: string;
  /** See Caller.alone. */
  readonly alone: boolean;
  readonly era: Era;
}

/** Names clients to other replicas, and reads what these have named. */
export interface PeerClients {
  /** An opaque text, at most 64 characters of base64url and dots. */
  name(caller: NamedClient): string;
  /** undefined: no replica of this fleet has named a client of this principal so. */
  read(text: string, principal: string): PeerClient | undefined;
}

/** A link to another replica, which runs the server for this one. */
export interface PeerLink {
  /** The name of a client there. */
  client(caller: NamedClient): string;
  /** The headers that introduce a client there: names in lower case and values, a flat list. */
  headers(caller: NamedClient): readonly string[];
  /** The same for requests of this replica itself; absent: the link needs none. */
  own?(): readonly string[];
  /** Opens a connection to the replica; absent: the URL of the server leads there. Rejects with the reason of `signal`. */
  connect?(signal: AbortSignal): Promise<Socket>;
}
