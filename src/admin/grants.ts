/** The routes of the admin API for sign-ins of people at the gateway (`mcp.auth.login`). */
import type { GrantView } from '../protocol/authorization-server.js';
import { isApplication } from '../protocol/principal.js';
import * as schemas from './grant-schemas.js';
import { Refused, route, type Asked, type RouteSpec } from './route.js';
import { Done } from './schemas.js';
import type { SignInActions } from './source.js';

const WHOSE =
  'Operators: of anybody; others: their own; the token of an application: the sign-in that it is of.';

export const GRANTS: readonly RouteSpec[] = [
  route({
    method: 'GET',
    path: 'grants',
    who: 'self',
    summary: `The sign-ins at the gateway, the last used first. ${WHOSE}`,
    answer: schemas.GrantList,
    async serve(asked) {
      return { grants: (await shownTo(asked)).map(grantRow) };
    },
  }),
  route({
    method: 'DELETE',
    path: 'grants/{id}',
    who: 'self',
    summary: `Ends a sign-in: its tokens and what they have open. ${WHOSE}`,
    answer: Done,
    async serve(asked) {
      const id = asked.params['id'] as string;
      const chosen = isOperator(asked)
        ? [{ id, isOwn: false }]
        : (await shownTo(asked)).filter((grant) => grant.id === id).map(() => ({ id, isOwn: true }));
      if ((await endAll(asked, chosen)) === 0) throw unknown();
      return { done: true };
    },
  }),
  route({
    method: 'DELETE',
    path: 'grants',
    who: 'self',
    summary: `Ends all sign-ins of a person. ${WHOSE}`,
    query: schemas.GrantsQuery,
    answer: schemas.GrantsEnded,
    async serve(asked) {
      const { person } = asked.query;
      const isOwn = person === asked.asker.principal.id;
      const chosen = (await shownTo(asked)).filter((grant) => grant.person === person);
      const ended = await endAll(
        asked,
        chosen.map(({ id }) => ({ id, isOwn })),
      );
      if (ended === 0) throw unknown();
      return { ended };
    },
  }),
  route({
    method: 'POST',
    path: 'grants/client',
    who: 'operator',
    summary:
      'Makes the id of a client that cannot register itself. It is not stored, and works until the state key of the gateway changes.',
    body: schemas.ClientWish,
    answer: schemas.PrintedClient,
    async serve({ source, body, asker }) {
      const signIns = present(source.signIns);
      const { name, redirect_uris: uris } = body;
      try {
        const client_id = await signIns.printClient(name, uris);
        source.acted('grants.client', asker, { subject: name });
        return { client_id };
      } catch (error) {
        throw new Refused('invalid_params', (error as Error).message, {
          status: 400,
          action: 'correct the name or the redirect URIs, or mcp.auth.login.redirects in the configuration',
        });
      }
    },
  }),
];

type By = Pick<Asked<unknown, unknown>, 'source' | 'asker' | 'path'>;

function isOperator({ source, asker, path }: By): boolean {
  return source.permits(asker.principal, 'operator', path);
}

/** The sign-ins that somebody sees, and may end. Rejects with a Refused. */
async function shownTo(by: By): Promise<readonly GrantView[]> {
  const { source, asker } = by;
  const signIns = present(source.signIns);
  const { principal } = asker;
  const grants = await readable(signIns.grants(isOperator(by) ? undefined : principal.id));
  return isApplication(principal) ? grants.filter(({ id }) => id === principal.grant?.id) : grants;
}

/** Ends sign-ins. Resolves with how many there were; rejects with a Refused. */
async function endAll(
  { source, asker }: By,
  chosen: readonly { readonly id: string; readonly isOwn: boolean }[],
): Promise<number> {
  const signIns = present(source.signIns);
  let ended = 0;
  for (const { id, isOwn } of chosen) {
    if (!(await readable(signIns.endGrant(id, isOwn ? 'revoked' : 'operator')))) continue;
    source.acted('grants.end', asker, { subject: id });
    ended++;
  }
  return ended;
}

/** Throws a Refused where nobody signs in at the gateway. */
function present(signIns: SignInActions): SignInActions {
  if (signIns.isOn) return signIns;
  throw new Refused('not_found', 'nobody signs in at this gateway: mcp.auth.login is not set', {
    action: 'set mcp.auth.login in the configuration, with an OpenID Connect provider',
  });
}

/** Rejects with a Refused if the state of the gateway cannot be used. */
async function readable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new Refused('unavailable', `the sign-ins cannot be read or changed: ${(error as Error).message}`, {
      status: 503,
      action: 'make the state of the gateway usable (state.dir, fleet.store), then try again',
    });
  }
}

function unknown(): Refused {
  return new Refused('not_found', 'there is no such sign-in, or it is not yours to end', {
    action: 'list them: mcpstead grants list',
  });
}

function grantRow({ since, used, scopes, ...grant }: GrantView): schemas.Grant {
  const { id, person, name, client, host, resource } = grant;
  return {
    ...{ id, person, name, client, host, resource },
    scopes: [...scopes],
    since: new Date(since).toISOString(),
    last_used: new Date(used).toISOString(),
  };
}
