/** The metrics of a replica in a fleet: see families.ts. */
import { NONE, tallied, type Family, type Scrape, type Series } from './family.js';
import { FORWARDED, type FleetStats } from './stats.js';

/** One series, if the gateway is in a fleet and the value is known. */
const ofFleet = (
  name: string,
  kind: 'gauge' | 'counter',
  help: string,
  value: (fleet: FleetStats) => number | undefined,
): Family => ({
  name: `mcpstead_fleet_${name}`,
  kind,
  help,
  labels: {},
  *read({ stats: { fleet } }: Scrape): Generator<Series, void, void> {
    const found = fleet && value(fleet);
    if (found !== undefined) yield [NONE, found];
  },
});

/** In the order of the exposition. */
export const FLEET_FAMILIES: readonly Family[] = [
  ofFleet('replicas', 'gauge', 'Live replicas of the fleet, this one among them.', (fleet) => fleet.replicas),
  ofFleet('store_up', 'gauge', 'Whether the store of the fleet answers.', (fleet) => Number(fleet.storeUp)),
  {
    name: 'mcpstead_fleet_store_seconds',
    kind: 'histogram',
    help: 'Duration of commands to the store, by what they do.',
    labels: { op: undefined },
    *read({ stats: { fleet } }): Generator<Series, void, void> {
      for (const [op, histogram] of fleet?.store ?? []) yield [[op], histogram];
    },
  },
  {
    name: 'mcpstead_fleet_forwarded_total',
    kind: 'counter',
    help: 'Requests for MCP that were sent to another replica: it answered, it had given the session away, it could not be reached, or it was lost with the request.',
    labels: { result: FORWARDED },
    read: ({ stats: { fleet } }) => tallied(fleet?.forwarded.values ?? []),
  },
  ofFleet(
    'held',
    'gauge',
    'Requests that wait until it is known where their session is.',
    (fleet) => fleet.held,
  ),
  ofFleet(
    'adopted_total',
    'counter',
    'Sessions that this replica took over because theirs was gone.',
    (fleet) => fleet.adopted,
  ),
  ofFleet(
    'handed_over_total',
    'counter',
    'Sessions that this replica gave to the one that their clients use.',
    (fleet) => fleet.handedOver,
  ),
  ofFleet(
    'superseded_total',
    'counter',
    'Sessions that another replica had taken over while this one was stopped or cut off.',
    (fleet) => fleet.superseded,
  ),
  {
    name: 'mcpstead_fleet_lease',
    kind: 'gauge',
    help: 'Whether this replica runs the only process of a server, for `placement: host` and `fleet`.',
    labels: { server: undefined },
    *read({ stats: { fleet } }): Generator<Series, void, void> {
      for (const [server, holds] of fleet?.leases ?? []) yield [[server], Number(holds)];
    },
  },
  ofFleet(
    'strangers_total',
    'counter',
    'Values in the store, and requests on the port for replicas, that are not of this fleet.',
    (fleet) => fleet.strangers,
  ),
  ofFleet(
    'limits_alone_total',
    'counter',
    'Calls under a limit with `shared` that this replica judged alone, because the store did not answer in time.',
    (fleet) => fleet.judgedAlone,
  ),
  ofFleet(
    'clock_offset_seconds',
    'gauge',
    'How far the clock of this machine is ahead of that of the store.',
    (fleet) => fleet.clockOffsetSeconds,
  ),
];
