/** The configuration: what it resolves to, what is wrong with it, and what a reload would do. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import type { ConfigCheck, ConfigProblem, ConfigView, Reloaded } from '../../../src/admin/schemas.js';
import { post, type Failure } from '../data/api.js';
import { isOperator, me } from '../data/live.js';
import { announce } from '../ui/announce.js';
import { Button, Command, Loading, Problem, Title } from '../ui/basics.js';
import { Broken } from '../ui/broken.js';
import { useLoad } from '../ui/load.js';

export function Config(): JSX.Element {
  const version = useSignal(0);
  const answer = useLoad<ConfigView>('config', version.value);
  const view = answer.value.value;
  if (answer.failure.value && !view) return <Broken title="Configuration" loaded={answer} />;
  if (!view) return <Loading what="the configuration" />;
  return (
    <>
      <Title>Configuration</Title>
      <p class="dim break">
        {view.file === null ? 'Given by the program that started the gateway: there is no file.' : view.file}
      </p>
      {view.problems.length > 0 ? <Problems problems={view.problems} text={view.text} /> : null}
      <Warnings warnings={view.warnings} />
      {view.file === null ? null : (
        <section aria-label="Reload">
          <h2>What a reload would do now</h2>
          <Effects effects={view.pending} />
          {isOperator() ? <Reload done={() => version.value++} /> : null}
        </section>
      )}
      {view.editable && me.value?.has.edit && isOperator() && view.text !== null ? (
        <Editor view={view} text={view.text} done={() => version.value++} />
      ) : view.text === null ? null : (
        <section aria-label="The file">
          <h2>The file</h2>
          <Numbered text={view.text} marks={view.problems} />
        </section>
      )}
      <section aria-label="Resolved">
        <h2>Resolved</h2>
        <p class="dim">With defaults; secrets are masked.</p>
        <pre class="code" tabIndex={0}>
          {JSON.stringify(view.resolved, null, 2)}
        </pre>
      </section>
      {view.editable || view.file === null ? null : (
        <p class="dim">
          To edit it here, set <code>console.edit: true</code>: whoever may edit it can start programs on this
          machine.
        </p>
      )}
    </>
  );
}

function Warnings({ warnings }: { warnings: readonly string[] }): JSX.Element | null {
  if (warnings.length === 0) return null;
  return (
    <div class="note attention">
      <ul>
        {warnings.map((warning) => (
          <li key={warning}>
            <span aria-hidden="true">▲ </span>
            <bdi>{warning}</bdi>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Problems({
  problems,
  text,
}: {
  problems: readonly ConfigProblem[];
  text: string | null;
}): JSX.Element {
  const lines = text?.split('\n') ?? [];
  return (
    <div class="note failed" role="alert">
      <ul>
        {problems.map(({ message, path, line, fix }) => (
          <li key={`${line} ${path} ${message}`}>
            <span aria-hidden="true">✕ </span>
            {line === null ? null : <strong>line {line}: </strong>}
            <bdi>{message}</bdi>
            {path === null ? null : (
              <small class="dim">
                {' '}
                at <code>{path}</code>
              </small>
            )}
            {line === null || lines[line - 1] === undefined ? null : (
              <pre class="code">{lines[line - 1]}</pre>
            )}
            {fix === null ? null : <p>{fix}</p>}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Effects({ effects }: { effects: ConfigView['pending'] }): JSX.Element {
  if (!effects) return <p class="dim">Nothing: the file has problems.</p>;
  const words = {
    added: 'adds',
    removed: 'removes',
    restarted: 'restarts',
    updated: 'updates',
    restart_required: 'needs a restart of the gateway for',
  } as const;
  const some = Object.entries(words).filter(([kind]) => effects[kind as keyof typeof words].length > 0);
  if (some.length === 0) return <p class="dim">Nothing: the file is what runs.</p>;
  return (
    <ul>
      {some.map(([kind, word]) => (
        <li key={kind}>
          {word} <bdi>{effects[kind as keyof typeof words].join(', ')}</bdi>
        </li>
      ))}
    </ul>
  );
}

function Reload({ done }: { done: () => void }): JSX.Element {
  const failed = useSignal<Failure | null>(null);
  const busy = useSignal(false);
  return (
    <>
      <p class="actions">
        <Button
          kind="main"
          disabled={busy.value}
          onClick={() => {
            busy.value = true;
            void post<Reloaded>('reload').then((result) => {
              busy.value = false;
              failed.value = result.ok ? null : result;
              if (result.ok) announce('Reloaded');
              done();
            });
          }}
        >
          Reload
        </Button>{' '}
        <Command text="mcpstead reload" />
      </p>
      {failed.value ? <Problem failure={failed.value} /> : null}
    </>
  );
}

function Editor({ view, text, done }: { view: ConfigView; text: string; done: () => void }): JSX.Element {
  const draft = useSignal(text);
  const checked = useSignal<ConfigCheck | null>(null);
  const failed = useSignal<Failure | null>(null);
  useEffect(() => {
    draft.value = text;
    checked.value = null;
  }, [text]);
  const check = (): void =>
    void post<ConfigCheck>('config/check', { text: draft.value }).then((result) => {
      failed.value = result.ok ? null : result;
      checked.value = result.ok ? result.value : null;
    });
  const apply = (): void =>
    void post(
      'config/apply',
      { text: draft.value },
      view.etag === null ? {} : { 'if-match': view.etag },
    ).then((result) => {
      failed.value = result.ok ? null : result;
      if (!result.ok) return;
      announce('Applied');
      done();
    });
  const found = checked.value;
  return (
    <section aria-label="Edit">
      <h2>Edit</h2>
      <div class="field">
        <label for="config-text">
          The file <small class="dim">a *** that you leave keeps its value</small>
        </label>
        <textarea
          id="config-text"
          class="code"
          rows={20}
          spellcheck={false}
          value={draft.value}
          onInput={(event) => {
            draft.value = event.currentTarget.value;
            checked.value = null;
          }}
        />
      </div>
      <p class="actions">
        <Button onClick={check}>Check</Button>{' '}
        <Button kind="main" disabled={!found || found.problems.length > 0} onClick={apply}>
          Apply
        </Button>{' '}
        <small class="dim">Apply keeps a backup of the file and reloads.</small>
      </p>
      {failed.value ? <Problem failure={failed.value} /> : null}
      {found ? (
        <>
          {found.problems.length > 0 ? <Problems problems={found.problems} text={draft.value} /> : null}
          <Warnings warnings={found.warnings} />
          <h3>Changes</h3>
          {found.diff === '' ? <p class="dim">None.</p> : <Diff text={found.diff} />}
          <h3>Effects</h3>
          <Effects effects={found.effects} />
        </>
      ) : null}
    </section>
  );
}

/** A unified diff: the signs say what the colours say. */
export function Diff({ text }: { text: string }): JSX.Element {
  return (
    <pre class="code diff" tabIndex={0}>
      {text.split('\n').map((line, n) => (
        <span key={n} class={line.startsWith('+') ? 'plus' : line.startsWith('-') ? 'minus' : ''}>
          {line}
          {'\n'}
        </span>
      ))}
    </pre>
  );
}

function Numbered({ text, marks }: { text: string; marks: readonly ConfigProblem[] }): JSX.Element {
  const wrong = new Set(marks.map(({ line }) => line));
  return (
    <pre class="code" tabIndex={0}>
      {text.split('\n').map((line, n) => (
        <span key={n} class={wrong.has(n + 1) ? 'minus' : ''}>
          {`${wrong.has(n + 1) ? '✕' : ' '}${String(n + 1).padStart(4)}  ${line}\n`}
        </span>
      ))}
    </pre>
  );
}
