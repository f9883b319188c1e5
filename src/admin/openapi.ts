/** The OpenAPI document of the admin API, made of its routes. */
import { z } from 'zod';
import { replicatedOf, type Replicated, type RouteSpec } from './route.js';
import * as schemas from './schemas.js';

const BASE = '/-/api/v1/';

/** Who is admitted, in words. */
export const WHO: Readonly<Record<RouteSpec['who'], string>> = {
  open: 'everybody',
  holder: 'every principal; with mode: none everybody',
  self: 'every principal, for itself',
  viewer: 'viewers and operators',
  operator: 'operators',
};

const replicaAs = (description: string): object => ({
  ...{ name: 'replica', in: 'query', required: false, description },
  schema: { type: 'string' },
});

/** The parameter that chooses replicas of a fleet. */
const REPLICA: Readonly<Record<Replicated, readonly object[]>> = {
  none: [],
  one: [replicaAs('the id of the replica of a fleet that answers')],
  all: [
    replicaAs(
      'the id of the replica of a fleet that answers, or `all`: the answer then has a row for each replica',
    ),
  ],
};

export function openApi(routes: readonly RouteSpec[]): Record<string, unknown> {
  const paths: Record<string, Record<string, object>> = {};
  for (const spec of routes) (paths[BASE + spec.path] ??= {})[spec.method.toLowerCase()] = operation(spec);
  return {
    openapi: '3.1.0',
    info: {
      title: 'mcpstead admin API',
      version: '1',
      description:
        'Members and routes are only added. Times are ISO 8601, durations milliseconds, sizes bytes; null means unknown.',
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'The console key, or the credential of an operator or a viewer.',
        },
      },
      schemas: components(),
    },
  };
}

function operation(spec: RouteSpec): object {
  const { path, who, summary, query, body, answer } = spec;
  const replica = REPLICA[replicatedOf(spec)];
  const params = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  return {
    summary,
    description: `For ${WHO[who]}.`,
    operationId: nameOf(spec),
    ...(who === 'open' && { security: [] }),
    ...(who === 'holder' && { security: [{ bearer: [] }, {}] }),
    parameters: [...params, ...(query ? queryOf(query) : []), ...replica],
    ...(body && {
      requestBody: { required: true, content: { 'application/json': { schema: refTo(body) } } },
    }),
    responses: {
      200: {
        description: answer ? 'OK' : 'A stream of events: `snapshot`, then `change`.',
        content: answer
          ? { 'application/json': { schema: refTo(answer) } }
          : {
              'text/event-stream': {
                schema: { oneOf: [refTo(schemas.Events.snapshot), refTo(schemas.Events.change)] },
              },
            },
      },
      default: {
        description: 'An error.',
        content: { 'application/problem+json': { schema: refTo(schemas.Problem) } },
      },
    },
  };
}

/** `GET servers/{server}/history`: getServersHistory. */
function nameOf({ method, path }: RouteSpec): string {
  const words = path.split(/[/.]/).map((part) => part.replace(/^\{(.*)\}$/, 'by-$1'));
  return (
    method.toLowerCase() +
    words
      .flatMap((word) => word.split('-'))
      .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
      .join('')
  );
}

function queryOf(query: z.ZodType): object[] {
  const { properties = {}, required = [] } = z.toJSONSchema(query, { io: 'input' });
  return Object.entries(properties).map(([name, schema]) => {
    const { description, ...rest } = schema as { description?: string };
    return {
      name,
      in: 'query',
      required: required.includes(name),
      ...(description !== undefined && { description }),
      schema: rest,
    };
  });
}

/** The schemas that have a name. */
const NAMED: ReadonlyMap<z.ZodType, string> = new Map(
  [
    ...Object.entries(schemas),
    ['SnapshotEvent', schemas.Events.snapshot] as const,
    ['ChangeEvent', schemas.Events.change] as const,
  ].flatMap(([name, schema]) => (schema instanceof z.ZodType ? [[schema, name] as const] : [])),
);

function refTo(schema: z.ZodType): object {
  const name = NAMED.get(schema);
  return name === undefined ? plain(z.toJSONSchema(schema)) : { $ref: `#/components/schemas/${name}` };
}

function components(): Record<string, object> {
  const registry = z.registry<{ id: string }>();
  for (const [schema, id] of NAMED) registry.add(schema, { id });
  const made = z.toJSONSchema(registry, { uri: (id) => `#/components/schemas/${id}` }).schemas;
  return Object.fromEntries(
    Object.entries(made)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, schema]) => [name, plain(schema)]),
  );
}

function plain(schema: object): object {
  const { $schema: _schema, $id: _id, id: _name, ...rest } = schema as Record<string, unknown>;
  return rest;
}
