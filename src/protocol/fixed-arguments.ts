/** Calls of tools some of whose arguments have fixed values: the message is rewritten once, before anything reads its arguments. */
import { fixedPatches, type FixedMembers } from '../wire/fixed-members.js';
import { find, isNull, type Message } from './message.js';
import { patched } from './patched.js';

export type { FixedMembers as FixedArguments } from '../wire/fixed-members.js';

const OPEN_OBJECT = 0x7b;
const NAME = '"arguments":';

/**
 * The `tools/call` with fixed arguments in place of those that its client sent under their names; undefined: `params.arguments` is not an
 * object. `message`: has a member in `params`.
 */
export function withFixedArguments(message: Message, fixed: FixedMembers): Message | undefined {
  const { body, params, paramsSpan } = message;
  if (!paramsSpan) return undefined;
  const at = find(params, 'arguments');
  if (at && body[at.start] === OPEN_OBJECT) return patched(message, at, fixedPatches(body, at, fixed));
  if (at && !isNull(body, at)) return undefined;
  const object = Buffer.concat([Buffer.from('{'), fixed.bytes, Buffer.from('}')]);
  if (at) return patched(message, at, [{ start: at.start, end: at.end, bytes: object }]);
  const start = paramsSpan.start + 1;
  const member = Buffer.concat([Buffer.from(NAME), object, Buffer.from(',')]);
  const added = { key: 'arguments', start: start + NAME.length, end: start + NAME.length + object.length };
  const whole = patched(message, { start, end: start }, [{ start, end: start, bytes: member }]);
  return { ...whole, params: [added, ...whole.params] };
}
