/** The lines of an audit log as JSON members: see docs/audit.md, which lists them. */
import type { Principal } from '../../protocol/ports.js';
import { errorType, outcomeOf, type CallDetails, type Decision, type EndedCall } from '../calls.js';
import { quoted, safe } from './chain.js';
import { redact } from './redact.js';

/** Longest name, URI or other text that a peer chose, in characters. */
const MAX_TEXT = 2048;

/** JSON members in order. */
export class Members {
  #text: string;

  constructor(event: string) {
    this.#text = `"event":"${event}"`;
  }

  /** Adds a member; undefined: it is left out. */
  text(name: string, value: string | undefined): this {
    if (value !== undefined) this.#text += `,"${name}":${quoted(value.slice(0, MAX_TEXT))}`;
    return this;
  }

  number(name: string, value: number | undefined): this {
    if (value !== undefined) this.#text += `,"${name}":${value}`;
    return this;
  }

  /** `json`: valid, on one line. */
  json(name: string, json: string | undefined): this {
    if (json !== undefined) this.#text += `,"${name}":${json}`;
    return this;
  }

  principal(principal: Principal | undefined): this {
    if (!principal) return this;
    const { id, credential } = principal;
    return this.text('user.id', id).text('credential', credential === '' ? undefined : credential);
  }

  toString(): string {
    return this.#text;
  }
}

/** How arguments are recorded: JSON, or undefined if they are not. */
export type Arguments = (bytes: Buffer) => string | undefined;

/** A call that has ended. */
export function callMembers(call: EndedCall, details: CallDetails, args: Arguments | undefined): string {
  const { target, sessionId, method } = call;
  const named = details.named;
  const kind = named?.kind;
  const name = target?.name ?? named?.name;
  const bytes = args && method === 'tools/call' ? details.argumentBytes() : undefined;
  return new Members('call')
    .text('mcp.method.name', method)
    .text('mcpstead.server', target?.link.server)
    .text('gen_ai.tool.name', kind === 'tool' ? name : undefined)
    .text('gen_ai.prompt.name', kind === 'prompt' ? name : undefined)
    .text('mcp.resource.uri', kind === 'resource' ? name : undefined)
    .principal(call.principal)
    .text('mcp.session.id', sessionId?.slice(0, 8))
    .json('jsonrpc.request.id', call.id === undefined ? undefined : requestId(call.id))
    .text('mcp.protocol.version', details.revision)
    .text('route', call.route)
    .text('client.address', details.address)
    .text('decision', decisionOf(details))
    .text('rule', details.rule ?? details.error?.rule)
    .text('approval', details.approval)
    .text('outcome', outcomeOf(call))
    .text('error.type', errorType(call, details))
    .number('ms', Math.round(call.ms * 10) / 10)
    .number('bytes_in', details.bytesIn)
    .number('bytes_out', details.bytesOut)
    .text('trace_id', details.traceId)
    .json('args', bytes && args?.(bytes))
    .toString();
}

/** `id`: JSON of a string or a number. */
function requestId(id: string): string {
  if (!id.startsWith('"')) return quoted(id.slice(0, MAX_TEXT));
  return safe(JSON.stringify(JSON.parse(id)));
}

const DECISIONS: ReadonlyMap<string | undefined, Decision> = new Map<string | undefined, Decision>([
  ['rate_limited', 'limit'],
  ['denied', 'deny'],
  ['insufficient_scope', 'step_up'],
]);

function decisionOf({ decision, error }: CallDetails): Decision {
  return decision ?? DECISIONS.get(error?.code) ?? 'allow';
}

/** Arguments as JSON; what is cut is a string. `names`: members that are hidden, in lower case. */
export function keptArguments(bytes: Buffer, names: ReadonlySet<string>): string {
  const { text, cut } = redact(bytes, names);
  return cut || !isJson(text) ? quoted(text) : safe(text);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
