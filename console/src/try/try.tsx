/** A request to try: its arguments as a form or as JSON, and what comes of it. */
import { useComputed, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useMemo } from 'preact/hooks';
import { objectOf, type Era } from '../../../src/client/types.js';
import { me } from '../data/live.js';
import { duration } from '../format.js';
import { indented, mistakeOf } from '../json.js';
import { place, setQuery } from '../router.js';
import { check } from '../schema/check.js';
import { collect, spread, type Drafts } from '../schema/draft.js';
import { SchemaForm } from '../schema/form.js';
import { shapeOf } from '../schema/shape.js';
import { Button, Copy, Tabs } from '../ui/basics.js';
import { curlOf } from './curl.js';
import { Asking } from './questions.js';
import { Result } from './result.js';
import { Run, type Asked } from './run.js';

interface Props {
  readonly method: Asked['method'];
  readonly name: string;
  readonly server: string;
  /** Of the arguments; undefined: there are none. */
  readonly schema: unknown;
  readonly verb: string;
  /** A tool that says it destroys. */
  readonly warning?: string;
}

export function Try({ method, name, server, schema, verb, warning }: Props): JSX.Element {
  const run = useMemo(() => new Run(), [method, name]);
  useEffect(() => () => run.close(), [run]);
  const shape = useMemo(() => shapeOf(schema ?? { type: 'object' }), [schema]);
  const drafts = useSignal<Drafts>(new Map());
  const text = useSignal('{}');
  const json = useSignal(shape.kind !== 'object');
  const problems = useSignal<ReadonlyMap<string, string>>(new Map());
  /** What the schema does not like, although it can be sent. */
  const doubts = useSignal<readonly string[]>([]);
  const note = useSignal('');
  const era: Era = place.value.query.get('era') === 'legacy' ? 'legacy' : 'modern';
  const hasArguments = method !== 'resources/read';
  const mistake = useComputed(() => (json.value ? mistakeOf(text.value) : null));

  const switchTo = (toJson: boolean): void => {
    note.value = '';
    if (toJson === json.value) return;
    if (toJson) text.value = indented(collect(shape, drafts.value).json ?? '{}');
    else {
      if (mistakeOf(text.value)) {
        note.value = 'Correct the JSON first.';
        return;
      }
      const shown = spread(shape, JSON.parse(text.value));
      if (!shown) {
        note.value = 'The form cannot show these arguments without a change.';
        return;
      }
      drafts.value = shown;
    }
    problems.value = new Map();
    doubts.value = [];
    json.value = toJson;
  };

  /** undefined: it cannot be sent as it is. */
  const asked = (): Asked | undefined => {
    if (method === 'resources/read') return { method, name };
    const withSchema = schema === undefined ? {} : { schema };
    if (json.value) {
      if (mistakeOf(text.value)) return undefined;
      if (!objectOf(JSON.parse(text.value))) {
        note.value = 'The arguments are an object: {...}';
        return undefined;
      }
      return { method, name, json: text.value, ...withSchema };
    }
    const collected = collect(shape, drafts.value);
    problems.value = collected.problems;
    if (collected.problems.size > 0 || collected.json === undefined) return undefined;
    return { method, name, json: collected.json, ...withSchema };
  };

  const send = (): void => {
    note.value = '';
    if (run.running.value) return;
    const request = asked();
    if (!request) {
      focusProblem();
      return;
    }
    if (schema !== undefined && 'json' in request) {
      const findings = check(schema, JSON.parse(request.json)) ?? [];
      const texts = findings.map(({ path, message }) => `${path === '' ? '' : `${path} `}${message}`);
      const before = doubts.value;
      doubts.value = texts;
      if (!json.value) problems.value = new Map(findings.map(({ path, message }) => [path, message]));
      // The first press shows what the schema says; the same again sends it.
      if (texts.length > 0 && texts.join() !== before.join()) {
        focusProblem();
        return;
      }
    }
    void run.start(request, era);
  };

  return (
    <div
      class="try"
      onKeyDown={(event) => {
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          send();
        }
      }}
    >
      <section class="arguments" aria-label={hasArguments ? 'Arguments' : 'Request'}>
        <div class="actions">
          {hasArguments ? (
            <Tabs
              label="Arguments as"
              now={json.value ? 'json' : 'form'}
              pick={(id) => switchTo(id === 'json')}
              tabs={[
                { id: 'form', text: 'Form' },
                { id: 'json', text: 'JSON' },
              ]}
            />
          ) : null}
          <Eras now={era} />
        </div>
        {warning === undefined ? null : (
          <p class="note attention">
            <span aria-hidden="true">▲ </span>
            {warning}
          </p>
        )}
        {!hasArguments ? null : json.value ? (
          <div class="field">
            <label for="raw-arguments">
              Arguments as JSON <small class="dim">sent as they are</small>
            </label>
            <textarea
              id="raw-arguments"
              class="code"
              rows={12}
              spellcheck={false}
              value={text.value}
              aria-invalid={mistake.value !== null}
              aria-describedby="raw-mistake"
              onInput={(event) => (text.value = event.currentTarget.value)}
            />
            <p id="raw-mistake" class="problem" role="status">
              {mistake.value === null
                ? ''
                : `Line ${mistake.value.line}, column ${mistake.value.column}: ${mistake.value.message}`}
            </p>
          </div>
        ) : (
          <>
            <SchemaForm shape={shape} drafts={drafts} problems={problems.value} />
            {shape.kind === 'object' && shape.fields.length === 0 && !shape.rest ? (
              <p class="dim">It takes no arguments.</p>
            ) : null}
          </>
        )}
        {note.value === '' ? null : <p class="problem">{note.value}</p>}
        {doubts.value.length > 0 ? (
          <div class="note attention">
            <p>The schema of the tool says otherwise. {verb} again sends it all the same.</p>
            <ul>
              {doubts.value.map((doubt) => (
                <li key={doubt}>{doubt}</li>
              ))}
            </ul>
          </div>
        ) : null}
        <p class="actions">
          {run.running.value ? (
            <Button kind="danger" onClick={() => run.cancel()}>
              Cancel
            </Button>
          ) : (
            <button type="button" class="main" onClick={send} disabled={mistake.value !== null}>
              {verb} <kbd>Ctrl ⏎</kbd>
            </button>
          )}{' '}
          <Curl asked={asked} era={era} />
        </p>
      </section>
      <section class="outcome-side" aria-label="What happens">
        <Steps run={run} />
        {run.questions.value.map((open) => (
          <Asking key={open.key} open={open} server={server} />
        ))}
        <Result run={run} />
        {run.steps.value.length === 0 && !run.running.value && !run.outcome.value ? (
          <p class="empty">
            The result appears here, with progress, log messages and questions of the server.
          </p>
        ) : null}
      </section>
    </div>
  );
}

