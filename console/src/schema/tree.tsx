/** A JSON schema to read. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { objectOf, type JsonObject } from '../../../src/client/types.js';
import { Button, Foreign } from '../ui/basics.js';
import { textAt } from './shape.js';

const DEPTH = 12;
const MAX_MEMBERS = 300;

export function SchemaView({ schema, title }: { schema: unknown; title: string }): JSX.Element {
  const raw = useSignal(false);
  return (
    <section class="schema">
      <h2>
        {title}{' '}
        <Button
          kind="quiet"
          pressed={raw.value}
          onClick={() => (raw.value = !raw.value)}
          label={`${title} as JSON`}
        >
          Raw
        </Button>
      </h2>
      {raw.value ? (
        <pre class="code" tabIndex={0}>
          {JSON.stringify(schema, null, 2)}
        </pre>
      ) : (
        <Tree schema={schema} depth={0} />
      )}
    </section>
  );
}

function typeOf(schema: JsonObject): string {
  const { type, enum: values, const: only } = schema;
  if (typeof schema['$ref'] === 'string') return schema['$ref'];
  if (Array.isArray(values)) return `one of ${values.map((value) => JSON.stringify(value)).join(', ')}`;
  if (only !== undefined) return JSON.stringify(only);
  if (Array.isArray(type)) return type.join(' or ');
  if (type === 'array') {
    const items = objectOf(schema['items']);
    return items ? `list of ${typeOf(items)}` : 'list';
  }
  if (typeof type === 'string') return type;
  for (const keyword of ['anyOf', 'oneOf', 'allOf']) if (Array.isArray(schema[keyword])) return keyword;
  return 'anything';
}

const LIMITS = [
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'pattern',
  'format',
  'default',
];

function Tree({ schema, depth }: { schema: unknown; depth: number }): JSX.Element {
  const object = objectOf(schema);
  if (!object || depth > DEPTH) return <pre class="code">{JSON.stringify(schema)?.slice(0, 2_000)}</pre>;
  const required = new Set(Array.isArray(object['required']) ? (object['required'] as unknown[]) : []);
  const members: [string, unknown, boolean][] = Object.entries(objectOf(object['properties']) ?? {}).map(
    ([name, member]) => [name, member, required.has(name)],
  );
  for (const keyword of ['anyOf', 'oneOf', 'allOf'])
    if (Array.isArray(object[keyword]))
      for (const [n, choice] of (object[keyword] as unknown[]).entries())
        members.push([`${keyword} ${n + 1}`, choice, false]);
  for (const keyword of ['$defs', 'definitions'])
    for (const [name, member] of Object.entries(objectOf(object[keyword]) ?? {}))
      members.push([`#/${keyword}/${name}`, member, false]);
  if (members.length === 0)
    return <p class="dim">{depth === 0 ? 'No members are described.' : typeOf(object)}</p>;
  return (
    <ul class="tree">
      {members.slice(0, MAX_MEMBERS).map(([name, member, isRequired]) => (
        <Member key={name} name={name} schema={member} required={isRequired} depth={depth} />
      ))}
      {members.length > MAX_MEMBERS ? <li>{members.length - MAX_MEMBERS} more: see Raw</li> : null}
    </ul>
  );
}

function Member({
  name,
  schema,
  required,
  depth,
}: {
  name: string;
  schema: unknown;
  required: boolean;
  depth: number;
}): JSX.Element {
  const object = objectOf(schema) ?? {};
  const description = textAt(object, 'description');
  const items = objectOf(object['items']);
  const inner =
    object['properties'] || object['anyOf'] || object['oneOf'] || object['allOf'] ? object : items;
  const nested = inner && (inner['properties'] || inner['anyOf'] || inner['oneOf'] || inner['allOf']);
  const limits = LIMITS.filter((key) => object[key] !== undefined).map(
    (key) => `${key} ${JSON.stringify(object[key])}`,
  );
  return (
    <li>
      <bdi class="name">{name}</bdi> <span class="dim">{typeOf(object)}</span>
      {required ? <span class="required"> required</span> : null}
      {limits.length > 0 ? <small class="dim"> {limits.join(', ')}</small> : null}
      {description === null ? null : <Foreign text={description} block />}
      {nested ? <Tree schema={inner} depth={depth + 1} /> : null}
    </li>
  );
}
