/** Reads the parts of tool schemas that the gateway needs. */

/** Keywords whose value maps names to schemas. */
export const SCHEMA_MAPS: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
  'dependencies',
]);
/** Keywords whose value is a schema, or a list of schemas. */
export const SUBSCHEMAS: ReadonlySet<string> = new Set([
  'items',
  'prefixItems',
  'additionalItems',
  'unevaluatedItems',
  'contains',
  'additionalProperties',
  'unevaluatedProperties',
  'propertyNames',
  'contentSchema',
  'allOf',
  'anyOf',
  'oneOf',
  'not',
  'if',
  'then',
  'else',
]);
/** Deepest schema; patching reads each level again. */
export const MAX_SCHEMA_DEPTH = 128;

const ANNOTATION = 'x-mcp-header';
/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const TYPES = ['string', 'integer', 'boolean'] as const;

export interface ParamHeader {
  /** The header, in lower case: `mcp-param-region`. */
  readonly header: string;
  /** The keys that lead from `arguments` to the value. */
  readonly path: readonly string[];
  readonly type: 'string' | 'integer' | 'boolean';
}

export interface SchemaFacts {
  readonly headers: readonly ParamHeader[];
  /** A property has a boolean schema. */
  readonly booleans: boolean;
}

/** The path to a schema through `properties`; undefined: other keywords are on the way. */
type Reached = readonly string[] | undefined;

const NOTHING: SchemaFacts = { headers: [], booleans: false };

/**
 * Reads a schema, or returns why it is invalid. `annotated`: its properties may be mirrored into headers (2026-07-28, server/tools,
 * "x-mcp-header").
 */
export function readSchema(schema: unknown, annotated = true): SchemaFacts | string {
  const headers: ParamHeader[] = [];
  let booleans = false;
  const problem = visit(schema, [], 0);
  if (problem !== undefined) return problem;
  return headers.length === 0 && !booleans ? NOTHING : { headers, booleans };

  function visit(node: unknown, path: Reached, depth: number): string | undefined {
    if (typeof node !== 'object' || node === null) return undefined;
    if (depth > MAX_SCHEMA_DEPTH) return `is nested deeper than ${MAX_SCHEMA_DEPTH}`;
    if (Array.isArray(node)) return each(node, undefined, depth);
    let found: string | undefined;
    for (const [keyword, value] of Object.entries(node)) {
      if (keyword === ANNOTATION) {
        if (annotated) found = annotation(value, (node as { type?: unknown }).type, path);
      } else if (keyword === 'properties' && typeof value === 'object' && value !== null) {
        for (const [name, property] of Object.entries(value as object)) {
          if (typeof property === 'boolean') booleans = true;
          else found ??= visit(property, path && [...path, name], depth + 1);
        }
      } else if (SCHEMA_MAPS.has(keyword) && typeof value === 'object' && value !== null)
        found = each(Object.values(value as object), undefined, depth);
      else if (SUBSCHEMAS.has(keyword)) found = visit(value, undefined, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  function each(nodes: readonly unknown[], path: Reached, depth: number): string | undefined {
    for (const node of nodes) {
      const found = visit(node, path, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  function annotation(value: unknown, type: unknown, path: Reached): string | undefined {
    if (path === undefined || path.length === 0)
      return `has an ${ANNOTATION} where no chain of properties leads to it`;
    const where = `'${path.join('.').slice(0, 128)}'`;
    if (typeof value !== 'string' || value === '')
      return `has an ${ANNOTATION} at ${where} that is not a string, or empty`;
    if (!TOKEN.test(value)) return `has an ${ANNOTATION} at ${where} that a header name cannot contain`;
    const known = TYPES.find((each) => each === type);
    if (known === undefined) return `has an ${ANNOTATION} at ${where}, whose type is not ${TYPES.join(', ')}`;
    const header = `mcp-param-${value.toLowerCase()}`;
    if (headers.some((other) => other.header === header))
      return `has the ${ANNOTATION} '${value.slice(0, 128)}' twice`;
    headers.push({ header, path, type: known });
    return undefined;
  }
}
