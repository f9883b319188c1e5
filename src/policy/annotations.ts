/** The annotations of a tool (2025-11-25, server/tools, ToolAnnotations). */
import type { Definition } from '../protocol/lists.js';
import { isObject, readJson } from '../wire/json.js';
import { find } from '../protocol/message.js';
import { membersOf } from '../wire/walk.js';

/** What an annotation means that is not there. */
const DEFAULTS: Readonly<Record<string, boolean>> = {
  readOnlyHint: false,
  destructiveHint: true,
  idempotentHint: false,
  openWorldHint: true,
};

const read = new WeakMap<Definition, Readonly<Record<string, boolean>>>();

/** Boolean annotations by name, with their defaults. */
export function annotationsOf(definition: Definition): Readonly<Record<string, boolean>> {
  let found = read.get(definition);
  if (!found) read.set(definition, (found = readFrom(definition)));
  return found;
}

/** The same, where a tool that changes nothing destroys nothing either, whatever else it says. */
export function heldAnnotationsOf(definition: Definition): Readonly<Record<string, boolean>> {
  const own = annotationsOf(definition);
  return own['readOnlyHint'] === true ? { ...own, destructiveHint: false } : own;
}

/** Whether a tool declares that it changes nothing. */
export function isReadOnly(definition: Definition): boolean {
  return annotationsOf(definition)['readOnlyHint'] === true;
}

function readFrom({ bytes: own, trusted }: Definition): Readonly<Record<string, boolean>> {
  const bytes = trusted ?? own;
  const at = find(membersOf(bytes), 'annotations');
  const written = at && readJson(bytes.subarray(at.start, at.end));
  const hints = isObject(written)
    ? Object.entries(written).filter(([, value]) => typeof value === 'boolean')
    : [];
  return { ...DEFAULTS, ...(Object.fromEntries(hints) as Record<string, boolean>) };
}
