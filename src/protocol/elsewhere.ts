/** Requests that another replica has to handle, and what replicas say to each other about them. */
import { randomBytes } from 'node:crypto';
import type { Principal, ShownToken } from './principal.js';

/** The identity of a replica, of one run of it: 10 hexadecimal digits. */
export function makeReplicaId(): string {
  return randomBytes(5).toString('hex');
}

/**
 * Where a request has to be handled. `replica`: in that one, which it is sent to. The other two answer a replica that has sent it here:
 * `moved`: not here, but there, if that is known; `handed`: the session is the asker's from now on, `record` is what it needs.
 */
export type Elsewhere =
  | { readonly kind: 'replica'; readonly replica: string }
  | { readonly kind: 'moved'; readonly to: string | undefined }
  | { readonly kind: 'handed'; readonly record: Buffer };

/** A request that came from another replica, which has authenticated its client. */
export interface FromPeer {
  readonly replica: string;
  /** It opens the server-to-client stream of a session anew, so that its session had better be in that replica. */
  readonly listens: boolean;
}

export function isElsewhere(found: object | undefined): found is Elsewhere {
  return found !== undefined && 'kind' in found && !(found instanceof Error);
}

/** The header that says who asks (fleet/peer-header.ts), and the one with the address of the client, in lower case. */
export const PEER_HEADER = 'mcpstead-peer';
export const CLIENT_HEADER = 'mcpstead-client';
/** Headers of an answer that says where a request belongs: to whom its session went, or that the body is the session. */
export const MOVED_HEADER = 'mcpstead-moved';
export const HANDED_HEADER = 'mcpstead-handed';
/** Where a replica says which one it is. */
export const PEER_PATH = '/-/peer';

/** Who sent a request to the port for replicas. */
export interface Introduced {
  /** The replica that sent it. */
  readonly from: string;
  /** What it calls this replica: its identity, or a name of a placed server. */
  readonly to?: string;
  readonly principal: Principal;
  /** Headers of the client that servers get: values by name. */
  readonly headers: Readonly<Record<string, string>>;
  /** The token that the principal has shown, where a server gets one in exchange for it. */
  readonly token?: ShownToken;
  /** It is a request of a link to a server that this replica runs for the sender, which has judged and counted it. */
  readonly link?: true;
}

/** A request that goes to another replica. */
export interface HopRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Names and values in turn. */
  readonly headers: string[];
  readonly body: Buffer | null;
}

export interface HopController {
  /** Goes on after `data` returned false. */
  resume(): void;
}

/** Gets an answer. Exactly one of `said`, `end` and `failed` is called, and nothing after it. */
export interface HopHandler {
  /** The answer begins. `headers`: names and values in turn. */
  head(status: number, headers: readonly string[], controller: HopController): void;
  /** Returns false if it can take no more for now. */
  data(chunk: Buffer): boolean;
  end(): void;
  /** 421: the replica did nothing. `to`: the one that it gave the session to; `record`: it gives it to this one. */
  said(answer: { readonly to?: string | undefined; readonly record?: Buffer | undefined }): void;
  /** `sent`: the replica may have got the request. `begun`: the answer had begun. */
  failed(sent: boolean, begun: boolean): void;
}

/** Replicas that did not do a request: one knows nothing of the session, or cannot be reached. */
export type Declined = Map<string, 'unknown' | 'unreachable'>;
