/** The envelope of the gateway's own requests to modern servers (2026-07-28, basic, "_meta"). */
import { encodeHeaderValue } from '../../protocol/modern/param-headers.js';
import { methodOf } from '../../protocol/methods.js';
import { SHARED } from '../../protocol/extensions/index.js';
import { META } from '../../protocol/modern/meta.js';
import { TASKS } from '../../protocol/tasks.js';
import { membersOf } from '../../wire/walk.js';

/**
 * All capabilities that a client may have: lists that depend on them are read in full. Of extensions, those that the gateway can serve for
 * clients that do not have them.
 */
export const EVERY_CAPABILITY: Readonly<Record<string, unknown>> = {
  elicitation: { form: {}, url: {} },
  sampling: { tools: {}, context: {} },
  roots: {},
  extensions: { [TASKS]: {}, ...SHARED },
};

export interface EnvelopeFacts {
  readonly revision: string;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly clientInfo: { readonly name: string; readonly version: string };
}

/** `params` (JSON of an object) with the envelope in its `_meta`. Members that are there already are kept. */
export function withEnvelope(params: string | undefined, facts: EnvelopeFacts): string {
  const envelope: [string, unknown][] = [
    [META.protocolVersion, facts.revision],
    [META.clientInfo, facts.clientInfo],
    [META.clientCapabilities, facts.capabilities],
  ];
  const bytes = Buffer.from(params ?? '{}');
  const members = membersOf(bytes);
  const meta = members.find(({ key }) => key === '_meta');
  const there = new Set(meta ? membersOf(bytes, meta.start).map(({ key }) => key) : []);
  const added = envelope
    .filter(([key]) => !there.has(key))
    .map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  if (!meta) return inserted(bytes, bytes.indexOf('{'), `"_meta":{${added.join(',')}}`, members.length > 0);
  return inserted(bytes, meta.start, added.join(','), there.size > 0);
}

/** The headers of an own request, beside the method; undefined: none. */
export function ownHeaders(method: string, params: string | undefined): string[] | undefined {
  const key = methodOf(method)?.name;
  if (key === undefined || params === undefined) return undefined;
  const name = (JSON.parse(params) as Record<string, unknown>)[key];
  return typeof name === 'string' ? ['mcp-name', encodeHeaderValue(name)] : undefined;
}

function inserted(bytes: Buffer, brace: number, members: string, more: boolean): string {
  const text = bytes.toString('utf8', brace + 1);
  const comma = members !== '' && more ? ',' : '';
  return `${bytes.toString('utf8', 0, brace + 1)}${members}${comma}${text}`;
}
