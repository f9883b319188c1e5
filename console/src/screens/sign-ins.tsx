/** The sign-ins of people at the gateway: who allowed what to which application, and how to end it. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Grant } from '../../../src/admin/grant-schemas.js';
import { ask, ownGrant, signOut, type Failure } from '../data/api.js';
import { isOperator } from '../data/live.js';
import { dateAndTime, plural } from '../format.js';
import { place } from '../router.js';
import { announce } from '../ui/announce.js';
import { Age, Button, Empty, Loading, Problem, Title } from '../ui/basics.js';
import { Broken } from '../ui/broken.js';
import { SearchField } from '../ui/filters.js';
import { rowsOf, useLoad } from '../ui/load.js';

export function SignIns(): JSX.Element {
  const answer = useLoad<unknown>('grants');
  if (answer.failure.value && !answer.value.value) return <Broken title="Sign-ins" loaded={answer} />;
  if (!answer.value.value) return <Loading what="the sign-ins" />;
  const rows = rowsOf<Grant>(answer.value.value, 'grants');
  const words = (place.value.query.get('q') ?? '').toLowerCase().split(/\s+/).filter(Boolean);
  const found = rows.filter((row) => words.every((word) => textOf(row).includes(word)));
  return (
    <>
      <Title>Sign-ins</Title>
      <p class="dim">
        {isOperator()
          ? 'Who has signed in at the gateway, and which application acts for them since.'
          : 'The applications that act for you at the gateway since you signed in.'}
      </p>
      {rows.length === 0 ? (
        <Empty>
          {isOperator()
            ? 'Nobody is signed in. People sign in when they connect an application to the gateway.'
            : 'You have not signed in for an application.'}
        </Empty>
      ) : (
        <>
          <div class="filters">
            <SearchField label="Person, application or host" />
            <span class="dim number" role="status">
              {found.length === rows.length
                ? plural(rows.length, 'sign-in')
                : `${found.length} of ${plural(rows.length, 'sign-in')}`}
            </span>
          </div>
          {found.length === 0 ? <Empty>No sign-in fits the filter.</Empty> : null}
          <SignInCards rows={found} again={answer.again} />
        </>
      )}
      {answer.failure.value ? <Problem failure={answer.failure.value} retry={answer.again} /> : null}
    </>
  );
}

function textOf({ person, name, client, host, resource, scopes }: Grant): string {
  return [person, name, client, host, resource, ...scopes].join(' ').toLowerCase();
}

function SignInCards({ rows, again }: { rows: readonly Grant[]; again: () => void }): JSX.Element {
  return (
    <ul class="cards">
      {rows.map((row) => (
        <Card key={row.id} row={row} again={again} />
      ))}
    </ul>
  );
}

function Card({ row, again }: { row: Grant; again: () => void }): JSX.Element {
  const { id, person, name, client, host, resource, scopes, since, last_used: used } = row;
  const failure = useSignal<Failure | null>(null);
  const isAsked = useSignal(false);
  const isThisPage = ownGrant() === id;
  const actions = useRef<HTMLDivElement>(null);
  const isFirst = useRef(true);
  // The button that had the focus is gone: the next one is that which changes nothing.
  useEffect(() => {
    if (!isFirst.current) [...(actions.current?.querySelectorAll('button') ?? [])].at(-1)?.focus();
    isFirst.current = false;
  }, [isAsked.value]);
  const end = (): void =>
    void ask(`grants/${encodeURIComponent(id)}`, { method: 'DELETE' }).then((result) => {
      isAsked.value = false;
      failure.value = result.ok || result.status === 404 ? null : result;
      if (failure.value) return;
      announce(`Ended: ${name}, ${client}`);
      if (isThisPage) signOut('You have ended the sign-in of this page.');
      else {
        document.querySelector<HTMLElement>('main h1')?.focus();
        again();
      }
    });
  return (
    <li class="card" data-row tabIndex={-1}>
      <div class="row">
        <bdi class="name">{name}</bdi>
        <bdi class="dim break">{person}</bdi>
        {isThisPage ? <span class="dim">this page</span> : null}
      </div>
      <dl class="facts">
        <dt>Application</dt>
        <dd>
          <bdi>{client}</bdi> at <bdi class="break">{host}</bdi>
        </dd>
        <dt>Access to</dt>
        <dd>
          <bdi class="break">{resource}</bdi>
        </dd>
        {scopes.length === 0 ? null : (
          <>
            <dt>Scopes</dt>
            <dd>
              <bdi class="break">{scopes.join(' ')}</bdi>
            </dd>
          </>
        )}
        <dt>Since</dt>
        <dd>
          <time dateTime={since}>{dateAndTime(since)}</time>
        </dd>
        <dt>Last used</dt>
        <dd>
          <Age time={used} /> ago
        </dd>
      </dl>
      <div class="actions" ref={actions}>
        {isAsked.value ? (
          <span class="login" role="group" aria-label="End it?">
            <span>
              {isThisPage ? 'This signs you out here.' : 'The application has to ask for a sign-in again.'}
            </span>{' '}
            <Button kind="danger" label={`End now: ${name}, ${client}`} onClick={end}>
              End now
            </Button>{' '}
            <Button kind="quiet" onClick={() => (isAsked.value = false)}>
              Keep
            </Button>
          </span>
        ) : (
          <Button kind="danger" label={`End: ${name}, ${client}`} onClick={() => (isAsked.value = true)}>
            End
          </Button>
        )}
      </div>
      {failure.value ? <Problem failure={failure.value} /> : null}
    </li>
  );
}

/** The sign-ins of somebody without a role; nothing, where there are none. */
export function OwnSignIns(): JSX.Element | null {
  const answer = useLoad<unknown>('grants');
  const rows = rowsOf<Grant>(answer.value.value, 'grants');
  if (rows.length === 0) return null;
  return (
    <section aria-label="Your sign-ins">
      <h2>Your sign-ins</h2>
      <SignInCards rows={rows} again={answer.again} />
    </section>
  );
}
