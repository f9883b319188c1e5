/** The routes of the admin API for logins to servers. */
import { Refused, route, WithHeaders, type Asked, type RouteSpec } from './route.js';
import * as schemas from './login-schemas.js';
import { Done } from './schemas.js';
import { noServer, serverAt } from './servers.js';
import { loginCookie } from '../protocol/login-cookie.js';
import { EVERYBODY, type Connection, type LoginAttempt } from '../protocol/logins.js';

/** Finding an authorization server, and registering there. */
const BEGIN_MS = 45_000;
/** Exchanging a code. */
const FINISH_MS = 30_000;
/** A request that waits for the end of a login is answered after this time in any case. */
const WAIT_MS = 25_000;

const EVERYBODYS = 'One that serves everybody is made by operators.';

export const LOGINS: readonly RouteSpec[] = [
  route({
    method: 'GET',
    path: 'connections',
    who: 'self',
    summary:
      'The servers that take a login, and how each stands: for operators and viewers all, for others those where they log in for themselves.',
    answer: schemas.Connections,
    async serve({ source, asker, path }) {
      const { principal } = asker;
      const all = await source.logins.connections(principal.id);
      const looks = source.permits(principal, 'viewer', path);
      const isShown = ({ server, per }: Connection): boolean =>
        per === 'user'
          ? source.logins.ownerFor(server, principal) !== undefined &&
            (looks || source.sees(principal, server))
          : looks;
      return { connections: all.filter(isShown).map(connectionRow) };
    },
  }),
  route({
    method: 'DELETE',
    path: 'connections/{server}',
    who: 'self',
    summary: `Erases the login to a server, and withdraws it where its authorization server can. ${EVERYBODYS}`,
    query: schemas.LogoutQuery,
    answer: Done,
    async serve(asked) {
      const { source, query, asker } = asked;
      const { server, owner } = ownedAt(asked);
      source.acted('server.logout', asker, { server });
      const options = { forgetClient: query.forget_client && isOperator(asked) };
      const done = await said(() =>
        source.logins.logout(server, owner, options, AbortSignal.timeout(FINISH_MS)),
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
    who: 'self',
    summary: `Begins a login to a server. A person opens \`url\` in a browser within 10 minutes. For a server that takes a key: sets it. ${EVERYBODYS}`,
    body: schemas.LoginWish,
    answer: schemas.LoginBegun,
    async serve(asked) {
      const { source, body, asker } = asked;
      const { server, owner } = ownedAt(asked);
      const { scopes, device, key } = body;
      if (source.logins.takesKey(server)) {
        if (key === undefined) return { server, key: 'wanted' as const };
        source.acted('server.login', asker, { server });
        await said(() => source.logins.setKey(server, owner, key));
        return { server, key: 'kept' as const };
      }
      if (key !== undefined) throw noKey(server);
      source.acted('server.login', asker, { server });
      const signal = AbortSignal.timeout(BEGIN_MS);
      if (!device)
        return loginRow(await said(() => source.logins.login(server, owner, scopes, signal)), null);
      const held = await said(() => source.logins.deviceLogin(server, owner, scopes, signal));
      return loginRow(held, held.userCode);
    },
  }),
  route({
    method: 'POST',
    path: 'servers/{server}/login/link',
    who: 'self',
    summary: `A link to the page where the principal who asks logs in to a server. ${EVERYBODYS}`,
    body: schemas.LinkWish,
    answer: schemas.LoginLink,
    serve(asked) {
      const { source, body, asker } = asked;
      const { server } = ownedAt(asked);
      const link = source.logins.links.offer(server, asker.principal, body.scopes);
      if (link) return { ...link };
      throw new Refused(
        'forbidden',
        'there are no links here: others could read what is sent without https',
        {
          action: `set an https http.public_url, or run: mcpstead login ${server}`,
        },
      );
    },
  }),
  route({
    method: 'POST',
    path: 'logins/{id}',
    who: 'holder',
    summary:
      'Goes on with the login of a link, in the browser that sends this. Only the principal whom the link was given to can; with `mode: none` whoever has it. For a server that takes a key: sets it.',
    body: schemas.LinkKey,
    answer: schemas.LinkStep,
    async serve({ source, params, body, asker, isKnown }) {
      const principal = isKnown ? asker.principal : undefined;
      const { links } = source.logins;
      const id = params['id'] as string;
      const { key } = body;
      if (links.takesKey(id)) {
        const server = await said(() => links.setKey(id, principal, key ?? ''));
        if (server === undefined) throw unknown();
        source.acted('server.login', asker, { server });
        return { server, key: 'kept' as const };
      }
      const begun = await said(() => links.goOn(id, principal, AbortSignal.timeout(BEGIN_MS)));
      if (!begun) throw unknown();
      const { attempt, cookie } = begun;
      const { server, issuer, scopes, url, redirectUri } = attempt;
      source.acted('server.login', asker, { server });
      return new WithHeaders({ server, issuer, scopes: [...scopes], url, redirect_uri: redirectUri }, [
        'Set-Cookie',
        loginCookie(attempt, cookie),
      ]);
    },
  }),
  route({
    method: 'GET',
    path: 'logins/{id}',
    who: 'self',
    summary:
      'How a login stands; with `wait`, up to 25 s later, once it has ended. `id`: of a login, or of a link.',
    query: schemas.LoginQuery,
    answer: schemas.LoginState,
    async serve(asked): Promise<schemas.LoginState> {
      const { source, params, query, asker } = asked;
      const id = params['id'] as string;
      const signal = query.wait ? AbortSignal.timeout(WAIT_MS) : AbortSignal.abort();
      const { links } = source.logins;
      if (links.principalOf(id) === asker.principal.id)
        return { state: (await links.done(id, signal)) ? 'done' : 'waiting', error: null };
      const login = await source.logins.find(id);
      if (login ? !isOwn(asked, login) : !isOperator(asked)) throw unknown();
      const state = await source.logins.ended(id, signal);
      if (!state) throw unknown();
      return { state: state.state, error: state.state === 'failed' ? state.text : null };
    },
  }),
  route({
    method: 'POST',
    path: 'logins/{id}/finish',
    who: 'self',
    summary: 'Ends a login with the address that the browser was sent to, copied by hand.',
    body: schemas.LoginAddress,
    answer: Done,
    async serve(asked) {
      const { source, params, body } = asked;
      const login = await source.logins.find(params['id'] as string);
      if (!login || !isOwn(asked, login)) throw unknown();
      const address = URL.canParse(body.address) ? new URL(body.address) : undefined;
      if (!address?.searchParams.has('state'))
        throw new Refused('invalid_request', 'this is not the address that the login ended at', {
          action: `copy the whole address of the page: it begins with ${login.redirectUri}`,
        });
      if (address.searchParams.get('state') !== new URL(login.url).searchParams.get('state'))
        throw new Refused('invalid_request', 'this is the address that another login ended at', {
          action: 'copy the address that this login ended at',
        });
      await said(() =>
        source.logins.finish(address.searchParams, { pasted: true }, AbortSignal.timeout(FINISH_MS)),
      );
      return { done: true };
    },
  }),
];

type Who = Pick<Asked<unknown, unknown>, 'source' | 'asker' | 'path'>;

function isOperator({ source, asker, path }: Who): boolean {
  return source.permits(asker.principal, 'operator', path);
}

/** Whether a login is that of the principal who asks, or one of everybody's that he may make. */
function isOwn(who: Who, { principal: owner }: LoginAttempt): boolean {
  return owner === EVERYBODY ? isOperator(who) : owner === who.asker.principal.id;
}

/** The server that a path names, and whose login to it the principal who asks may change. Throws a Refused. */
function ownedAt(asked: Who & Pick<Asked<unknown, unknown>, 'params'>): {
  readonly server: string;
  readonly owner: string;
} {
  const { source, params, asker } = asked;
  const { principal } = asker;
  const mayAct = isOperator(asked);
  // To others, a server that they may not see does not exist.
  if (!mayAct && !source.sees(principal, params['server'] as string)) throw noServer(params);
  const server = serverAt(source, params).config.name;
  const owner = source.logins.ownerFor(server, principal);
  if (owner === undefined)
    throw new Refused('forbidden', `at '${server}' each user logs in for himself`, {
      action: 'use a key of your own: mcpstead keys create NAME',
    });
  if (owner === EVERYBODY && !mayAct)
    throw new Refused('forbidden', `the login to '${server}' serves everybody: operators make it`, {
      action: 'ask an operator: mcp.auth.admins in the config names them',
    });
  return { server, owner };
}

function noKey(server: string): Refused {
  return new Refused('invalid_request', `'${server}' takes no key`, {
    action: 'leave key out: a person logs in at an authorization server',
  });
}

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
  takes,
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
    takes,
    state,
    reason: reason ?? null,
    issuer: issuer ?? null,
    scopes: [...scopes],
    expires: expires === undefined ? null : new Date(expires).toISOString(),
    renews,
  };
}
