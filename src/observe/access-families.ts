/** The metrics of authentication and policy: see families.ts. */
import { tallied, type Family } from './family.js';
import { AUTH_FAILURES, CREDENTIAL_STATES, LOGIN_OUTCOMES, TOKEN_REFRESHES } from './stats.js';

/** In the order of the exposition. */
export const ACCESS_FAMILIES: readonly Family[] = [
  {
    name: 'mcpstead_mcp_auth_attempts_total',
    kind: 'counter',
    help: 'Authentication attempts, by result.',
    labels: { result: ['success', 'failure'] },
    read: ({ stats }) => tallied(stats.authAttempts.values),
  },
  {
    name: 'mcpstead_mcp_auth_failures_total',
    kind: 'counter',
    help: 'Failed authentications, by reason.',
    labels: { reason: AUTH_FAILURES },
    read: ({ stats }) => tallied(stats.authFailures.values),
  },
  {
    name: 'mcpstead_auth_issuer_up',
    kind: 'gauge',
    help: 'Whether the last answer of an issuer of access tokens was usable.',
    labels: { issuer: undefined },
    *read({ stats }) {
      for (const [issuer, { up }] of stats.issuers) yield [[issuer], up ? 1 : 0];
    },
  },
  {
    name: 'mcpstead_auth_keys_age_seconds',
    kind: 'gauge',
    help: 'Seconds since the signing keys of an issuer were read.',
    labels: { issuer: undefined },
    *read({ stats, now }) {
      for (const [issuer, { keysRead }] of stats.issuers)
        if (keysRead > 0) yield [[issuer], Math.max(0, now - keysRead)];
    },
  },
  {
    name: 'mcpstead_policy_decisions_total',
    kind: 'counter',
    help: 'Requests that a policy decided about, by decision; `hide`: what they name does not exist for their caller.',
    labels: { decision: ['allow', 'hide', 'deny', 'step_up', 'limit'] },
    read: ({ stats }) => tallied(stats.policyDecisions.values),
  },
  {
    name: 'mcpstead_pins',
    kind: 'gauge',
    help: 'Names whose definitions are pinned, by server; `pending`: a new or changed definition waits for an approval.',
    labels: { server: undefined, state: ['approved', 'pending'] },
    *read({ stats }) {
      for (const [server, { approved, pending }] of stats.pins) {
        yield [[server, 'approved'], approved];
        yield [[server, 'pending'], pending];
      }
    },
  },
  {
    name: 'mcpstead_tools_tokens',
    kind: 'gauge',
    help: "Estimated tokens that the definitions of a server's tools take of a context.",
    labels: { server: undefined },
    read: ({ stats }) => tallied(stats.toolTokens.servers),
  },
  {
    name: 'mcpstead_profile_tokens',
    kind: 'gauge',
    help: "Estimated tokens that the definitions of a profile's tools take of a context.",
    labels: { profile: undefined },
    read: ({ stats }) => tallied(stats.toolTokens.profiles),
  },
  {
    name: 'mcpstead_credentials',
    kind: 'gauge',
    help: 'State of the token of a server that needs a login.',
    labels: { server: undefined, state: CREDENTIAL_STATES },
    *read({ servers }) {
      for (const { server: name, credential } of servers) {
        if (credential === undefined) continue;
        for (const state of CREDENTIAL_STATES) yield [[name, state], state === credential ? 1 : 0];
      }
    },
  },
  {
    name: 'mcpstead_oauth_refresh_total',
    kind: 'counter',
    help: 'Renewals of tokens, by server and result; `shared`: another process had done it.',
    labels: { server: undefined, result: TOKEN_REFRESHES },
    *read({ servers }) {
      for (const { server: name, tokenRefreshes } of servers)
        for (const [result, n] of tokenRefreshes.values) yield [[name, result], n];
    },
  },
  {
    name: 'mcpstead_oauth_logins_total',
    kind: 'counter',
    help: 'Logins to servers, by server and result.',
    labels: { server: undefined, result: LOGIN_OUTCOMES },
    *read({ servers }) {
      for (const { server: name, logins } of servers)
        for (const [result, n] of logins.values) yield [[name, result], n];
    },
  },
];
