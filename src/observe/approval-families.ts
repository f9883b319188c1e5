/** The metrics of calls that wait for a yes: see families.ts. */
import { NONE, tallied, type Family, type Series } from './family.js';
import { APPROVAL_RESULTS, WEBHOOK_RESULTS } from './stats.js';

/** In the order of the exposition. */
export const APPROVAL_FAMILIES: readonly Family[] = [
  {
    name: 'mcpstead_approvals_open',
    kind: 'gauge',
    help: 'Calls that somebody can vote on.',
    labels: {},
    *read({ stats: { approvals } }) {
      if (approvals) yield [NONE, approvals.open];
    },
  },
  {
    name: 'mcpstead_approvals_waiting',
    kind: 'gauge',
    help: 'Requests of clients that wait for a yes at the moment.',
    labels: {},
    *read({ stats: { approvals } }) {
      if (approvals) yield [NONE, approvals.waiting];
    },
  },
  {
    name: 'mcpstead_approvals_oldest_seconds',
    kind: 'gauge',
    help: 'Age of the oldest call that somebody can vote on; 0: there is none.',
    labels: {},
    *read({ stats: { approvals } }) {
      if (approvals) yield [NONE, approvals.oldestSeconds];
    },
  },
  {
    name: 'mcpstead_approvals_total',
    kind: 'counter',
    help: 'Calls that waited for a yes, by the first rule that held them and by how that ended.',
    labels: { rule: undefined, result: APPROVAL_RESULTS },
    *read({ stats: { approvals } }): Generator<Series, void, void> {
      for (const [rule, results] of approvals?.results ?? [])
        for (const [result, n] of results.values) yield [[rule, result], n];
    },
  },
  {
    name: 'mcpstead_approvals_wait_seconds',
    kind: 'histogram',
    help: 'From the question to the last vote, the end of the time, or the change that ended it.',
    labels: {},
    *read({ stats: { approvals } }) {
      if (approvals && approvals.waits.count > 0) yield [NONE, approvals.waits];
    },
  },
  {
    name: 'mcpstead_approvals_webhook_total',
    kind: 'counter',
    help: 'Messages to the webhook, by result; `dropped`: too many waited.',
    labels: { result: WEBHOOK_RESULTS },
    read: ({ stats: { approvals } }) => tallied(approvals?.webhook.values ?? []),
  },
];
