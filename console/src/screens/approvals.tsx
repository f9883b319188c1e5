/** Calls that wait for a yes: the queue, and one of them with all that would be sent. There is no way to decide about several at once. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Approval, ApprovalList } from '../../../src/admin/approval-schemas.js';
import type { ServerStatus } from '../../../src/admin/schemas.js';
import { ask, type Failure } from '../data/api.js';
import { approvalsVersion, now, since } from '../data/live.js';
import { age, dateAndTime, timeOfDay } from '../format.js';
import { place, to } from '../router.js';
import { announce } from '../ui/announce.js';
import { Age, Button, Crumbs, Empty, Loading, Problem, Status, Title } from '../ui/basics.js';
import { Broken } from '../ui/broken.js';
import { useLoad } from '../ui/load.js';
import { Diff } from './config.js';

/** Whether calls wait, and what other replicas decide, is in no event. */
const AGAIN_MS = 5_000;

const STATES: Readonly<Record<Approval['state'], readonly [ServerStatus['level'], string]>> = {
  open: ['attention', 'waits for a yes'],
  approved: ['wait', 'has its yes, and is sent with the next call'],
  sent: ['ok', 'was sent'],
  denied: ['failed', 'was refused'],
  expired: ['off', 'got no answer in time'],
  void: ['off', 'has changed since it was asked for'],
};

const version = (): string => `${approvalsVersion.value} ${Math.floor(now.value / AGAIN_MS)}`;

/** `id`: one call alone; `own`: as a part of the page of somebody without a role. */
export function Approvals({ id, own = false }: { id?: string; own?: boolean }): JSX.Element | null {
  const [screen, item] = place.value.path;
  const one = own && screen === 'approvals' ? item : id;
  if (one !== undefined) return <One key={one} id={one} own={own} />;
  return <Queue own={own} />;
}

function Queue({ own }: { own: boolean }): JSX.Element | null {
  const answer = useLoad<ApprovalList>('approvals', version());
  if (own && answer.value.value?.holds !== true) return null;
  if (answer.failure.value && !answer.value.value) return <Broken title="Approvals" loaded={answer} />;
  if (!answer.value.value) return <Loading what="the approvals" />;
  const rows = answer.value.value.approvals;
  const open = rows.filter(({ state }) => state === 'open');
  const over = rows.filter(({ state }) => state !== 'open').reverse();
  return (
    <section aria-label="Approvals" class="queue">
      {own ? <h2>Approvals</h2> : <Title>Approvals</Title>}
      <p class="dim">Calls that a rule of the policy holds until somebody has said yes, the oldest first.</p>
      {open.length === 0 ? <Empty>No call waits for a yes.</Empty> : <Cards rows={open} />}
      {over.length === 0 ? null : (
        <>
          <h2>Decided lately</h2>
          <Cards rows={over} />
        </>
      )}
      {answer.failure.value ? <Problem failure={answer.failure.value} retry={answer.again} /> : null}
    </section>
  );
}

const Cards = ({ rows }: { rows: readonly Approval[] }): JSX.Element => (
  <ul class="cards">
    {rows.map((row) => (
      <li key={row.id} class={`card ${STATES[row.state][0]}`} data-row tabIndex={-1}>
        <div class="row">
          <a class="name" href={to(['approvals', row.id])}>
            <bdi>{row.tool}</bdi>
          </a>
          <span>
            of <bdi>{row.server}</bdi>
          </span>
          <State row={row} />
          {row.may_vote ? <span class="tag">yours to decide</span> : null}
        </div>
        <Facts row={row} />
      </li>
    ))}
  </ul>
);

function State({ row: { state } }: { row: Approval }): JSX.Element {
  const [level, word] = STATES[state];
  return <Status level={level} word={word} />;
}

