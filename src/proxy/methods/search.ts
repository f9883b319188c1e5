/** Calls of tools. In a profile with search, the tools that find others and call them are answered here; all other calls are relayed. */
import { GatewayError } from '../../errors.js';
import { MAX_FOUND } from '../../config/search.js';
import { hasListed, LOGIN_TOOL } from '../../catalog/login-tools.js';
import { isReadOnly } from '../../policy/annotations.js';
import { CALL_READ_ONLY_TOOL, CALL_TOOL, FIND_TOOLS, type Finder, type Hit } from '../../protocol/finder.js';
import { find, readMessages, type Message } from '../../protocol/message.js';
import type { Target } from '../../protocol/ports.js';
import { answerWhole, resultMessage } from '../../protocol/sinks.js';
import { KnownNames } from '../../wire/fold.js';
import { readJson, textOf, type JsonObject } from '../../wire/json.js';
import { readText, type Member, type Span } from '../../wire/scan.js';
import { splice } from '../../wire/splice.js';
import { membersOf } from '../../wire/walk.js';
import { noteHidden } from '../guarded.js';
import { answer, type Handled, type Incoming } from '../incoming.js';
import { loadSchemaCheck, schemaCheck } from '../schema-check.js';
import { forget, inUse, remember } from '../under-way.js';
import { deferred } from './deferred.js';
import { namedBy } from './named.js';
import { relay, type RelayDeps, type Wrap } from './relay.js';

/** Longest answer of `find_tools` with whole definitions, in bytes; a longer one is brief. */
const MAX_FULL = 65_536;
/** Largest arguments of `find_tools`, in bytes. */
const MAX_SEARCH = 65_536;
/** Servers that an answer without a tool names. */
const MAX_SERVERS = 50;
/** Largest schema that an error shows, in characters. */
const MAX_SCHEMA = 16_384;

/** The wrap of a call, once it is known which tool it calls. */
export type WrapOf = (incoming: Incoming) => Wrap | undefined;

/** `tools/call`. */
export function callTool(deps: RelayDeps, incoming: Incoming, wrapOf: WrapOf): Handled {
  const named = namedBy(incoming.message, 'name', 'tool');
  const { finder } = incoming.caller.view;
  if (finder && !(named instanceof GatewayError)) {
    if (incoming.details) incoming.details.named = named;
    if (named.name === FIND_TOOLS) return findTools(deps, incoming, finder);
    if (named.name === CALL_TOOL || named.name === CALL_READ_ONLY_TOOL) {
      const reads = named.name === CALL_READ_ONLY_TOOL;
      return new FoundCall(deps, incoming, { finder, reads, at: named.at, wrapOf }).handle();
    }
  }
  return relay(deps, incoming, named, wrapOf(incoming));
}

interface Query {
  readonly query: string;
  readonly limit: number;
  readonly isBrief: boolean;
}

function findTools(deps: RelayDeps, incoming: Incoming, finder: Finder): Handled {
  const { message, caller } = incoming;
  const query = queryOf(message, finder.limit);
  if (typeof query === 'string') return answer(message, toolResult(incoming, query, true));
  const result = (): string =>
    toolResult(incoming, foundText(finder, query, finder.search(query.query, query.limit, caller.era)));
  const controller = new AbortController();
  const ready = caller.view.ready(undefined, controller.signal);
  const until = ready ? ready.then(() => finder.prepareSearch()) : finder.prepareSearch();
  if (!until) return answer(message, result());
  const used = inUse(incoming);
  if (used) return used;
  const waiting = deferred(deps.boundary, incoming, { until, controller }, () => {
    answerText(incoming, result(), false);
    waiting.over('success');
  });
  remember(incoming, waiting);
  return { kind: 'exchange', exchange: waiting };
}

const QUERY = new KnownNames('query', 'limit', 'detail');

/** What is searched, or what is wrong with the arguments. */
function queryOf(message: Message, usual: number): Query | string {
  const members = argumentsOf(message);
  if (typeof members === 'string') return members;
  const doubt = QUERY.doubt(members);
  if (doubt !== undefined) return `${FIND_TOOLS}: the arguments have ${doubt}`;
  const given = Object.fromEntries(
    members.filter(({ key }) => QUERY.has(key)).map((member) => [member.key, valueAt(message, member)]),
  ) as JsonObject;
  const query = textOf(given['query']);
  if (query === undefined || query.trim() === '')
    return `${FIND_TOOLS}: 'query' must be a string that says what the tool does`;
  const limit = typeof given['limit'] === 'number' ? Math.round(given['limit']) : usual;
  return {
    query,
    limit: Math.min(MAX_FOUND, Math.max(1, limit)),
    isBrief: given['detail'] === 'brief',
  };
}

