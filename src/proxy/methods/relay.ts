/** Requests for one server: finds it by name or URI, waits until it had a chance to connect, and sends the request. */
import { GatewayError, needsLogin } from '../../errors.js';
import { within } from '../../lib/within.js';
import type { LoginRetry } from '../../bridge/index.js';
import { isReadOnly } from '../../policy/annotations.js';
import { isLoginTool, LOGIN_TOOL } from '../../catalog/login-tools.js';
import type { Budget } from '../../lib/budget.js';
import type { Use } from '../../protocol/approvals.js';
import type { Approving } from '../approving.js';
import type { ParamHeader } from '../../protocol/lists.js';
import { withFixedArguments } from '../../protocol/fixed-arguments.js';
import { find, type Message } from '../../protocol/message.js';
import { checkParamHeaders } from '../../protocol/modern/param-headers.js';
import type { Exchange, NameKind, Sink, Target, View } from '../../protocol/ports.js';
import { answerWith } from '../../protocol/sinks.js';
import type { Span } from '../../wire/scan.js';
import { openCall, reasonOf, type CallCrossing, type CallDeps } from '../call.js';
import { answer, refused, type Handled, type Headers, type Incoming } from '../incoming.js';
import type { LoginAnswer } from '../logins.js';
import { convertContent, convertStructured, mayNeedConversion } from '../conversions.js';
import { ChangedAnswer } from '../changed-answer.js';
import { guarded, limit, noteHidden, type GuardedDeps } from '../guarded.js';
import type { Interests } from '../interests.js';
import type { Runtime } from '../runtime.js';
import { inUse, remember } from '../under-way.js';
import { withdrawn } from '../vetted.js';
import { marksOf, UriSink } from '../uri-sink.js';
import { deferred, type Deferred } from './deferred.js';

export interface RelayDeps extends CallDeps, GuardedDeps {
  readonly runtime: () => Runtime;
  readonly budget: Budget;
  readonly interests: Interests;
  /** Resolves once it is known whether a server has a link in the legacy era; undefined: it is known. */
  readonly dialling: (server: string) => Promise<void> | undefined;
  /** What holds calls until somebody has said yes; undefined: no rule does. */
  readonly approving: () => Approving | undefined;
}

/** What a request names, and where in its bytes. */
export interface Named {
  readonly kind: NameKind;
  readonly name: string;
  readonly at: Span;
}

/** Gets the target before the request is sent; returns the sink to use. */
export type Wrap = (target: Target, sink: Sink) => Sink;

/** `named`: what the request names, or why that cannot be read. */
export function relay(
  deps: RelayDeps,
  incoming: Incoming,
  named: Named | GatewayError,
  wrap?: Wrap,
): Handled {
  if (named instanceof GatewayError) return refused(incoming.message, named);
  const used = inUse(incoming);
  if (used) return used;
  const { view } = incoming.caller;
  if (incoming.details) incoming.details.named = named;
  const pages = incoming.session?.pages;
  const target = view.find(named.kind, named.name, pages);
  const { message: received } = incoming;
  const unfixed = target?.fixed && fixArguments(incoming, received, target);
  if (unfixed) return refused(received, unfixed);
  const { message } = incoming;
  // Before anything waits: who may not call learns nothing about the server.
  const denied = target && guarded(deps, incoming, named.kind, target);
  if (denied) return refused(message, denied);
  const crossing = target && crossingOf(deps, incoming, named, target);
  if (crossing instanceof GatewayError) return refused(message, crossing);
  // What resumes is a call that was let in already.
  const retry = crossing?.login;
  if (target && retry && !retry.accepted) return declined(deps, incoming, named, target);
  const ofTool =
    target && !retry && named.kind === 'tool' ? deps.logins.tool(incoming, named.name, target) : undefined;
  if (ofTool) return settled(message, ofTool);
  const isCounted = target && !crossing?.resume && !isHeld(deps, incoming, named, target);
  const limited = isCounted ? limit(deps, incoming, named.kind, target) : undefined;
  const call: Judged = { named, received, target, crossing, wrap };
  if (limited instanceof Promise)
    return { kind: 'exchange', exchange: counted(deps, incoming, call, limited) };
  if (limited) return refused(message, limited);
  const next = letIn(deps, incoming, call);
  return 'resume' in next ? { kind: 'exchange', exchange: next } : settled(message, next);
}

/** A call that may be made, as far as its target is known. */
interface Judged {
  readonly named: Named;
  /** The message as its client sent it. */
  readonly received: Message;
  readonly target: Target | undefined;
  readonly crossing: CallCrossing | undefined;
  readonly wrap: Wrap | undefined;
}

