/** Requests that another replica has to handle, and what replicas say to each other about them. */
import { randomBytes } from 'node:crypto';

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