function Facts({ row }: { row: Approval }): JSX.Element {
  const { name, person, client, entries, created, expires, state, waiting } = row;
  return (
    <dl class="facts">
      <dt>Caller</dt>
      <dd>
        <bdi>{name}</bdi>
        {person === null || person === name ? null : (
          <>
            {' '}
            (<bdi>{person}</bdi>)
          </>
        )}
        {client === null ? null : (
          <>
            , with <bdi>{client}</bdi>
          </>
        )}
      </dd>
      <dt>{entries.length === 1 ? 'Rule' : 'Rules'}</dt>
      <dd>
        {entries.map(({ rule, by, need, met }, n) => (
          <div key={n}>
            <bdi>{rule}</bdi>: {met} of {need} by <bdi>{by === 'caller' ? 'the caller himself' : by}</bdi>
          </div>
        ))}
      </dd>
      <dt>Asked</dt>
      <dd>
        <Age time={created} /> ago
        {state === 'open'
          ? waiting
            ? '; the call waits'
            : '; no call waits: the next same call uses the yes'
          : null}
      </dd>
      {state === 'open' || state === 'approved' ? (
        <>
          <dt>{state === 'open' ? 'Until' : 'Yes until'}</dt>
          <dd>
            <time dateTime={expires} title={dateAndTime(expires)}>
              {timeOfDay(expires)}
            </time>
            , {age(-since(expires))} left
          </dd>
        </>
      ) : null}
    </dl>
  );
}

function One({ id, own }: { id: string; own: boolean }): JSX.Element {
  const answer = useLoad<Approval>(`approvals/${encodeURIComponent(id)}`, version());
  const row = answer.value.value;
  const title = own ? <Up /> : <Crumbs links={[['Approvals', ['approvals']]]} here={row?.tool ?? id} />;
  if (!row)
    return (
      <>
        {title}
        {answer.failure.value ? (
          <Problem failure={answer.failure.value} retry={answer.again} />
        ) : (
          <Loading what="the call" />
        )}
      </>
    );
  return (
    <section class="narrow" aria-label={`Call of ${row.tool}`}>
      {title}
      <p class="row">
        <span>
          <bdi class="name">{row.tool}</bdi> of <bdi>{row.server}</bdi>
        </span>
        <State row={row} />
      </p>
      <Facts row={row} />
      <Votes row={row} />
      <Call row={row} again={answer.again} />
    </section>
  );
}

const Up = (): JSX.Element => (
  <p>
    <a href={to(['approvals'])}>All approvals</a>
  </p>
);

