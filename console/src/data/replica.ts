/** Which replica of a fleet the page shows: the one that the address names (`?replica=ID` before the `#`), else the one that answers. */
import { signal } from '@preact/signals';
import type { Fleet } from '../../../src/admin/schemas.js';

/** The id; empty: the replica that answers. Choosing another one loads the page again, so that nothing of the first one stays. */
export const replica =
  /^\w{1,64}$/.exec(new URLSearchParams(location.search).get('replica') ?? '')?.[0] ?? '';

/** undefined: not read yet; null: the gateway is alone. */
export const fleet = signal<Fleet | null | undefined>(undefined);

/** Routes that answer the same everywhere, or for the replica that answers. */
const SHARED =
  /^(?:fleet|connections|grants|approvals|logins|ticket)(?:[/?]|$)|^servers\/[^/]+\/login(?:[/?]|$)/;

/** A path of the API for the replica that the page shows. */
export function at(path: string): string {
  if (replica === '' || SHARED.test(path)) return path;
  return `${path}${path.includes('?') ? '&' : '?'}replica=${replica}`;
}

/** Shows another replica, on the same screen. */
export function show(id: string): void {
  location.assign(`${location.pathname}${id === '' ? '' : `?replica=${id}`}${location.hash}`);
}

/** The replica that is shown has ended, or has started again under another id. */
export const isGone = (): boolean =>
  replica !== '' &&
  fleet.value !== undefined &&
  !fleet.value?.replicas.some((each) => each.replica === replica);
