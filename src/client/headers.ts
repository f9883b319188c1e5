/** The headers of a modern request (2026-07-28, basic/transports/streamable-http, "Request Metadata"). */
import { objectOf, type JsonObject } from './types.js';

const PLAIN = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Levels of nested objects that are searched for `x-mcp-header`. */
const DEPTH = 16;
const SCALARS: readonly unknown[] = ['string', 'integer', 'boolean'];

/** Encodes a string as a header value. */
export function encodeHeaderValue(text: string): string {
  if (PLAIN.test(text) && !(text.startsWith('=?base64?') && text.endsWith('?='))) return text;
  let binary = '';
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return `=?base64?${btoa(binary)}?=`;
}

/** `Mcp-Method` and, where the request names something, `Mcp-Name`. */
export function nameHeaders(method: string, params: JsonObject): Record<string, string> {
  const named =
    method === 'resources/read'
      ? params['uri']
      : method === 'tools/call' || method === 'prompts/get'
        ? params['name']
        : undefined;
  return {
    'mcp-method': method,
    ...(typeof named === 'string' ? { 'mcp-name': encodeHeaderValue(named) } : {}),
  };
}

/** The values of `args` that the schema marks with `x-mcp-header`, as headers. */
export function paramHeaders(schema: unknown, args: unknown): Record<string, string> {
  const headers: Record<string, string> = {};
  const visit = (node: unknown, value: unknown, depth: number): void => {
    const properties = objectOf(objectOf(node)?.['properties']);
    const values = objectOf(value);
    if (!properties || !values || depth > DEPTH) return;
    for (const [key, property] of Object.entries(properties)) {
      const given = Object.hasOwn(values, key) ? values[key] : undefined;
      const name = objectOf(property)?.['x-mcp-header'];
      if (typeof name === 'string' && TOKEN.test(name) && SCALARS.includes(objectOf(property)?.['type'])) {
        const text = typeof given === 'string' ? given : scalar(given);
        if (text !== undefined) headers[`mcp-param-${name.toLowerCase()}`] = encodeHeaderValue(text);
      }
      visit(property, given, depth + 1);
    }
  };
  visit(schema, args, 0);
  return headers;
}

const scalar = (value: unknown): string | undefined =>
  typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
