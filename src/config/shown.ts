/** A resolved configuration as operators may see it, and every secret in it. */
import { maskSecrets, redactUrl, secretsOf } from './redact.js';
import type { Config, ServerConfig } from './types.js';

const MASK = '***';

/** Values that no answer may contain. */
export function secretsIn(config: Config): string[] {
  const { mcp, console, tracing, servers, state, fleet } = config;
  const found = new Set(servers.flatMap(secretsOf));
  const add = (text: string | undefined): void => {
    if (text !== undefined && text.length >= 4) found.add(text);
  };
  for (const token of mcp.auth.tokens) add(token);
  for (const { introspection } of mcp.auth.issuers) add(introspection?.secret);
  add(mcp.auth.login?.client_secret);
  for (const key of [mcp.state_key, ...state.older_keys]) add(key?.toString('base64url'));
  add(config.approvals.webhook?.secret);
  add(console.key);
  add(fleet?.store.password);
  // As the URL of the store may spell it.
  if (fleet?.store.password) add(encodeURIComponent(fleet.store.password));
  for (const value of Object.values(tracing.headers)) add(value);
  return [...found];
}

/** JSON. Secrets are `***`; values of environment variables, headers and queries always are. */
export function shownConfig(config: Config): Record<string, unknown> {
  const { mcp, console, http, tracing, state, servers, policy, profiles, fleet, approvals, ...rest } = config;
  const { tokens, issuers, login, ...auth } = mcp.auth;
  const shown = {
    ...rest,
    mcp: {
      session: mcp.session,
      auth: {
        ...auth,
        tokens: tokens.map(() => MASK),
        issuers: issuers.map(({ introspection, ...issuer }) => ({
          ...issuer,
          introspection: introspection && { ...introspection, secret: MASK },
        })),
        login: login && { ...login, client_secret: login.client_secret && MASK },
      },
    },
    console: { ...console, key: console.key && MASK },
    http: { ...http, tls: http.tls && withoutContents(http.tls) },
    tracing: {
      ...tracing,
      endpoint: tracing.endpoint && redactUrl(tracing.endpoint),
      headers: hidden(tracing.headers),
    },
    state: { dir: state.dir, key_command: state.key_command },
    fleet: fleet && {
      ...fleet,
      store: { ...fleet.store, password: fleet.store.password && MASK },
    },
    approvals: {
      ...approvals,
      webhook: approvals.webhook && {
        ...approvals.webhook,
        url: redactUrl(approvals.webhook.url),
        secret: MASK,
      },
    },
    policy: policy && { ...policy, rules: policy.rules.map((rule) => withoutPlaces(rule)) },
    profiles: profiles.map((profile) => withoutPlaces(profile)),
    servers: servers.map(shownServer),
  };
  const secrets = secretsIn(config);
  return JSON.parse(
    JSON.stringify(shown, (_, value: unknown) =>
      typeof value === 'string' ? maskSecrets(value, secrets) : value,
    ),
  ) as Record<string, unknown>;
}

function shownServer(server: ServerConfig): object {
  const { filled: _filled, ...common } = server;
  if (common.kind === 'stdio') {
    const { environment: _environment, ...stdio } = common;
    return { ...stdio, env: hidden(stdio.env) };
  }
  return {
    ...common,
    url: redactUrl(common.url),
    headers: hidden(common.headers),
    auth: common.auth.type === 'bearer' ? { ...common.auth, token: MASK } : common.auth,
    ...(common.proxy !== undefined && { proxy: redactUrl(common.proxy) }),
    tls: withoutContents(common.tls),
  };
}

function hidden(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(values).map((name) => [name, MASK]));
}

/** Certificates are named by their files. */
function withoutContents(tls: object): object {
  const {
    cert: _cert,
    key: _key,
    client_ca: _ca,
    fingerprint: _print,
    ...files
  } = tls as Record<string, unknown>;
  return files;
}

function withoutPlaces(rule: object): object {
  return JSON.parse(
    JSON.stringify(rule, (name, value: unknown) => (name === 'place' ? undefined : value)),
  ) as object;
}
