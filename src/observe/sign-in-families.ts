/** The metrics of the authorization server in the gateway: see families.ts. */
import { NONE, tallied, type Family, type Series } from './family.js';
import { PROVIDER_OPERATIONS, REGISTRATIONS, SIGN_IN_RESULTS, TOKEN_RENEWALS } from './stats.js';

/** In the order of the exposition. */
export const SIGN_IN_FAMILIES: readonly Family[] = [
  {
    name: 'mcpstead_login_total',
    kind: 'counter',
    help: 'Sign-ins at the gateway, by result.',
    labels: { result: SIGN_IN_RESULTS },
    read: ({ stats: { signIns } }) => tallied(signIns?.results.values ?? []),
  },
  {
    name: 'mcpstead_login_refresh_total',
    kind: 'counter',
    help: 'Renewals of tokens of the gateway, by result; `unavailable`: the identity provider did not answer.',
    labels: { result: TOKEN_RENEWALS },
    read: ({ stats: { signIns } }) => tallied(signIns?.renewals.values ?? []),
  },
  {
    name: 'mcpstead_login_clients_total',
    kind: 'counter',
    help: 'Clients that registered (`dcr`), or whose document was read (`cimd`), by result.',
    labels: { kind: ['dcr', 'cimd'], result: REGISTRATIONS },
    *read({ stats: { signIns } }): Generator<Series, void, void> {
      if (!signIns) return;
      for (const kind of ['dcr', 'cimd'] as const)
        for (const [result, n] of signIns.clients[kind].values) yield [[kind, result], n];
    },
  },
  {
    name: 'mcpstead_login_limited_total',
    kind: 'counter',
    help: 'Requests that were refused because their address sends too many.',
    labels: { route: ['register', 'page', 'token', 'revoke'] },
    read: ({ stats: { signIns } }) => tallied(signIns?.limited.values ?? []),
  },
  {
    name: 'mcpstead_login_grants',
    kind: 'gauge',
    help: 'Sign-ins that have not ended.',
    labels: {},
    *read({ stats: { signIns } }) {
      if (signIns) yield [NONE, signIns.grants];
    },
  },
  {
    name: 'mcpstead_login_idp_seconds',
    kind: 'histogram',
    help: 'Duration of requests to the identity provider, by operation.',
    labels: { op: PROVIDER_OPERATIONS },
    *read({ stats: { signIns } }): Generator<Series, void, void> {
      for (const [operation, histogram] of signIns?.provider ?? []) yield [[operation], histogram];
    },
  },
];
