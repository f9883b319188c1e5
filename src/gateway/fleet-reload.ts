/** A reload of all replicas, each of its own files. */
import type { ReplicaReload } from '../downstream/http/admin.js';
import { GatewayError } from '../errors.js';
import type { Members } from '../fleet/members.js';

/** How long replicas may take, and how often they are looked at meanwhile. */
const RELOAD_MS = 10_000;
const LOOK_MS = 200;

/** Rejects with a GatewayError if the store is away. */
export async function reloadFleet(members: Members): Promise<readonly ReplicaReload[]> {
  const number = await members.askReload().catch(() => {
    throw new GatewayError('unavailable', 'the store of the fleet is away: try again');
  });
  const until = performance.now() + RELOAD_MS;
  const isOpen = (): boolean => [...members.live.values()].some(({ reloads }) => reloads < number);
  do {
    await members.tick();
    if (isOpen()) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  } while (isOpen() && performance.now() < until);
  return [...members.live.values()].map(({ id, name, reloads, refused }) => {
    const error = reloads < number ? `it has not reloaded within ${RELOAD_MS / 1000} s` : refused;
    return error === null ? { replica: id, name, ok: true } : { replica: id, name, ok: false, error };
  });
}