/** Waits until the store of the fleet has counted the call. */
function counted(
  deps: RelayDeps,
  incoming: Incoming,
  call: Judged,
  limited: Promise<GatewayError | undefined>,
): Exchange {
  let refusal: GatewayError | undefined;
  const until = limited.then((error) => {
    refusal = error;
  });
  const waiting = deferred(deps.boundary, incoming, { until, controller: new AbortController() }, () => {
    const next = refusal ? { error: refusal } : letIn(deps, incoming, call);
    if ('resume' in next) waiting.next = next;
    else conclude(incoming, waiting, next);
  });
  remember(incoming, waiting);
  return waiting;
}

/** Answers a request that has waited. */
function conclude(incoming: Incoming, waiting: Deferred, answered: LoginAnswer): void {
  const { sink, message } = incoming;
  if ('error' in answered) {
    incoming.refusal = answered.error;
    sink.fail(answered.error);
  } else answerWith(sink, message.id ?? 'null', answered.result, answered);
  waiting.over('error' in answered ? 'error' : 'success');
}

/** Sends the request, at once or when its server is there; otherwise returns its answer. */
function letIn(deps: RelayDeps, incoming: Incoming, call: Judged): Exchange | LoginAnswer {
  const { named, received, target, crossing } = call;
  const { caller } = incoming;
  const { view } = caller;
  const pages = incoming.session?.pages;
  const retry = crossing?.login;
  const dialling =
    target && crossing && caller.era === 'legacy' ? deps.dialling(target.link.server) : undefined;
  // A parked call resumes on its original link, even if that link is draining.
  if (target && !dialling && !retry && (target.link.state === 'up' || crossing?.resume))
    return pass(deps, incoming, call, target, crossing);

  const controller = new AbortController();
  const { signal } = controller;
  const wait = dialling
    ? within(dialling, deps.runtime().config.startup.wait_ms, signal)
    : retry
      ? deps.logins.ended(retry.id, signal).then(() => view.ready(named, signal))
      : view.ready(named, signal);
  if (!wait) return failure(deps, incoming, named, target);
  let judged = target;
  let refusal: GatewayError | undefined;
  /** What the request names may have appeared only now. */
  const judge = (): Promise<void> | undefined => {
    judged ??= signal.aborted ? undefined : view.find(named.kind, named.name, pages);
    if (target || !judged) return undefined;
    const late =
      (judged.fixed ? fixArguments(incoming, received, judged) : undefined) ??
      guarded(deps, incoming, named.kind, judged) ??
      (isHeld(deps, incoming, named, judged) ? undefined : limit(deps, incoming, named.kind, judged));
    if (!(late instanceof Promise)) {
      refusal = late;
      return undefined;
    }
    return late.then((error) => {
      refusal = error;
    });
  };
  const waiting = deferred(deps.boundary, incoming, { until: wait.then(judge), controller }, () => {
    const found = judged && view.find(named.kind, named.name, pages);
    const late =
      found &&
      (refusal ??
        (found.fixed !== judged?.fixed ? fixArguments(incoming, received, found) : undefined) ??
        (found.definition !== judged?.definition ? guarded(deps, incoming, named.kind, found) : undefined) ??
        crossingOf(deps, incoming, named, found));
    if (found?.link.state === 'up' && !(late instanceof GatewayError) && !retry?.isTool) {
      waiting.next = pass(deps, incoming, call, found, late);
      return;
    }
    conclude(
      incoming,
      waiting,
      late instanceof GatewayError
        ? { error: late }
        : found?.link.state === 'up' && retry?.isTool
          ? deps.logins.loggedIn(incoming, found.link.server)
          : failure(deps, incoming, named, found, retry),
    );
  });
  remember(incoming, waiting);
  return waiting;
}

/** Replaces arguments of a call that have fixed values. `received`: the message as its client sent it. */
function fixArguments(incoming: Incoming, received: Message, { fixed }: Target): GatewayError | undefined {
  const message = fixed ? withFixedArguments(received, fixed) : received;
  if (!message) return new GatewayError('invalid_params', 'params.arguments must be an object');
  incoming.rewrite(message);
  return undefined;
}

/** Whether a call waits for a yes. It is counted for the limits when it is asked for, and not each time it is repeated. */
function isHeld(deps: RelayDeps, incoming: Incoming, { kind }: Named, target: Target): boolean {
  return deps.approving()?.entriesOf(incoming, incoming.caller.view, kind, target) !== undefined;
}

