/** Bounds the bytes that a client makes the gateway keep for a session or stream: per owner, and from the shared budget. */
import { GatewayError } from '../errors.js';
import type { Budget, Holder } from '../lib/budget.js';

/** Longest URI, task id or token that is kept for a client, in bytes. */
export const MAX_KEPT = 2048;
/** Bytes that are kept for one session or stream, at the most. */
export const MAX_KEPT_IN_ALL = 262_144;

/** A session, which has an id, or a stream. */
type Keeper = object;

export interface Kept {
  /** Reserves bytes; undefined: reserved. `inAll`: the owner's bound; undefined: bounded elsewhere. */
  hold(owner: Keeper, bytes: number, inAll: number | undefined): GatewayError | undefined;
  give(owner: Keeper, bytes: number): void;
  /** Its session or stream has ended. */
  drop(owner: Keeper): void;
}

/** `evicted`: the owner is ended to free memory. */
export function createKept(budget: Budget, evicted: (owner: Keeper) => void): Kept {
  const holders = new Map<Keeper, Holder>();

  return {
    hold(owner, bytes, inAll) {
      let holder = holders.get(owner);
      if (!holder) {
        const evict = (): void => {
          holders.delete(owner);
          evicted(owner);
        };
        holders.set(
          owner,
          (holder = budget.holder(
            { client: 'id' in owner && typeof owner.id === 'string' ? owner.id : owner },
            evict,
          )),
        );
      }
      if (inAll !== undefined && holder.held + bytes > inAll)
        return new GatewayError('invalid_params', `at most ${inAll} bytes of names are kept for one client`);
      if (holder.take(bytes)) return undefined;
      if (holder.held === 0) holders.delete(owner);
      return new GatewayError('unavailable', 'too much is being buffered (limits.buffered_bytes)');
    },
    give(owner, bytes) {
      holders.get(owner)?.give(bytes);
    },
    drop(owner) {
      holders.get(owner)?.release();
      holders.delete(owner);
    },
  };
}

/** The error for a name that is too long to be kept; undefined: it is not. */
export function tooLong(what: string, bytes: number): GatewayError | undefined {
  if (bytes <= MAX_KEPT) return undefined;
  return new GatewayError('invalid_params', `${what} of ${bytes} bytes: at most ${MAX_KEPT} are kept`);
}
