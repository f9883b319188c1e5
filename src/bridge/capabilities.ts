/** The capabilities of a legacy client, for a modern upstream. */
import { isObject } from '../wire/json.js';
import type { Caller } from '../protocol/ports.js';
import { TASKS } from '../protocol/tasks.js';
import { prepare, type Prepared } from './envelope.js';

type Json = Readonly<Record<string, unknown>>;

/** The first legacy revision with URLs in elicitation and tools in sampling. */
const RICH = '2025-11-25';

interface Declared {
  readonly method: string;
  readonly clientInfo: string | undefined;
  readonly level: string | undefined;
  readonly declared: { readonly capabilities: string; readonly envelope: Prepared };
}

/** By the declared capabilities, which are the same object for all requests of a session. */
const known = new WeakMap<object, Declared>();

/** The capabilities of a legacy client as JSON, and the envelope of its requests, for a modern upstream. Cached per session. */
export function declaredOf(caller: Caller, method: string): Declared['declared'] {
  const { capabilities, clientInfo, level } = caller;
  const last = known.get(capabilities);
  if (last?.method === method && last.clientInfo === clientInfo && last.level === level) return last.declared;
  const json = JSON.stringify(modernCapabilities(caller, method));
  const declared = { capabilities: json, envelope: prepare(json, caller) };
  known.set(capabilities, { method, clientInfo, level, declared });
  return declared;
}

/** The capabilities of a legacy client that a request of this method declares to a modern upstream. */
export function modernCapabilities(
  { capabilities, revision }: Pick<Caller, 'capabilities' | 'revision'>,
  method: string,
): Json {
  const { tasks: _tasks, ...rest } = capabilities;
  const found: Record<string, unknown> = { ...rest };
  // The gateway supports tasks on behalf of the client.
  if (method === 'tools/call')
    found['extensions'] = { ...(isObject(rest['extensions']) ? rest['extensions'] : {}), [TASKS]: {} };
  if (isObject(found['roots'])) found['roots'] = {};
  if (revision >= RICH) return found;
  if (isObject(found['elicitation'])) found['elicitation'] = {};
  if (isObject(found['sampling'])) found['sampling'] = {};
  return found;
}