/** Sends a request that its server could take now, once it has its yes if it needs one. */
function pass(
  deps: RelayDeps,
  incoming: Incoming,
  { named, received, wrap }: Judged,
  target: Target,
  crossing: CallCrossing | undefined,
): Exchange {
  const approving = deps.approving();
  const goesOn = crossing?.resume !== undefined && crossing.resume.isAgain !== true;
  const entries = goesOn
    ? undefined
    : approving?.entriesOf(incoming, incoming.caller.view, named.kind, target);
  if (!approving || !entries) return send(deps, incoming, named, target, crossing, wrap);
  return approving.open(incoming, {
    ...{ target, crossing, entries, name: named.name },
    admit: () => limit(deps, incoming, named.kind, target),
    again() {
      const gone = readmit(deps, incoming);
      if (gone) return gone;
      const found = incoming.caller.view.find(named.kind, named.name, incoming.session?.pages);
      if (!found) return refusal(deps, incoming, named, found);
      const unfixed = found.fixed === target.fixed ? undefined : fixArguments(incoming, received, found);
      const why = unfixed ?? guarded(deps, incoming, named.kind, found);
      if (why) return why;
      const now = crossingOf(deps, incoming, named, found);
      if (now instanceof GatewayError) return now;
      return found.link.state === 'up'
        ? { target: found, crossing: now }
        : refusal(deps, incoming, named, found);
    },
    send: (judged, use, as = incoming) => send(deps, as, named, judged.target, judged.crossing, wrap, use),
  });
}

/** Takes a caller without a session as the configuration has him now; that of a session is kept so. */
function readmit({ runtime, views }: RelayDeps, incoming: Incoming): GatewayError | undefined {
  const { session, origin, caller } = incoming;
  if (session) return undefined;
  const principal = runtime().auth.current(origin.principal);
  if (!principal) return withdrawn();
  const now = { ...caller, principal };
  const view = caller.era === 'modern' ? views.of(now, origin.route) : views.plain(now, origin.route);
  incoming.admit({ ...now, view }, undefined);
  return undefined;
}

function send(
  deps: RelayDeps,
  incoming: Incoming,
  named: Named,
  target: Target,
  crossing: CallCrossing | undefined,
  wrap: Wrap | undefined,
  use?: Use,
): Exchange {
  const { caller, message } = incoming;
  const { link, fixed } = target;
  // Fixed arguments may have moved it.
  const at = fixed ? (find(message.params, 'name') ?? named.at) : named.at;
  const level = caller.era === 'modern' && link.era === 'legacy' ? caller.level : undefined;
  const inner = caller.era === 'modern' ? incoming.sink : convertingSink(deps, incoming, target);
  const wrapped = wrap ? wrap(target, inner) : inner;
  const marks = incoming.merged ? marksOf(link) : undefined;
  const exchange = openCall(deps, incoming, {
    target,
    at,
    sink: marks ? new UriSink(wrapped, marks) : wrapped,
    crossing,
    over: level && deps.interests.raise(link, level),
    use,
  });
  remember(incoming, exchange);
  return exchange;
}

/** The sink for a legacy client; it converts the answer if the client's revision needs that. */
function convertingSink({ runtime, budget, boundary }: RelayDeps, incoming: Incoming, target: Target): Sink {
  const { sink, session, message } = incoming;
  const wraps = target.definition?.tool?.wrapsOutput === true;
  const revision = session?.revision;
  const converts = revision !== undefined && mayNeedConversion(revision, message.method);
  if (!wraps && !converts) return sink;
  const buffering = {
    maxBytes: runtime().config.limits.message_bytes,
    budget,
    whose: { client: session?.id, server: target.link.server },
    boundary,
  };
  return new ChangedAnswer(sink, buffering, function* (whole) {
    const wrapped = wraps ? yield* convertStructured(whole) : whole;
    return converts ? yield* convertContent(wrapped, revision) : wrapped;
  });
}

/** undefined: both sides are legacy. */
function crossingOf(
  { bridge }: RelayDeps,
  { caller, origin, message, found }: Incoming,
  { name }: Named,
  { link, definition, fixed }: Target,
): CallCrossing | GatewayError | undefined {
  // Its server may have changed it while the call waited.
  if (found?.reads === true && !(definition && isReadOnly(definition)))
    return new GatewayError('invalid_params', `the tool '${name.slice(0, 256)}' is not read-only any more`);
  if (caller.era === 'legacy')
    return link.era === 'legacy' ? undefined : { name, foreign: [], resume: undefined };
  const mirrored = definition?.tool?.headers ?? [];
  const { headers } = origin;
  // A client does not know the arguments that have fixed values, and so sends no header for them.
  const checked = fixed ? mirrored.filter(({ path }) => !fixed.names.has(path[0] ?? '')) : mirrored;
  // Who calls a tool through `call_tool` may not know its headers: the bridge makes them.
  const wrong =
    found || !headers
      ? undefined
      : checkParamHeaders(checked, message.body, find(message.params, 'arguments'), (header) =>
          headerText(headers[header]),
        );
  if (wrong !== undefined) return new GatewayError('header_mismatch', wrong);
  const resume = bridge.claim({ message, caller, route: origin.route.key, name }, link.era);
  if (resume instanceof GatewayError) return resume;
  const foreignLines = headers ? foreignHeaders(headers, mirrored) : [];
  return typeof resume === 'function'
    ? { name, foreign: foreignLines, resume }
    : resume && 'round' in resume
      ? { name, foreign: foreignLines, resume: undefined, hold: resume }
      : { name, foreign: foreignLines, resume: undefined, login: resume };
}

