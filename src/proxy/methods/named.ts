/** Reads the name in a request: `params.name`, `params.uri`, or the `ref` of a completion. */
import { GatewayError } from '../../errors.js';
import { find, type Message } from '../../protocol/message.js';
import type { NameKind } from '../../protocol/ports.js';
import { KnownNames } from '../../wire/fold.js';
import { readText, type Span } from '../../wire/scan.js';
import { membersOf } from '../../wire/walk.js';
import type { Named } from './relay.js';

export function namedBy(
  message: Message,
  key: 'name' | 'uri' | 'taskId',
  kind: NameKind,
): Named | GatewayError {
  if (!message.paramsSpan) return new GatewayError('invalid_params', 'params are required');
  return textAt(message, find(message.params, key), `params.${key}`, kind);
}

const REF = new KnownNames('type', 'name', 'uri');

/** For completion/complete, which names a prompt, or a resource by its URI template (2025-11-25, server/utilities/completion). */
export function namedByRef(message: Message): Named | GatewayError {
  const ref = find(message.params, 'ref');
  if (!ref || message.body[ref.start] !== 0x7b)
    return new GatewayError('invalid_params', 'params.ref must be an object');
  const members = membersOf(message.body, ref.start);
  const doubt = REF.doubt(members);
  if (doubt !== undefined) return new GatewayError('invalid_params', `params.ref has ${doubt}`);
  const type = find(members, 'type');
  const isText = type && message.body[type.start] === 0x22;
  const kind = isText ? readText(message.body, type.start, type.end) : undefined;
  if (kind === 'ref/prompt') return textAt(message, find(members, 'name'), 'params.ref.name', 'prompt');
  if (kind === 'ref/resource') return textAt(message, find(members, 'uri'), 'params.ref.uri', 'resource');
  return new GatewayError('invalid_params', 'params.ref.type must be ref/prompt or ref/resource');
}

/** The name at a span, which must be a string. `what`: how an error calls it. */
function textAt(message: Message, at: Span | undefined, what: string, kind: NameKind): Named | GatewayError {
  if (!at || message.body[at.start] !== 0x22)
    return new GatewayError('invalid_params', `${what} is required`);
  return { kind, name: readText(message.body, at.start, at.end), at };
}
