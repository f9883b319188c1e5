/** The logins to servers: how each stands, and how to log in and out. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import type { Connection } from '../../../src/admin/login-schemas.js';
import type { ServerStatus } from '../../../src/admin/schemas.js';
import { ask, type Failure } from '../data/api.js';
import { isOperator, servers } from '../data/live.js';
import { dateAndTime } from '../format.js';
import { to } from '../router.js';
import { announce } from '../ui/announce.js';
import { Button, Empty, Loading, Problem, Status, Title } from '../ui/basics.js';
import { Broken } from '../ui/broken.js';
import { rowsOf, useLoad } from '../ui/load.js';
import { LogIn } from '../ui/login.js';

const STATES: Readonly<Record<Connection['state'], readonly [ServerStatus['level'], string]>> = {
  valid: ['ok', 'logged in'],
  refreshing: ['wait', 'renewing its token'],
  failing: ['failed', 'cannot renew its token'],
  login_required: ['attention', 'needs a login'],
  none: ['off', 'has not asked for a login'],
};

const REASONS: Readonly<Record<NonNullable<Connection['reason']>, string>> = {
  never: 'Nobody has logged in yet.',
  revoked: 'The login has ended, or was withdrawn.',
  scopes: 'The server wants more than the login allows.',
  issuer_changed: 'The server has another authorization server now.',
  unreadable: 'What was stored is damaged.',
};

export function Connections(): JSX.Element {
  // A login, or its end, changes the state of its server.
  const version = servers.value?.map(({ name, word, since }) => `${name} ${word} ${since}`).join();
  const answer = useLoad<unknown>('connections', version);
  if (answer.failure.value && !answer.value.value) return <Broken title="Connections" loaded={answer} />;
  if (!answer.value.value) return <Loading what="the connections" />;
  const rows = rowsOf<Connection>(answer.value.value, 'connections');
  return (
    <>
      <Title>Connections</Title>
      <p class="dim">Servers that may ask for a login, and the login that the gateway uses at each.</p>
      {rows.length === 0 ? <Empty>No server takes a login now.</Empty> : null}
      <ConnectionCards rows={rows} again={answer.again} links />
    </>
  );
}

/** `links`: names lead to the pages of the servers. */
export function ConnectionCards({
  rows,
  again,
  links = false,
}: {
  rows: readonly Connection[];
  again: () => void;
  links?: boolean;
}): JSX.Element {
  return (
    <ul class="cards">
      {rows.map((row) => (
        <Card key={row.server} row={row} again={again} links={links} />
      ))}
    </ul>
  );
}

function Card({ row, again, links }: { row: Connection; again: () => void; links: boolean }): JSX.Element {
  const { server, per, state, reason, issuer, scopes, expires, renews } = row;
  const failure = useSignal<Failure | null>(null);
  const [level, word] = STATES[state];
  const isThere = state === 'valid' || state === 'refreshing' || state === 'failing';
  const mayAct = per === 'user' || isOperator();
  const logOut = (): void =>
    void ask(`connections/${encodeURIComponent(server)}`, { method: 'DELETE' }).then((result) => {
      failure.value = result.ok ? null : result;
      if (result.ok) announce(`Logged out of ${server}`);
      again();
    });
  return (
    <li class={`card ${level}`} data-row>
      <div class="row">
        {links ? (
          <a class="name" href={to(['servers', server])}>
            <bdi>{server}</bdi>
          </a>
        ) : (
          <bdi class="name">{server}</bdi>
        )}
        <Status level={level} word={per === 'user' && state === 'none' ? 'not logged in' : word} />
        <span class="dim">{per === 'user' ? 'for you alone' : 'for everybody'}</span>
      </div>
      {reason === null ? null : <p>{REASONS[reason]}</p>}
      {issuer === null ? null : (
        <dl class="facts">
          <dt>Authorization server</dt>
          <dd>
            <bdi class="break">{issuer}</bdi>
          </dd>
          <dt>Scopes</dt>
          <dd>{scopes.length === 0 ? 'none' : <bdi class="break">{scopes.join(' ')}</bdi>}</dd>
          <dt>Token</dt>
          <dd>
            {expires === null ? 'its end is not known' : `until ${dateAndTime(expires)}`}
            {renews ? ', renewed by the gateway' : ''}
          </dd>
        </dl>
      )}
      {mayAct && (isThere || state === 'login_required' || per === 'user') ? (
        <p class="actions">
          {isThere ? (
            <Button kind="danger" label={`Log out: ${server}`} onClick={logOut}>
              Log out
            </Button>
          ) : (
            <LogIn server={server} done={again} />
          )}
        </p>
      ) : null}
      {failure.value ? <Problem failure={failure.value} /> : null}
    </li>
  );
}

/** The connections of somebody without a role; nothing, where there are none. */
export function OwnConnections(): JSX.Element | null {
  const answer = useLoad<unknown>('connections');
  const rows = rowsOf<Connection>(answer.value.value, 'connections');
  if (rows.length === 0) return null;
  return (
    <section aria-label="Your connections">
      <h2>Your connections</h2>
      <ConnectionCards rows={rows} again={answer.again} />
    </section>
  );
}
