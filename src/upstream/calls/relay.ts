import { find } from '../../protocol/message.js';
import type { Outgoing, Sink } from '../../protocol/ports.js';
import { withTraceParent } from '../../protocol/traceparent.js';
import { splice, type Patch } from '../../wire/splice.js';
import { UpstreamCall, type CallOwner, type Transport } from './calls.js';

const NO_ID = Buffer.from('null');

/** The request of a client as it is sent to the server, with the id `id`. */
export function relayed(
  owner: CallOwner,
  id: number,
  out: Outgoing,
  sink: Sink,
  to: { readonly modern?: unknown; readonly transport: Pick<Transport, 'kind'> } | undefined,
): UpstreamCall {
  const { message } = out;
  const { body, idSpan } = message;
  const idText = String(id);
  // In most requests the id comes first: then the patches are in order.
  const patches: Patch[] = idSpan ? [{ start: idSpan.start, end: idSpan.end, bytes: idText }] : [];
  for (const patch of out.patches) patches.push(patch);
  const token = find(message.meta, 'progressToken');
  if (token) patches.push({ start: token.start, end: token.end, bytes: idText });
  const bytes = splice(body, patches);
  const [traceparent, traced] = out.trace?.(to?.transport.kind === 'stdio' ? 'pipe' : 'tcp', sink) ?? [];
  return new UpstreamCall(
    owner,
    id,
    message.method,
    idSpan ? body.subarray(idSpan.start, idSpan.end) : NO_ID,
    traceparent === undefined ? bytes : withTraceParent(bytes, traceparent),
    traced ?? sink,
    {
      token: token && body.subarray(token.start, token.end),
      repeatable: out.repeatable,
      once: out.once,
      own: false,
      client: out.client,
      alone: out.alone,
      task: out.task,
      edit: out.edit,
      modern: to?.modern !== undefined,
      headers: out.headers,
      traceparent,
      ...(out.quiet && { silenceMs: 0 }),
    },
  );
}
