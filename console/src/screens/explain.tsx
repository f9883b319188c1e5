/** See as: what a policy shows to somebody, and by which rule. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { ask, type Failure } from '../data/api.js';
import { plural } from '../format.js';
import { mistakeOf } from '../json.js';
import { place, setQuery } from '../router.js';
import { Empty, Problem, Title } from '../ui/basics.js';

interface Item {
  readonly kind: string;
  readonly server: string;
  readonly name: string;
  readonly verdict: 'shown' | 'guarded' | 'held' | 'hidden';
  readonly rule: string;
  readonly call?: 'allow' | 'deny' | 'step_up';
  readonly error?: string;
}

interface Answer {
  readonly principal: string;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  readonly route: string;
  readonly items: readonly Item[];
  readonly unknown?: string;
}

const MARKS = {
  shown: ['ok', '●'],
  guarded: ['attention', '▲'],
  held: ['attention', '◆'],
  hidden: ['off', '○'],
} as const;
const SHOWN = 1_000;

export function Explain(): JSX.Element {
  const { query } = place.value;
  const answer = useSignal<Answer | null>(null);
  const failed = useSignal<Failure | null>(null);
  const args = useSignal('');
  const groups = useSignal('');
  const mistake = args.value.trim() === '' ? null : mistakeOf(args.value);
  const send = (): void => {
    const tool = query.get('tool') ?? '';
    const listed = groups.value.split(/[\s,]+/).filter(Boolean);
    void ask<Answer>('/-/explain', {
      method: 'POST',
      body: {
        as: query.get('as') ?? '',
        ...(query.get('route') ? { route: query.get('route') } : {}),
        ...(tool === '' ? {} : { tool }),
        ...(listed.length > 0 ? { groups: listed } : {}),
        ...(args.value.trim() === '' ? {} : { args: JSON.parse(args.value) as unknown }),
      },
    }).then((result) => {
      failed.value = result.ok ? null : result;
      answer.value = result.ok ? result.value : null;
    });
  };
  // An address with a question in it brings its answer.
  useEffect(() => {
    if (query.get('as')) send();
  }, []);
  const text = (name: string, label: string, hint: string): JSX.Element => (
    <div class="field">
      <label for={`explain-${name}`}>
        {label} <small class="dim">{hint}</small>
      </label>
      <input
        id={`explain-${name}`}
        value={query.get(name) ?? ''}
        onInput={(event) => setQuery({ [name]: event.currentTarget.value })}
      />
    </div>
  );
  return (
    <>
      <Title>See as</Title>
      <form
        class="narrow"
        onSubmit={(event) => {
          event.preventDefault();
          if (!mistake) send();
        }}
      >
        {text('as', 'Who', 'key:ci, corp:alice, anonymous')}
        {text('route', 'Endpoint', '/mcp if empty')}
        {text('tool', 'Tool', 'all if empty')}
        <div class="field">
          <label for="explain-groups">
            Groups <small class="dim">for somebody who is not a key</small>
          </label>
          <input
            id="explain-groups"
            value={groups.value}
            onInput={(event) => (groups.value = event.currentTarget.value)}
          />
        </div>
        <div class="field">
          <label for="explain-args">
            Arguments <small class="dim">JSON, for a tool whose calls are checked</small>
          </label>
          <textarea
            id="explain-args"
            class="code"
            rows={2}
            aria-invalid={mistake !== null}
            value={args.value}
            onInput={(event) => (args.value = event.currentTarget.value)}
          />
          {mistake ? (
            <p class="problem">
              line {mistake.line}, column {mistake.column}: {mistake.message}
            </p>
          ) : null}
        </div>
        <p class="actions">
          <button type="submit" class="main" disabled={(query.get('as') ?? '') === '' || mistake !== null}>
            Explain
          </button>
        </p>
      </form>
      {failed.value ? <Problem failure={failed.value} /> : null}
      {answer.value ? (
        <Items answer={answer.value} />
      ) : (
        <Empty commands={['mcpstead policy explain --as key:ci']}>
          It asks the running gateway; nothing is called.
        </Empty>
      )}
    </>
  );
}

function Items({ answer }: { answer: Answer }): JSX.Element {
  return (
    <section aria-label="Decisions">
      <h2>
        <bdi>{answer.principal}</bdi> at {answer.route}: {plural(answer.items.length, 'item')}
      </h2>
      <p class="dim">
        groups: {answer.groups.join(', ') || 'none'}; scopes: {answer.scopes.join(', ') || 'none'}
      </p>
      {answer.unknown === undefined ? null : <p class="problem">No server offers {answer.unknown}.</p>}
      <ul class="rows">
        {answer.items.slice(0, SHOWN).map((item) => (
          <li key={`${item.kind} ${item.server} ${item.name}`} class="explain-row" data-row tabIndex={-1}>
            <span class={`status ${MARKS[item.verdict][0]}`}>
              <span class="mark" aria-hidden="true">
                {MARKS[item.verdict][1]}
              </span>{' '}
              {item.verdict}
            </span>
            <bdi class="name">{item.name}</bdi>
            <span class="dim">
              {item.kind} of <bdi>{item.server}</bdi>
            </span>
            <span class="dim">
              rule <bdi>{item.rule}</bdi>
            </span>
            {item.call === undefined ? null : (
              <span class="cause">
                a call: {item.call} <bdi>{item.error}</bdi>
              </span>
            )}
          </li>
        ))}
      </ul>
      {answer.items.length > SHOWN ? <p class="dim">The first {SHOWN} are shown: name a tool.</p> : null}
    </section>
  );
}