/** The value of a header; repeated lines are joined. */
function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}

/** Parameter headers that this tool does not declare: a server behind this one may. */
export function foreignHeaders(headers: Headers, known: readonly ParamHeader[]): string[] {
  const found: string[] = [];
  for (const name in headers) {
    if (!name.startsWith('mcp-param-') || known.some(({ header }) => header === name)) continue;
    const line = headerText(headers[name]);
    if (line !== undefined) found.push(name, line);
  }
  return found;
}

/** What a request is answered that cannot be sent. */
function failure(
  deps: RelayDeps,
  incoming: Incoming,
  named: Named,
  target: Target | undefined,
  retry?: LoginRetry,
): LoginAnswer {
  const error = refusal(deps, incoming, named, target);
  if (error.code !== 'login_required') return { error };
  return deps.logins.answer(incoming, named.name, error, { isTool: retry?.isTool === true });
}

/** The client was asked to log in, and did not. */
function declined(deps: RelayDeps, incoming: Incoming, { name }: Named, target: Target): Handled {
  const { server, login } = target.link;
  incoming.target = target;
  incoming.reason = 'login_required';
  const error = needsLogin(server, login ?? 'never');
  return settled(incoming.message, deps.logins.answer(incoming, name, error, { declined: true }));
}

function settled(message: Message, answered: LoginAnswer): Handled {
  return 'error' in answered ? refused(message, answered.error) : answer(message, answered.result.toString());
}

function refusal(
  deps: GuardedDeps,
  incoming: Incoming,
  named: Named,
  target: Target | undefined,
): GatewayError {
  if (!target) {
    noteHidden(deps, incoming, named.kind, named.name);
    const pages = incoming.session?.pages;
    return incoming.caller.view.conflict(named.kind, named.name, pages) ?? unknownName(named, incoming);
  }
  const error = unreachable(target);
  if (named.kind === 'tool') {
    incoming.target = target;
    incoming.reason = reasonOf(error);
  }
  return error;
}

export function methodNotFound({ method }: Pick<Message, 'method'>): GatewayError {
  return new GatewayError('method_not_found', `method '${method.slice(0, 128)}' not found`);
}

const SKILL_METHODS: ReadonlySet<string> = new Set(['skills/get', 'resources/directory/read']);

/** Unknown and hidden names get the same text. */
export function unknownName({ kind, name }: Named, { merged, message }: Incoming): GatewayError {
  const shown = name.slice(0, 256);
  if (kind === 'resource') {
    // Methods of the extension for skills have the same code in both eras (SEP-2640).
    const code = SKILL_METHODS.has(message.method) ? 'invalid_params' : 'resource_not_found';
    return new GatewayError(code, `resource not found: ${shown}`, { uri: name.slice(0, 2048) });
  }
  if (kind === 'task') return new GatewayError('invalid_params', `unknown task '${shown}'`);
  const form = merged ? `${kind} name must be server__${kind}, as in` : 'see';
  return new GatewayError('invalid_params', `unknown ${kind} '${shown}' (${form} ${kind}s/list)`);
}

/** The error for the route of one server that cannot be reached; undefined: it can be reached, or may be back soon. */
export function unreachableRoute(view: View, server: string | undefined): GatewayError | undefined {
  const [link] = server === undefined ? [] : view.links();
  if (!link || link.state === 'up' || link.reconnecting || link.keptSince !== undefined) return undefined;
  // It has the login tool.
  if (link.login !== undefined && isLoginTool(view.find('tool', LOGIN_TOOL)?.definition)) return undefined;
  return unreachable({ link });
}

/** The error for a server that is not connected. */
export function unreachable({ link }: Pick<Target, 'link'>): GatewayError {
  if (link.login !== undefined) return needsLogin(link.server, link.login);
  const why = link.firstConnect ? 'is still connecting' : 'is disconnected';
  const cause = link.lastError === undefined ? '' : ` (${link.lastError})`;
  const data = link.retryAfter === undefined ? undefined : { retryAfter: link.retryAfter };
  return new GatewayError('upstream_disconnected', `upstream '${link.server}' ${why}${cause}`, data);
}