function Votes({ row: { votes } }: { row: Approval }): JSX.Element | null {
  if (votes.length === 0) return null;
  return (
    <>
      <h2>Votes</h2>
      <ul>
        {votes.map(({ by, at, decision, note }) => (
          <li key={`${by} ${at}`} class="break">
            {decision === 'approve' ? 'Yes' : 'No'} by <bdi>{by}</bdi>, <Age time={at} /> ago
            {note === null ? null : (
              <>
                : <bdi>{note}</bdi>
              </>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}

/** What would be sent, and the ballot. The yes works once all of it was on the screen. */
function Call({ row, again }: { row: Approval; again: () => void }): JSX.Element {
  const { id, digest, ignored, changes, may_vote: mayVote, may_deny: mayDeny, own, state } = row;
  const text = row.arguments;
  const box = useRef<HTMLPreElement>(null);
  const isRead = useSignal(false);
  const note = useSignal('');
  const widens = useSignal(false);
  const busy = useSignal(false);
  const failure = useSignal<Failure | null>(null);
  const repeat = repeatOf(row);
  useEffect(() => {
    isRead.value = false;
    const look = (): void => {
      if (box.current && isAtEnd(box.current)) isRead.value = true;
    };
    look();
    // Scrolling is not heard of by those above what scrolls, but on its way down.
    addEventListener('scroll', look, true);
    addEventListener('resize', look);
    return () => {
      removeEventListener('scroll', look, true);
      removeEventListener('resize', look);
    };
  }, [text]);
  const change = async (words: string, method: 'POST' | 'DELETE', body?: unknown): Promise<void> => {
    busy.value = true;
    const result = await ask<Approval>(`approvals/${encodeURIComponent(id)}`, { method, body });
    busy.value = false;
    failure.value = result.ok ? null : result;
    if (result.ok) announce(words);
    again();
    document.querySelector<HTMLElement>('main h1')?.focus();
  };
  const vote = (decision: 'approve' | 'deny'): void =>
    void change(decision === 'approve' ? 'Your yes counts' : 'Refused', 'POST', {
      decision,
      digest,
      ...(note.value.trim() === '' ? {} : { note: note.value.trim() }),
      ...(decision === 'approve' && widens.value ? { repeat: true } : {}),
    });
  return (
    <>
      <h2>What is sent</h2>
      {text === null ? (
        <p class="dim">Those who vote, the caller and operators see the arguments.</p>
      ) : (
        <pre ref={box} class="code" tabIndex={0} dir="ltr" aria-label="What is sent">
          {text}
        </pre>
      )}
      {ignored === null ? null : (
        <>
          <h2>Not part of the yes</h2>
          <pre class="code" tabIndex={0} dir="ltr">
            {ignored}
          </pre>
        </>
      )}
      {changes === null ? null : (
        <details>
          <summary>How it differs from the last call that got a yes</summary>
          <Diff text={changes.join('\n')} />
        </details>
      )}
      {state === 'open' && !mayVote ? (
        <p class="dim">
          {own ? 'This is a call of your own: others vote on it.' : 'Others vote on this call.'}
        </p>
      ) : null}
      {mayDeny ? (
        <>
          <div class="field">
            <label for="note">Note for the caller</label>
            <input
              id="note"
              maxLength={500}
              autocomplete="off"
              value={note.value}
              onInput={(event) => (note.value = event.currentTarget.value)}
            />
            <p>It is shown to the model that made the call.</p>
          </div>
          {mayVote && repeat !== null ? (
            <label class="check">
              <input
                type="checkbox"
                checked={widens.value}
                onChange={(event) => (widens.value = event.currentTarget.checked)}
              />{' '}
              {repeat}
            </label>
          ) : null}
          {mayVote && !isRead.value ? (
            <p role="status">Scroll to the end of what is sent: then the yes works.</p>
          ) : null}
        </>
      ) : null}
      <p class="actions">
        {mayVote ? (
          <Button kind="main" disabled={!isRead.value || busy.value} onClick={() => vote('approve')}>
            Approve
          </Button>
        ) : null}
        {mayDeny ? (
          <Button kind="danger" disabled={busy.value} onClick={() => vote('deny')}>
            Deny
          </Button>
        ) : null}
        {row.may_take_back ? (
          <Button disabled={busy.value} onClick={() => void change('The yes was taken back', 'DELETE')}>
            {row.state === 'sent' ? 'Take back the yes for further calls' : 'Take back the yes'}
          </Button>
        ) : null}
      </p>
      {failure.value ? <Problem failure={failure.value} /> : null}
    </>
  );
}

/** Whether the end of a text is on the screen. */
function isAtEnd(box: HTMLElement): boolean {
  const { bottom } = box.getBoundingClientRect();
  return box.scrollTop + box.clientHeight >= box.scrollHeight - 2 && bottom <= innerHeight + 2;
}

/** What all rules let a yes be widened to; null: to nothing. */
function repeatOf({ entries }: Approval): string | null {
  const all = entries.flatMap(({ repeat }) => (repeat === null ? [] : [repeat]));
  if (all.length === 0 || all.length < entries.length) return null;
  const minutes = Math.min(...all.map((each) => each.minutes));
  const what = all.every(({ covers }) => covers === 'tool')
    ? 'whatever the arguments'
    : 'with the same arguments';
  return `Also for the next ${minutes} minutes, ${what}`;
}
