/** The routes of the admin API for logins to servers. */
import { Refused, route, type RouteSpec } from './route.js';
import * as schemas from './login-schemas.js';
import { Done } from './schemas.js';
import { serverAt } from './servers.js';
import { EVERYBODY, type Connection, type LoginAttempt } from '../protocol/logins.js';

/** Finding an authorization server, and registering there. */
const BEGIN_MS = 45_000;
/** Exchanging a code. */
const FINISH_MS = 30_000;
/** A request that waits for the end of a login is answered after this time in any case. */
const WAIT_MS = 25_000;

export const LOGINS: readonly RouteSpec[] = [
  route({
    method: 'GET',
    path: 'connections',
    who: 'viewer',
    summary: 'The servers that take a login, and how each stands.',
    answer: schemas.Connections,
    async serve({ source }) {
      return { connections: (await source.logins.connections(EVERYBODY)).map(connectionRow) };
    },
  }),
  route({
    method: 'DELETE',
    path: 'connections/{server}',
    who: 'operator',
    summary: 'Erases the login to a server, and withdraws it where its authorization server can.',
    query: schemas.LogoutQuery,
    answer: Done,
    async serve({ source, params, query, asker }) {
      const { name } = serverAt(source, params).config;
      source.acted('server.logout', asker, { server: name });
      const done = await said(() =>
        source.logins.logout(
          name,
          EVERYBODY,
          { forgetClient: query.forget_client },
          AbortSignal.timeout(FINISH_MS),
        ),
      );
      return { done };
    },
  }),
  route({
    method: 'POST',
    path: 'connections/prune',
    who: 'operator',
    summary: 'Erases the logins of servers that the configuration does not name.',
    answer: schemas.Pruned,
    async serve({ source, asker }) {
      source.acted('logins.prune', asker);
      return { servers: [...(await source.logins.prune())] };
    },
  }),
  route({
    method: 'POST',
    path: 'servers/{server}/login',
    who: 'operator',
    summary: 'Begins a login to a server. A person opens `url` in a browser within 10 minutes.',
    body: schemas.LoginWish,
    answer: schemas.Login,
    async serve({ source, params, body, asker }) {
      const { name } = serverAt(source, params).config;
      source.acted('server.login', asker, { server: name });
      const signal = AbortSignal.timeout(BEGIN_MS);
      const { scopes, device } = body;
      if (!device)
        return loginRow(await said(() => source.logins.login(name, EVERYBODY, scopes, signal)), null);
      const held = await said(() => source.logins.deviceLogin(name, EVERYBODY, scopes, signal));
      return loginRow(held, held.userCode);
    },
  }),
  route({
    method: 'GET',
    path: 'logins/{id}',
    who: 'operator',
    summary: 'How a login stands; with `wait`, up to 25 s later, once it has ended.',
    query: schemas.LoginQuery,
    answer: schemas.LoginState,
    async serve({ source, params, query }) {
      const signal = query.wait ? AbortSignal.timeout(WAIT_MS) : AbortSignal.abort();
      const state = await source.logins.ended(params['id'] as string, signal);
      if (!state) throw unknown();
      return { state: state.state, error: state.state === 'failed' ? state.text : null };
    },
  }),
  route({
    method: 'POST',
    path: 'logins/{id}/finish',
    who: 'operator',
    summary: 'Ends a login with the address that the browser was sent to, copied by hand.',
    body: schemas.LoginAddress,
    answer: Done,
    async serve({ source, params, body }) {
      const login = await source.logins.find(params['id'] as string);
      if (!login) throw unknown();
      const address = URL.canParse(body.address) ? new URL(body.address) : undefined;
      if (!address?.searchParams.has('state'))
        throw new Refused('invalid_request', 'this is not the address that the login ended at', {
          action: `copy the whole address of the page: it begins with ${login.redirectUri}`,
        });
      await said(() =>
        source.logins.finish(address.searchParams, { pasted: true }, AbortSignal.timeout(FINISH_MS)),
      );
      return { done: true };
    },
  }),
];

function unknown(): Refused {
  return new Refused('not_found', 'there is no such login, or its 10 minutes are over', {
    action: 'begin it again',
  });
}

/** What is refused with the reason for people. */
async function said<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Refused('upstream_auth_failed', (error as Error).message, {
      status: 409,
      action: 'correct auth of the server, or try again',
    });
  }
}

function loginRow(
  { id, server, issuer, scopes, redirectUri, url, expires }: LoginAttempt,
  userCode: string | null,
): schemas.Login {
  return {
    id,
    server,
    issuer,
    scopes: [...scopes],
    redirect_uri: redirectUri,
    url,
    user_code: userCode,
    expires: new Date(expires).toISOString(),
  };
}

function connectionRow({
  server,
  per,
  state,
  reason,
  issuer,
  scopes,
  expires,
  renews,
}: Connection): schemas.Connection {
  return {
    server,
    per,
    state,
    reason: reason ?? null,
    issuer: issuer ?? null,
    scopes: [...scopes],
    expires: expires === undefined ? null : new Date(expires).toISOString(),
    renews,
  };
}
