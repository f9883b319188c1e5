/** Definitions that changed since they were approved, with what changed. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { ask, type Failure } from '../data/api.js';
import { isOperator, listsVersion } from '../data/live.js';
import { lineDiff } from '../diff.js';
import { dateAndTime, plural } from '../format.js';
import { indented } from '../json.js';
import { announce } from '../ui/announce.js';
import { Button, Command, Empty, Loading, Problem, Status, Title } from '../ui/basics.js';
import { Broken } from '../ui/broken.js';
import { useLoad } from '../ui/load.js';
import { Diff } from './config.js';

interface Entry {
  readonly digest: string;
  readonly definition: string;
  readonly when: string;
  readonly who: string;
}

interface Pin {
  readonly kind: string;
  readonly name: string;
  readonly state: 'approved' | 'pending';
  readonly approved: readonly Entry[];
  readonly pending: readonly Entry[];
}

interface Book {
  readonly server: string;
  readonly mode: string;
  readonly items: readonly Pin[];
}

export function Pins(): JSX.Element {
  const answer = useLoad<{ servers: readonly Book[] }>('/-/pins', listsVersion.value);
  const failed = useSignal<Failure | null>(null);
  if (answer.failure.value && !answer.value.value) return <Broken title="Pins" loaded={answer} />;
  if (!answer.value.value) return <Loading what="the pins" />;
  const books = answer.value.value.servers;
  const approve = (server: string, names: readonly string[] | undefined): void =>
    void ask('/-/pins/approve', { method: 'POST', body: { server, ...(names ? { names } : {}) } }).then(
      (result) => {
        failed.value = result.ok ? null : result;
        if (result.ok) announce('Approved');
        answer.again();
      },
    );
  return (
    <>
      <Title>Pins</Title>
      {failed.value ? <Problem failure={failed.value} /> : null}
      {books.length === 0 ? (
        <Empty>
          No server is pinned. With <code>pin: warn</code> or <code>pin: enforce</code> at a server, what it
          changes after its first sight waits here.
        </Empty>
      ) : null}
      {books.map((book) => {
        const pending = book.items.filter(({ state }) => state === 'pending');
        return (
          <section key={book.server} aria-label={book.server}>
            <h2>
              <bdi>{book.server}</bdi> <small class="dim">pin: {book.mode}</small>
            </h2>
            {pending.length === 0 ? (
              <p class="dim">
                <Status level="ok" word="approved" /> {plural(book.items.length, 'definition')}
              </p>
            ) : (
              <>
                <p class="actions">
                  <Status level="attention" word={`${plural(pending.length, 'definition')} to look at`} />{' '}
                  {isOperator() ? (
                    <Button onClick={() => approve(book.server, undefined)}>
                      Approve all of this server
                    </Button>
                  ) : (
                    <Command text={`mcpstead pins approve ${book.server}`} />
                  )}
                </p>
                <ul class="items">
                  {pending.map((pin) => (
                    <Pending
                      key={`${pin.kind} ${pin.name}`}
                      pin={pin}
                      approve={isOperator() ? () => approve(book.server, [pin.name]) : undefined}
                    />
                  ))}
                </ul>
              </>
            )}
          </section>
        );
      })}
    </>
  );
}

function Pending({ pin, approve }: { pin: Pin; approve: (() => void) | undefined }): JSX.Element {
  const before = pin.approved.at(-1);
  return (
    <li data-row tabIndex={-1}>
      <p class="row">
        <bdi class="name">{pin.name}</bdi> <span class="dim">{pin.kind}</span>
        {approve ? (
          <Button onClick={approve} label={`Approve ${pin.name}`}>
            Approve
          </Button>
        ) : null}
      </p>
      {pin.pending.map((entry) => (
        <div key={entry.digest}>
          <p class="dim">
            seen {dateAndTime(entry.when)};{' '}
            {before
              ? `compared with what ${before.who} approved ${dateAndTime(before.when)}`
              : 'new: nothing was approved before'}
          </p>
          <Diff text={lineDiff(before ? indented(before.definition) : '', indented(entry.definition))} />
        </div>
      ))}
    </li>
  );
}