function valueAt({ body }: Message, { start, end }: Span): unknown {
  return readJson(body.subarray(start, end), MAX_SEARCH);
}

/** The members of the arguments, or what is wrong with them. */
function argumentsOf({ body, params }: Message): readonly Member[] | string {
  const at = find(params, 'arguments');
  if (!at) return [];
  if (body[at.start] !== 0x7b) return 'the arguments must be an object';
  return membersOf(body, at.start);
}

function foundText(finder: Finder, { query, isBrief }: Query, hits: readonly Hit[]): string {
  if (hits.length === 0) return nothingFound(finder, query);
  if (isBrief) return brief(hits);
  const bytes = hits.reduce((sum, hit) => sum + hit.bytes.length + 1, 0);
  if (bytes > MAX_FULL)
    return brief(hits, `The whole definitions have ${bytes} bytes: search for fewer tools to get them.`);
  return `{"tools":[${hits.map((hit) => hit.bytes.toString('utf8')).join(',')}]}`;
}

function brief(hits: readonly Hit[], note?: string): string {
  const tools = hits.map(({ name, description }) => ({ name, description }));
  return JSON.stringify({ tools, ...(note !== undefined && { note }) });
}

function nothingFound(finder: Finder, query: string): string {
  const counts = finder.counts();
  const shown = counts
    .slice(0, MAX_SERVERS)
    .map(({ server, tools }) => `${server} (${tools} ${tools === 1 ? 'tool' : 'tools'})`);
  const more = counts.length > MAX_SERVERS ? ` and ${counts.length - MAX_SERVERS} more` : '';
  const servers =
    counts.length === 0 ? 'There are no servers here.' : `Servers here: ${shown.join(', ')}${more}.`;
  return `No tool matches '${query.slice(0, 256)}'. ${servers} Try other words.`;
}

interface FoundCallOptions {
  readonly finder: Finder;
  /** Only read-only tools may be called. */
  readonly reads: boolean;
  /** Where the name is in the message. */
  readonly at: Span;
  readonly wrapOf: WrapOf;
}

/** What the client wants to call. */
interface Wanted {
  readonly name: string;
  readonly nameAt: Span;
  readonly argumentsAt: Span | undefined;
}

const WANTED = new KnownNames('name', 'arguments');
const NO_ARGUMENTS = Buffer.from('{}');

/** A call of `call_tool`, which becomes the call of another tool, unless that one is unknown or its arguments are wrong. */
class FoundCall {
  readonly #deps: RelayDeps;
  readonly #incoming: Incoming;
  readonly #options: FoundCallOptions;

  constructor(deps: RelayDeps, incoming: Incoming, options: FoundCallOptions) {
    this.#deps = deps;
    this.#incoming = incoming;
    this.#options = options;
  }

  handle(): Handled {
    const incoming = this.#incoming;
    const { message, caller } = incoming;
    const used = inUse(incoming);
    if (used) return used;
    const wanted = wantedIn(message, this.#options.reads ? CALL_READ_ONLY_TOOL : CALL_TOOL);
    if (typeof wanted === 'string') return answer(message, toolResult(incoming, wanted, true));
    const { name } = wanted;
    if (incoming.details) incoming.details.named = { kind: 'tool', name };
    const controller = new AbortController();
    const { signal } = controller;
    const isKnown = caller.view.find('tool', name, incoming.session?.pages)?.definition !== undefined;
    const ready = isKnown ? undefined : caller.view.ready({ kind: 'tool', name }, signal);
    const loading = schemaCheck() ? undefined : loadSchemaCheck();
    if (!ready && !loading) {
      const problem = this.#problemWith(wanted);
      return problem === undefined
        ? this.#relay(wanted)
        : answer(message, toolResult(incoming, problem, true));
    }
    const until = Promise.all([ready, loading]).then(() => undefined);
    const waiting = deferred(this.#deps.boundary, incoming, { until, controller }, () => {
      const problem = this.#problemWith(wanted);
      if (problem !== undefined) {
        answerText(incoming, toolResult(incoming, problem, true), true);
        waiting.over('success');
        return;
      }
      // The call takes the place of the wait.
      forget(incoming, waiting);
      const handled = this.#relay(wanted);
      if (handled.kind === 'exchange') {
        waiting.next = handled.exchange;
        return;
      }
      if (handled.kind === 'refused') incoming.sink.fail(handled.error);
      else if (handled.kind === 'answer') answerBytes(incoming, handled.bytes, false);
      waiting.over(handled.kind === 'refused' ? 'error' : 'success');
    });
    remember(incoming, waiting);
    return { kind: 'exchange', exchange: waiting };
  }

