/** Reads what an issuer says about a person: claims of a token, or of an answer of a userinfo endpoint. */
import { bounded } from '../lib/bounded.js';
import { arrayOf, isObject, textOf, type JsonObject } from '../wire/json.js';

/** With fewer groups than its issuer says a rule that denies by group would not fit: more are refused. */
export const MOST_GROUPS = 200;

/** A claim by its name, or by the path to it: `realm_access.roles`. */
export function claim(claims: JsonObject, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const part of name.split('.')) {
    if (!isObject(value) || !Object.hasOwn(value, part)) return undefined;
    value = value[part];
  }
  return value;
}

/** A value that can be an id or a name: a bounded string, or a safe integer. */
export function nameOf(value: unknown): string | undefined {
  const text = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : textOf(value);
  return text === undefined ? undefined : bounded(text);
}

/** The groups in a claim, a string or a list; none: []. `too many`: also where the issuer names them elsewhere; `not names`: something else. */
export function groupsOf(claims: JsonObject, name: string): readonly string[] | 'too many' | 'not names' {
  const value = claim(claims, name);
  if (value === undefined || value === null) {
    // Entra names the groups elsewhere if there are too many for a token.
    const { _claim_names: elsewhere } = claims;
    return isObject(elsewhere) && Object.hasOwn(elsewhere, name) ? 'too many' : [];
  }
  const list = typeof value === 'string' ? [value] : arrayOf(value);
  if (!list) return 'not names';
  if (list.length > MOST_GROUPS) return 'too many';
  const groups = list.map(nameOf).filter((group) => group !== undefined);
  return groups.length === list.length ? groups : 'not names';
}
