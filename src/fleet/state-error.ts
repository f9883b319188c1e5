/** Errors of the store, as those who use the state see them. */
import { StateError } from '../state/sealed.js';
import { StoreError } from './store-error.js';

/** The store is away, or refuses: what is known is used meanwhile. */
export function isAway(error: unknown): boolean {
  return error instanceof StoreError;
}

export function stateError(error: unknown): unknown {
  return error instanceof StoreError
    ? new StateError(`the state in the store of the fleet cannot be used: ${error.message}`, error)
    : error;
}
