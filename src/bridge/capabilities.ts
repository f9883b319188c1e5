/** What a client can be asked, in the words of the other era. */
import { isObject } from '../wire/json.js';
import type { Caller } from '../protocol/ports.js';
import { TASKS } from '../protocol/tasks.js';
import { prepare, type Prepared } from './envelope.js';

type Json = Readonly<Record<string, unknown>>;

/** The first legacy revision with URLs in elicitation and tools in sampling. */
const RICH = '2025-11-25';

interface Told {
  readonly method: string;
  readonly clientInfo: string | undefined;
  readonly level: string | undefined;
  readonly told: { readonly capabilities: string; readonly envelope: Prepared };
}

/** By what the session declared: it is the same object for all its requests. */
const known = new WeakMap<object, Told>();

/** What a modern upstream is told with each request of a legacy client: JSON, and the envelope it stands in. */
export function toldOf(caller: Caller, method: string): Told['told'] {
  const { capabilities, clientInfo, level } = caller;
  const last = known.get(capabilities);
  if (last?.method === method && last.clientInfo === clientInfo && last.level === level) return last.told;
  const json = JSON.stringify(modernCapabilities(caller, method));
  const told = { capabilities: json, envelope: prepare(json, caller) };
  known.set(capabilities, { method, clientInfo, level, told });
  return told;
}

/** The capabilities of a legacy client as a modern upstream is told them with a request of this method. */
export function modernCapabilities(
  { capabilities, revision }: Pick<Caller, 'capabilities' | 'revision'>,
  method: string,
): Json {
  const { tasks: _tasks, ...rest } = capabilities;
  const found: Record<string, unknown> = { ...rest };
  // The gateway waits for a task in the client's place.
  if (method === 'tools/call')
    found['extensions'] = { ...(isObject(rest['extensions']) ? rest['extensions'] : {}), [TASKS]: {} };
  if (isObject(found['roots'])) found['roots'] = {};
  if (revision >= RICH) return found;
  if (isObject(found['elicitation'])) found['elicitation'] = {};
  if (isObject(found['sampling'])) found['sampling'] = {};
  return found;
}