  /** Why the call is not sent; undefined: it may be. */
  #problemWith({ name, argumentsAt }: Wanted): string | undefined {
    const { caller, message, session } = this.#incoming;
    const target = caller.view.find('tool', name, session?.pages);
    const definition = target?.definition;
    if (!target || (!definition && !isLate(target))) return this.#unknown(name, target);
    if (this.#options.reads && !(definition && isReadOnly(definition)))
      return `the tool '${shown(name)}' does not declare readOnlyHint: call it with ${CALL_TOOL}, nothing was sent`;
    if (!definition) return undefined;
    const bytes = argumentsAt ? message.body.subarray(argumentsAt.start, argumentsAt.end) : NO_ARGUMENTS;
    const misfit = schemaCheck()?.(definition, bytes);
    if (!misfit) return undefined;
    const schema =
      misfit.schema.length > MAX_SCHEMA ? `${misfit.schema.slice(0, MAX_SCHEMA)}...` : misfit.schema;
    return `the arguments of '${shown(name)}' are wrong at ${misfit.path === '' ? 'the top' : misfit.path}: ${misfit.error} Nothing was sent. The schema: ${schema}`;
  }

  /** `target`: what the name leads to without being listed. undefined: the server is asked, or the caller is told why it cannot be. */
  #unknown(name: string, target: Target | undefined): string | undefined {
    // A server that is not connected may have it.
    if (target && target.link.state !== 'up' && !this.#options.reads) return undefined;
    const { caller, session } = this.#incoming;
    // The caller is told between which tools to choose.
    if (!target && caller.view.conflict('tool', name, session?.pages)?.data !== undefined) return undefined;
    if (!target) noteHidden(this.#deps, this.#incoming, 'tool', name);
    const nearest = this.#options.finder.nearest(name).map((each) => `'${each}'`);
    const hint = nearest.length === 0 ? '' : ` Did you mean ${nearest.join(', ')}?`;
    return `unknown tool '${shown(name)}'.${hint} ${FIND_TOOLS} finds tools by what they do.`;
  }

  #relay({ name, nameAt, argumentsAt }: Wanted): Handled {
    const { reads, at, wrapOf } = this.#options;
    const incoming = this.#incoming;
    const { body, params } = incoming.message;
    const part = ({ start, end }: Span): Buffer => body.subarray(start, end);
    const own = find(params, 'arguments') as Member;
    const call = splice(body, [
      { start: at.start, end: at.end, bytes: part(nameAt) },
      { start: own.start, end: own.end, bytes: argumentsAt ? part(argumentsAt) : NO_ARGUMENTS },
    ]);
    incoming.become(readMessages(call) as Message, { reads });
    const named = namedBy(incoming.message, 'name', 'tool');
    return relay(
      this.#deps,
      incoming,
      named instanceof GatewayError ? named : { ...named, name },
      wrapOf(incoming),
    );
  }
}

/** What a call of `call_tool` wants, or what is wrong with it. */
function wantedIn(message: Message, tool: string): Wanted | string {
  const { body } = message;
  const members = argumentsOf(message);
  if (typeof members === 'string') return `${tool}: ${members}`;
  const doubt = WANTED.doubt(members);
  if (doubt !== undefined) return `${tool}: the arguments have ${doubt}`;
  const other = members.find(({ key }) => !WANTED.has(key));
  if (other)
    return `${tool}: '${shown(other.key)}' is not known here: what the tool takes belongs in 'arguments'`;
  const name = find(members, 'name');
  if (!name || body[name.start] !== 0x22) return `${tool}: 'name' must be the name of a tool`;
  const inner = find(members, 'arguments');
  if (inner && body[inner.start] !== 0x7b) return `${tool}: 'arguments' must be an object`;
  return { name: readText(body, name.start, name.end), nameAt: name, argumentsAt: inner };
}

/** The login tool is called once more after the login, when the server lists its own tools. */
function isLate({ link, name }: Target): boolean {
  return name === LOGIN_TOOL && hasListed(link);
}

function shown(name: string): string {
  return name.slice(0, 256);
}

function toolResult({ caller }: Incoming, text: string, isError = false): string {
  const result = { content: [{ type: 'text', text }], ...(isError && { isError }) };
  return JSON.stringify(caller.era === 'modern' ? { resultType: 'complete', ...result } : result);
}

function answerText(incoming: Incoming, result: string, isError: boolean): void {
  answerBytes(incoming, resultMessage(incoming.message.id ?? 'null', result).bytes, isError);
}

/** `bytes`: the whole message. */
function answerBytes({ message, sink }: Incoming, bytes: Buffer, isError: boolean): void {
  const { value } = resultMessage(message.id ?? 'null', '');
  answerWhole(sink, { kind: 'result', value, code: undefined }, bytes, { isError });
}
