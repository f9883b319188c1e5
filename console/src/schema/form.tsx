/** A form for a JSON schema. */
import type { Signal } from '@preact/signals';
import type { JSX } from 'preact';
import { useId } from 'preact/hooks';
import { Button, Foreign } from '../ui/basics.js';
import { below, countOf, restOf, type Drafts } from './draft.js';
import type { Field, Shape } from './shape.js';

interface Form {
  readonly drafts: Signal<Drafts>;
  readonly problems: ReadonlyMap<string, string>;
}

function change(form: Form, path: string, text: string): void {
  form.drafts.value = new Map(form.drafts.value).set(path, text);
}

export function SchemaForm({ shape, drafts, problems }: Form & { readonly shape: Shape }): JSX.Element {
  const form = { drafts, problems };
  if (shape.kind === 'object') return <Members shape={shape} path="" form={form} />;
  const field: Field = {
    name: 'arguments',
    title: null,
    description: null,
    required: true,
    shape,
    schema: {},
  };
  return <Labelled field={field} path="" form={form} />;
}

function Members({
  shape,
  path,
  form,
}: {
  shape: Extract<Shape, { kind: 'object' }>;
  path: string;
  form: Form;
}): JSX.Element {
  const rest = restOf(path);
  return (
    <>
      {shape.fields.map((field) => (
        <Labelled key={field.name} field={field} path={below(path, field.name)} form={form} />
      ))}
      {shape.rest || form.drafts.value.has(rest) ? (
        <Labelled
          field={{
            name: shape.fields.length > 0 ? 'further members' : 'arguments',
            title: null,
            description: 'An object, as JSON',
            required: false,
            shape: { kind: 'json' },
            schema: {},
          }}
          path={rest}
          form={form}
        />
      ) : null}
    </>
  );
}

function Labelled({ field, path, form }: { field: Field; path: string; form: Form }): JSX.Element {
  const id = useId();
  const problem = form.problems.get(path);
  const { shape } = field;
  const hint = hintOf(field);
  const name = (
    <>
      <bdi class="name">{field.name}</bdi>
      {field.required ? <span class="required"> required</span> : null}
      {hint === '' ? null : <small class="dim"> {hint}</small>}
    </>
  );
  const help = (
    <div id={`${id}-help`}>
      {field.title !== null && field.title !== field.name ? <Foreign text={field.title} block /> : null}
      {field.description === null ? null : <Foreign text={field.description} block />}
      {problem === undefined ? null : (
        <p class="problem">
          <span aria-hidden="true">✕ </span>
          {problem}
        </p>
      )}
    </div>
  );
  if (shape.kind === 'object' || shape.kind === 'list' || shape.kind === 'choices')
    return (
      <fieldset class="field" aria-describedby={`${id}-help`}>
        <legend>{name}</legend>
        {help}
        <Group shape={shape} path={path} form={form} />
      </fieldset>
    );
  return (
    <div class="field">
      <label for={id}>{name}</label>
      <Input shape={shape} path={path} form={form} id={id} field={field} invalid={problem !== undefined} />
      {help}
    </div>
  );
}

const limit = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

function hintOf({ shape, schema }: Field): string {
  const { default: standard } = schema;
  const minimum = limit(schema['minimum']);
  const maximum = limit(schema['maximum']);
  const range =
    minimum !== undefined && maximum !== undefined
      ? `${minimum} to ${maximum}`
      : minimum !== undefined
        ? `from ${minimum}`
        : maximum !== undefined
          ? `to ${maximum}`
          : '';
  const kind =
    shape.kind === 'json'
      ? 'JSON'
      : shape.kind === 'number'
        ? shape.integer
          ? 'whole number'
          : 'number'
        : shape.kind === 'text'
          ? (shape.format ?? '')
          : '';
  const preset = standard === undefined ? '' : `default ${JSON.stringify(standard).slice(0, 60)}`;
  return [kind, range, preset].filter(Boolean).join(', ');
}

function Group({ shape, path, form }: { shape: Shape; path: string; form: Form }): JSX.Element {
  if (shape.kind === 'object') return <Members shape={shape} path={path} form={form} />;
  if (shape.kind === 'choices') {
    const chosen = new Set((form.drafts.value.get(path) ?? '').split('\n').filter(Boolean));
    return (
      <>
        {shape.options.map(({ json, label }) => (
          <label key={json} class="check">
            <input
              type="checkbox"
              checked={chosen.has(json)}
              onChange={(event) => {
                if (event.currentTarget.checked) chosen.add(json);
                else chosen.delete(json);
                change(form, path, [...chosen].join('\n'));
              }}
            />{' '}
            <bdi>{label}</bdi>
          </label>
        ))}
      </>
    );
  }
  if (shape.kind !== 'list') return <></>;
  const count = countOf(form.drafts.value, path);
  return (
    <>
      {Array.from({ length: count }, (_, n) => (
        <Labelled
          key={n}
          field={{
            name: String(n + 1),
            title: null,
            description: null,
            required: true,
            shape: shape.item,
            schema: shape.schema,
          }}
          path={below(path, n)}
          form={form}
        />
      ))}
      <Button kind="quiet" onClick={() => change(form, `${path}#`, String(count + 1))}>
        Add an item
      </Button>{' '}
      {count > 0 ? (
        <Button kind="quiet" onClick={() => dropLast(form, path, count - 1)}>
          Remove the last
        </Button>
      ) : null}
    </>
  );
}

function dropLast(form: Form, path: string, count: number): void {
  const drafts = new Map(form.drafts.value).set(`${path}#`, String(count));
  const gone = below(path, count);
  for (const key of drafts.keys())
    if (key === gone || key.startsWith(`${gone}/`) || key.startsWith(`${gone}#`)) drafts.delete(key);
  form.drafts.value = drafts;
}

interface InputProps {
  readonly shape: Shape;
  readonly path: string;
  readonly form: Form;
  readonly id: string;
  readonly field: Field;
  readonly invalid: boolean;
}

function Input({ shape, path, form, id, field, invalid }: InputProps): JSX.Element {
  const value = form.drafts.value.get(path) ?? '';
  const common = {
    id,
    'aria-describedby': `${id}-help`,
    'aria-invalid': invalid,
    'aria-required': field.required,
    value,
  } as const;
  const typed = (event: { readonly currentTarget: { readonly value: string } }): void =>
    change(form, path, event.currentTarget.value);
  switch (shape.kind) {
    case 'boolean':
    case 'choice': {
      const options =
        shape.kind === 'choice' ? shape.options : ['true', 'false'].map((json) => ({ json, label: json }));
      return (
        <select {...common} onChange={typed}>
          <option value="">{field.required ? 'choose' : 'not set'}</option>
          {options.map(({ json, label }) => (
            <option key={json} value={json}>
              {label}
            </option>
          ))}
        </select>
      );
    }
    case 'json':
      return <textarea {...common} class="code" rows={4} spellcheck={false} onInput={typed} />;
    case 'text':
      if (shape.long)
        return (
          <textarea
            {...common}
            dir="auto"
            rows={value.includes('\n') || value.length > 80 ? 5 : 1}
            onInput={typed}
          />
        );
      if (shape.format === 'date') return <input {...common} type="date" onInput={typed} />;
      return (
        <input
          {...common}
          dir="auto"
          type="text"
          inputMode={shape.format === 'email' ? 'email' : 'text'}
          onInput={typed}
        />
      );
    default:
      return <input {...common} type="text" inputMode="decimal" autocomplete="off" onInput={typed} />;
  }
}
