/** What the admin API shows of a fleet. */
import type { Fleet } from '../admin/schemas.js';
import type { Differences } from '../fleet/differences.js';
import type { Member } from '../fleet/members.js';

type Shown = Pick<Member, 'id' | 'name' | 'draining'>;
type Row = Fleet['replicas'][number];

export interface FleetViewDeps {
  /** The replica that answers. */
  readonly own: Shown;
  readonly others: readonly Shown[];
  readonly store: Fleet['store'];
  readonly differences: Pick<Differences, 'all'>;
}

export function fleetView({ own, others, store, differences }: FleetViewDeps): Fleet {
  return {
    replica: own.id,
    store,
    replicas: [rowOf(own, true), ...others.map((other) => rowOf(other, false)).sort(byName)],
    differs: differences.all().map(({ what, since, isLong, groups }) => ({
      what,
      since: new Date(since).toISOString(),
      warned: isLong,
      groups: groups.map((group) => [...group]),
    })),
  };
}

function rowOf({ id, name, draining }: Shown, self: boolean): Row {
  return { replica: id, name, draining, self };
}

function byName(a: Row, b: Row): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.replica < b.replica ? -1 : 1;
}
