/** What a server asks of the person: a form, a page to open, a model's answer, folders. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useId, useMemo, useRef } from 'preact/hooks';
import { objectOf, type JsonObject } from '../../../src/client/types.js';
import { check } from '../schema/check.js';
import { collect, defaultsOf, type Drafts } from '../schema/draft.js';
import { SchemaForm } from '../schema/form.js';
import { shapeOf, textAt } from '../schema/shape.js';
import { Button, Foreign } from '../ui/basics.js';
import type { OpenQuestion } from './run.js';

export function Asking({ open, server }: { open: OpenQuestion; server: string }): JSX.Element {
  const { question, reply } = open;
  const { params } = question;
  const section = useRef<HTMLElement>(null);
  useEffect(() => section.current?.scrollIntoView({ block: 'nearest' }), []);
  const refuse = (): void => reply({ error: { code: -1, message: 'refused by the user' } });
  const body = (): JSX.Element => {
    if (question.method === 'elicitation/create')
      return params['mode'] === 'url' ? (
        <Page params={params} reply={reply} />
      ) : (
        <Elicited params={params} reply={reply} />
      );
    if (question.method === 'sampling/createMessage')
      return <Sampled params={params} reply={reply} refuse={refuse} />;
    return <Roots reply={reply} refuse={refuse} />;
  };
  return (
    <section ref={section} class="question" aria-label={`${server} asks (${open.key}): ${question.method}`}>
      <h2>
        <span class="mark attention" aria-hidden="true">
          ?
        </span>{' '}
        <bdi>{server}</bdi> asks <small class="dim">{question.method}</small>
      </h2>
      {body()}
    </section>
  );
}

type Replied = OpenQuestion['reply'];

function Elicited({ params, reply }: { params: JsonObject; reply: Replied }): JSX.Element {
  const schema = params['requestedSchema'];
  const shape = useMemo(() => shapeOf(schema), [schema]);
  const drafts = useSignal<Drafts>(useMemo(() => defaultsOf(shape), [shape]));
  const problems = useSignal<ReadonlyMap<string, string>>(new Map());
  return (
    <>
      <Foreign text={textAt(params, 'message') ?? ''} block />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const { json, problems: found } = collect(shape, drafts.value);
          const content: unknown = found.size === 0 && json !== undefined ? JSON.parse(json) : undefined;
          const findings = content === undefined ? [] : (check(schema, content) ?? []);
          problems.value = new Map([
            ...findings.map(({ path, message }) => [path, message] as const),
            ...found,
          ]);
          if (problems.value.size === 0) reply({ result: { action: 'accept', content } });
        }}
      >
        <SchemaForm shape={shape} drafts={drafts} problems={problems.value} />
        <p class="actions">
          <button type="submit" class="main">
            Answer
          </button>{' '}
          <Button onClick={() => reply({ result: { action: 'decline' } })}>Decline</Button>{' '}
          <Button onClick={() => reply({ result: { action: 'cancel' } })}>Dismiss</Button>
        </p>
      </form>
    </>
  );
}

function Page({ params, reply }: { params: JsonObject; reply: Replied }): JSX.Element {
  const address = textAt(params, 'url') ?? '';
  let target: URL | undefined;
  try {
    target = new URL(address);
  } catch {
    target = undefined;
  }
  const safe = target && (target.protocol === 'https:' || target.protocol === 'http:') ? target : undefined;
  return (
    <>
      <Foreign text={textAt(params, 'message') ?? ''} block />
      {safe ? (
        <p>
          It wants to open a page of <strong>{safe.host}</strong>: <code class="break">{safe.href}</code>
        </p>
      ) : (
        <p class="problem">This is not the address of a web page, and is not opened: {address}</p>
      )}
      <p class="actions">
        {safe ? (
          <Button
            kind="main"
            onClick={() => {
              open(safe.href, '_blank', 'noopener,noreferrer');
              reply({ result: { action: 'accept' } });
            }}
          >
            {`Open ${safe.host}`}
          </Button>
        ) : null}{' '}
        <Button onClick={() => reply({ result: { action: 'decline' } })}>Decline</Button>{' '}
        <Button onClick={() => reply({ result: { action: 'cancel' } })}>Dismiss</Button>
      </p>
    </>
  );
}

function Sampled({
  params,
  reply,
  refuse,
}: {
  params: JsonObject;
  reply: Replied;
  refuse: () => void;
}): JSX.Element {
  const text = useSignal('');
  const id = useId();
  const messages = Array.isArray(params['messages']) ? (params['messages'] as unknown[]) : [];
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        reply({
          result: {
            role: 'assistant',
            content: { type: 'text', text: text.value },
            model: 'a person at the console',
            stopReason: 'endTurn',
          },
        });
      }}
    >
      {textAt(params, 'systemPrompt') === null ? null : (
        <Foreign text={`System: ${textAt(params, 'systemPrompt')}`} block />
      )}
      {messages.map((message, n) => (
        <Foreign key={n} text={spoken(message)} block />
      ))}
      <div class="field">
        <label for={id}>Answer in place of a model</label>
        <textarea
          id={id}
          dir="auto"
          rows={3}
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
      </div>
      <AnswerOrRefuse refuse={refuse} />
    </form>
  );
}

function spoken(message: unknown): string {
  const object = objectOf(message) ?? {};
  const content = objectOf(object['content']);
  const text = content ? textAt(content, 'text') : null;
  return `${textAt(object, 'role') ?? 'message'}: ${text ?? JSON.stringify(object['content'])}`;
}

function Roots({ reply, refuse }: { reply: Replied; refuse: () => void }): JSX.Element {
  const text = useSignal('');
  const id = useId();
  const lines = text.value
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  const wrong = lines.find((line) => !line.startsWith('file://'));
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (wrong === undefined) reply({ result: { roots: lines.map((uri) => ({ uri })) } });
      }}
    >
      <div class="field">
        <label for={id}>
          Folders, a file:// address a line <small class="dim">none: an empty list</small>
        </label>
        <textarea
          id={id}
          class="code"
          rows={3}
          value={text.value}
          aria-invalid={wrong !== undefined}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
        {wrong === undefined ? null : <p class="problem">does not begin with file://: {wrong}</p>}
      </div>
      <AnswerOrRefuse refuse={refuse} />
    </form>
  );
}

function AnswerOrRefuse({ refuse }: { refuse: () => void }): JSX.Element {
  return (
    <p class="actions">
      <button type="submit" class="main">
        Answer
      </button>{' '}
      <Button onClick={refuse}>Refuse</Button>
    </p>
  );
}
