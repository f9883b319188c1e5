/** The line of a call as JSON members. Most of them are the same for many calls of a session: they are kept, because making them costs most. */
import { errorType, outcomeOf, type CallDetails, type Decision, type EndedCall } from '../calls.js';
import { quoted, safe } from './chain.js';
import { MAX_TEXT, Members } from './record.js';

/** Sessions whose members are kept; with more, all are forgotten. */
const MOST_KEPT = 1000;
/** Longest members that are kept, with their session, in characters. */
const MOST_CHARS = 1000;
/** What a line says of the call itself, without its id and its arguments. */
const OWN_BYTES = 100;

/** How arguments are recorded: JSON, or undefined if they are not. */
export type Arguments = (bytes: Buffer) => string | undefined;

/** What the members say that calls have in common. */
interface Facts {
  readonly method: string;
  readonly server: string | undefined;
  readonly kind: string | undefined;
  readonly name: string | undefined;
  readonly user: string | undefined;
  readonly credential: string | undefined;
  readonly session: string | undefined;
  readonly revision: string | undefined;
  readonly route: string | undefined;
  readonly address: string | undefined;
  readonly decision: Decision;
  readonly rule: string | undefined;
}

/** Members around that of the request's id. */
interface Common {
  readonly facts: Facts;
  readonly before: string;
  readonly after: string;
  /** Of both. */
  readonly bytes: number;
}

/**
 * The members of a call, made when they are asked for, which cannot fail then. Many may wait for a disk: each has only what its line shows,
 * not the name as the client wrote it, which may be as long as a request.
 */
class CallLine {
  /** About. */
  readonly bytes: number;
  readonly #before: string;
  readonly #after: string;
  readonly #id: string | undefined;
  readonly #approval: string | undefined;
  readonly #outcome: string;
  readonly #error: string | undefined;
  readonly #ms: number;
  readonly #bytesIn: number | undefined;
  readonly #bytesOut: number | undefined;
  readonly #traceId: string | undefined;
  readonly #args: string | undefined;

  constructor(common: Common, call: EndedCall, details: CallDetails, args: string | undefined) {
    this.#before = common.before;
    this.#after = common.after;
    this.#id = call.id === undefined ? undefined : requestId(call.id);
    this.bytes = common.bytes + OWN_BYTES + bytesOf(this.#id) + bytesOf(args);
    this.#approval = details.approval;
    this.#outcome = outcomeOf(call);
    this.#error = errorType(call, details);
    this.#ms = call.ms;
    this.#bytesIn = details.bytesIn;
    this.#bytesOut = details.bytesOut;
    this.#traceId = details.traceId;
    this.#args = args;
  }

  toString(): string {
    return new Members(this.#before)
      .json('jsonrpc.request.id', this.#id)
      .add(this.#after)
      .text('approval', this.#approval)
      .word('outcome', this.#outcome)
      .text('error.type', this.#error)
      .number('ms', Math.round(this.#ms * 10) / 10)
      .number('bytes_in', this.#bytesIn)
      .number('bytes_out', this.#bytesOut)
      .text('trace_id', this.#traceId)
      .json('args', this.#args)
      .toString();
  }
}

export class CallMembers {
  /** Those of the last call, by session. */
  readonly #kept = new Map<string, Common>();

  /** Of a call that has ended. */
  of(call: EndedCall, details: CallDetails, args: Arguments | undefined): CallLine {
    const bytes = args && call.method === 'tools/call' ? details.argumentBytes() : undefined;
    return new CallLine(this.#common(factsOf(call, details)), call, details, bytes && args?.(bytes));
  }

  #common(facts: Facts): Common {
    const key = facts.session ?? facts.user ?? '';
    const kept = this.#kept.get(key);
    if (kept && isSame(kept.facts, facts)) return kept;
    const [before, after] = [membersBefore(facts), membersAfter(facts)];
    const common = { facts, before, after, bytes: bytesOf(before) + bytesOf(after) };
    // Not every name is in its members.
    const chars = key.length + (facts.name?.length ?? 0) + before.length + after.length;
    if (chars > MOST_CHARS) return common;
    if (this.#kept.size >= MOST_KEPT && !kept) this.#kept.clear();
    this.#kept.set(key, common);
    return common;
  }
}

function factsOf(call: EndedCall, details: CallDetails): Facts {
  const { target, principal } = call;
  const { named, error } = details;
  return {
    method: call.method,
    server: target?.link.server,
    kind: named?.kind,
    name: target?.name ?? named?.name,
    user: principal?.id,
    credential: principal?.credential,
    session: call.sessionId,
    revision: details.revision,
    route: call.route,
    address: details.address,
    decision: details.decision ?? DECISIONS.get(error?.code) ?? 'allow',
    rule: details.rule ?? error?.rule,
  };
}

function isSame(a: Facts, b: Facts): boolean {
  return (
    a.method === b.method &&
    a.server === b.server &&
    a.kind === b.kind &&
    a.name === b.name &&
    a.user === b.user &&
    a.credential === b.credential &&
    a.session === b.session &&
    a.revision === b.revision &&
    a.route === b.route &&
    a.address === b.address &&
    a.decision === b.decision &&
    a.rule === b.rule
  );
}

const DECISIONS: ReadonlyMap<string | undefined, Decision> = new Map<string | undefined, Decision>([
  ['rate_limited', 'limit'],
  ['denied', 'deny'],
  ['insufficient_scope', 'step_up'],
]);

function membersBefore(facts: Facts): string {
  const { kind, name, user, credential = '' } = facts;
  return flat(
    Members.event('call')
      .text('mcp.method.name', facts.method)
      .text('mcpstead.server', facts.server)
      .text('gen_ai.tool.name', kind === 'tool' ? name : undefined)
      .text('gen_ai.prompt.name', kind === 'prompt' ? name : undefined)
      .text('mcp.resource.uri', kind === 'resource' ? name : undefined)
      .principal(user === undefined ? undefined : { id: user, credential })
      .text('mcp.session.id', facts.session?.slice(0, 8)),
  );
}

function membersAfter(facts: Facts): string {
  return flat(
    new Members('')
      .text('mcp.protocol.version', facts.revision)
      .text('route', facts.route)
      .text('client.address', facts.address)
      .word('decision', facts.decision)
      .text('rule', facts.rule),
  );
}

/** In one piece: V8 keeps a string that was put together as its parts, and goes through them each time. */
function flat(members: Members): string {
  return Buffer.from(members.toString()).toString();
}

const bytesOf = (text: string | undefined): number => (text === undefined ? 0 : Buffer.byteLength(text));

/** A string whose JSON has no escapes, and needs none. */
const PLAIN_STRING = /^"[\x20\x21\x23-\x5b\x5d-\x7e]*"$/;

/** `id`: JSON of a string or a number. */
function requestId(id: string): string {
  if (PLAIN_STRING.test(id)) return id;
  if (!id.startsWith('"')) return quoted(id.slice(0, MAX_TEXT));
  return safe(JSON.stringify(JSON.parse(id)));
}