function focusProblem(): void {
  setTimeout(() => {
    document.querySelector<HTMLElement>('.try [aria-invalid="true"]')?.focus();
  });
}

function Eras({ now }: { now: Era }): JSX.Element {
  return (
    <fieldset class="eras">
      <legend>as a client of</legend>
      {(['legacy', 'modern'] as const).map((era) => (
        <label key={era}>
          <input type="radio" name="era" checked={era === now} onChange={() => setQuery({ era })} /> {era}
        </label>
      ))}
    </fieldset>
  );
}

function Curl({ asked, era }: { asked: () => Asked | undefined; era: Era }): JSX.Element | null {
  const known = me.value;
  const text = useSignal<string | null>(null);
  if (!known) return null;
  return (
    <>
      <Button
        kind="quiet"
        onClick={() => {
          const request = asked();
          text.value = request ? curlOf(request, era, known.endpoint, known.auth === 'bearer') : null;
          if (!request) focusProblem();
        }}
      >
        curl
      </Button>
      {text.value === null ? null : (
        <span class="curl">
          <pre class="code" tabIndex={0}>
            {text.value}
          </pre>
          <Copy text={text.value}>Copy curl</Copy>
        </span>
      )}
    </>
  );
}

function Steps({ run }: { run: Run }): JSX.Element | null {
  const steps = run.steps.value;
  if (!run.running.value && steps.length === 0) return null;
  const last = steps.findLast(({ share }) => share !== undefined);
  return (
    <>
      {run.running.value && last?.share !== undefined ? (
        <progress value={last.share} max={1} aria-label="Progress" />
      ) : null}
      <ol class="steps">
        {steps.map((step, n) => (
          <li key={n} class={step.kind}>
            <span class="number">{duration(step.at)}</span> <bdi>{step.text}</bdi>
          </li>
        ))}
        {run.running.value ? (
          <li class="dim">
            {run.questions.value.length > 0 ? 'waiting for your answer ...' : 'waiting for the server ...'}
          </li>
        ) : null}
      </ol>
    </>
  );
}
