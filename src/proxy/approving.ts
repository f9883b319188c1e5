/**
 * Calls that wait for a yes: asks their callers in the way that their clients know, waits, judges them again, and lets them go once. The
 * records are in approvals/.
 */
import { inputRequired } from '../bridge/input.js';
import type { Bridge, HoldRetry, LoginRetry } from '../bridge/index.js';
import { sharedDigestOf } from '../catalog/pins.js';
import { GatewayError } from '../errors.js';
import type { Boundary } from '../observe/boundary.js';
import type { Approvals, Asked, HeldCall, HoldEntry, Round, Use } from '../protocol/approvals.js';
import { find } from '../protocol/message.js';
import type { Caller, Exchange, NameKind, Target, View } from '../protocol/ports.js';
import { answerWith } from '../protocol/sinks.js';
import { declaresTasks, makesTasks } from '../protocol/tasks.js';
import type { Session } from '../session/store.js';
import type { Streams } from '../session/streams.js';
import { readObject, textOf } from '../wire/json.js';
import type { CallCrossing } from './call.js';
import { TaskSink, type HeldTask, type HeldTasks } from './held-tasks.js';
import { answerIn, changedError, formOf, formText, isDecided } from './hold-forms.js';
import { KEY, noPage, readAnswer, takes, urlError } from './hold-forms.js';
import type { Incoming } from './incoming.js';
import { deferred } from './methods/deferred.js';
import type { Questions } from './questions.js';
import { remember } from './under-way.js';
import { Watch } from './watch.js';

export interface ApprovingDeps {
  readonly approvals: Approvals;
  readonly tasks: HeldTasks;
  readonly boundary: Boundary;
  readonly questions: Pick<Questions, 'ask' | 'withdraw'>;
  readonly streams: Pick<Streams, 'notifyOnceOpen'>;
  readonly bridge: () => Pick<Bridge, 'holdState'>;
  /** How long a call of a client with this name waits, in ms. */
  readonly waitMs: (client: string) => number;
  /** Whether this gateway serves the page of a record. */
  readonly hasPage: () => boolean;
  /** A digest of what the configuration says about a server, without limits and time-outs. */
  readonly configOf: (server: string) => string;
  /** A digest of the login or key that a server gets for a principal; undefined: none. */
  readonly loginOf: (server: string, principal: string) => string | undefined;
}

/** A call that is held, as its path knows it. */
export interface HeldPath {
  readonly target: Target;
  readonly crossing: CallCrossing | undefined;
  readonly entries: readonly HoldEntry[];
  /** The name as its client wrote it. */
  readonly name: string;
  /** Counts the call for the limits, before it is asked for. */
  readonly admit: () => GatewayError | undefined | Promise<GatewayError | undefined>;
  /** Judges the call as the configuration and its server are now. */
  readonly again: () => Judged | GatewayError;
  /** Sends it; `as`: absent: as the request of its client. */
  readonly send: (judged: Judged, use: Use, as?: Incoming) => Exchange;
}

export interface Judged {
  readonly target: Target;
  readonly crossing: CallCrossing | undefined;
}

type Outcome =
  | { readonly judged: Judged; readonly use: Use }
  | { readonly error: GatewayError }
  | { readonly result: Buffer; readonly resultType?: 'task' | 'input_required'; readonly task?: HeldTask };

/** How often a client that waits is told so. */
const TELL_MS = 10_000;
/** A modern client that waits for others repeats its request so often; SDK v2 gives up at 10. */
const MAX_ROUNDS = 8;
/** Longer than any entry holds a call. */
const LONGEST_MS = 86_400_000;

export class Approving {
  readonly #deps: ApprovingDeps;
  /** Ends the waits of a gateway that shuts down. */
  readonly #draining = new AbortController();
  /** Records whose caller has an open form: in which session, and how it is taken back. */
  readonly #forms = new Map<string, { readonly session: Session; readonly takeBack: () => void }>();
  /** Sessions that were asked to open a page, by the record that it is of. */
  readonly #watched = new Map<string, Watch>();

  constructor(deps: ApprovingDeps) {
    this.#deps = deps;
  }

  /** The entries that a call has to meet first; undefined: none. Worked out once, as long as rule, message and caller are the same. */
  entriesOf(
    incoming: Incoming,
    view: View,
    kind: NameKind,
    target: Target,
  ): readonly HoldEntry[] | undefined {
    const { caller, origin, message } = incoming;
    const { principal } = caller;
    // Where it came from another replica that runs no such server, that one has asked.
    if (kind !== 'tool' || origin.route.link) return undefined;
    const holds = view.verdict(kind, target)?.holds;
    if (!holds) return undefined;
    const known = incoming.held;
    if (known?.holds === holds && known.message === message && known.principal === principal)
      return known.entries;
    const fitting = holds.of(principal, message, origin.route.path);
    const entries = fitting.length > 0 ? fitting : undefined;
    incoming.held = { holds, message, principal, entries };
    return entries;
  }

  /** Asks for a call and sends it once it has its yes. */
  open(incoming: Incoming, path: HeldPath): Exchange {
    const controller = new AbortController();
    const { signal } = controller;
    let outcome: Outcome | undefined;
    const until = this.#run(incoming, path, signal).then((found) => {
      outcome = found;
      // Its client has left since.
      if ('use' in found && signal.aborted) found.use.nothingRan();
    });
    const waiting = deferred(this.#deps.boundary, incoming, { until, controller }, () => {
      if (!outcome) return;
      if ('use' in outcome) {
        waiting.next = path.send(outcome.judged, outcome.use);
        return;
      }
      const { sink, message } = incoming;
      incoming.target ??= path.target;
      if ('error' in outcome) {
        incoming.refusal = outcome.error;
        sink.fail(outcome.error);
      } else answerWith(sink, message.id ?? 'null', outcome.result, outcome);
      waiting.over('error' in outcome ? 'error' : 'success');
    });
    remember(incoming, waiting);
    return waiting;
  }

  /** No call waits any more: each is answered with an error, and can be repeated. */
  drain(): void {
    this.#draining.abort();
  }

  async #run(incoming: Incoming, path: HeldPath, signal: AbortSignal): Promise<Outcome> {
    const retry = path.crossing?.hold;
    const asked = await this.#deps.approvals.ask(
      this.#call(incoming, path.target, path.entries),
      roundOf(incoming, retry ?? path.crossing?.login),
      path.admit,
    );
    if (asked instanceof GatewayError) return { error: asked };
    if (incoming.details) incoming.details.approval = asked.view.id;
    incoming.decided('hold', path.entries[0]?.rule);
    let isTask = false;
    try {
      const told = await this.#tell(incoming, path, asked, signal);
      isTask = told !== undefined && 'result' in told && told.task !== undefined;
      if (told) return told;
      return await this.#use(incoming, path, asked);
    } finally {
      // The task of the call waits on.
      if (!isTask) asked.leave();
    }
  }

  /** Waits for the yes. Resolves with what the caller is answered instead; undefined: it is there. */
  async #tell(
    incoming: Incoming,
    path: HeldPath,
    asked: Asked,
    signal: AbortSignal,
  ): Promise<Exclude<Outcome, { use: Use }> | undefined> {
    const { caller, session, sink } = incoming;
    const retry = path.crossing?.hold?.id === asked.view.id ? path.crossing.hold : undefined;
    const said = retry && answerIn(retry.answers);
    if (said !== undefined) await asked.answer(said);
    let now = await asked.settled(0, signal);
    if (now === 'approved') return undefined;
    if (now instanceof GatewayError) return { error: now };
    if (asksTask(incoming, path.target)) return this.#task(incoming, path, asked);
    if (sink.isSilent === true) return { error: asked.pending };
    const text = formText(asked);
    const asksForm = asked.wantsCaller && asked.mayAskClient && text !== undefined && takes(caller, 'form');
    const asksUrl = asked.wantsCaller && !asksForm && takes(caller, 'url');
    if (!asksForm && !this.#deps.hasPage()) return { error: noPage(asked) };
    const isModern = caller.era === 'modern';
    const rounds = isModern && (takes(caller, 'form') || takes(caller, 'url'));
    const round = retry ? retry.round + 1 : 0;
    if (rounds && !retry)
      return this.#round(incoming, path, asked, round, asksForm ? text : undefined, asksUrl);
    // The page was not opened, or the form not answered.
    if (retry?.declined === true) return { error: asked.pending };
    if (!isModern && asksForm && session) this.#ask(incoming, session, asked, text);
    if (!isModern && asksUrl && session && !retry) {
      this.#watch(session, asked);
      return { error: urlError(asked) };
    }
    now = await this.#wait(incoming, asked, signal);
    // Before the answer, with which its stream ends.
    if (isDecided(now)) this.#forms.get(asked.view.id)?.takeBack();
    if (now === 'approved') return undefined;
    if (now instanceof GatewayError) return { error: now };
    // Its user was asked in the first round, whatever his client made of it: he is not asked with each of the others.
    if (rounds && round <= MAX_ROUNDS && !signal.aborted && !this.#draining.signal.aborted)
      return this.#round(incoming, path, asked, round, undefined, false);
    return { error: asked.pending };
  }

  /** The client goes on with a task, and the call with its yes. */
  #task(incoming: Incoming, path: HeldPath, asked: Asked): Extract<Outcome, { result: Buffer }> {
    incoming.target ??= path.target;
    const ttlMs = Math.max(0, asked.view.expires - Date.now());
    const { task, result } = this.#deps.tasks.make(incoming, asked.pending.message, ttlMs);
    this.#deps.boundary.detach('detached', this.#finish(incoming, path, asked, task), (error) => {
      task.fails(error);
    });
    return { result, task, ...(incoming.caller.era === 'modern' && { resultType: 'task' as const }) };
  }

  async #finish(incoming: Incoming, path: HeldPath, asked: Asked, task: HeldTask): Promise<void> {
    const stop = AbortSignal.any([task.signal, this.#draining.signal]);
    try {
      const now = await asked.settled(LONGEST_MS, stop);
      if (now === 'open') return task.fails(asked.pending);
      if (now instanceof GatewayError) return task.fails(now);
      const outcome = await this.#use(incoming, path, asked);
      if ('error' in outcome) return task.fails(outcome.error);
      if (!('use' in outcome)) return;
      if (task.signal.aborted) return outcome.use.nothingRan();
      const as = incoming.detached(new TaskSink(task));
      path.send(outcome.judged, outcome.use, as);
    } finally {
      asked.leave();
    }
  }

  async #wait(
    incoming: Incoming,
    asked: Asked,
    signal: AbortSignal,
  ): Promise<'approved' | 'open' | GatewayError> {
    const stop = AbortSignal.any([signal, this.#draining.signal]);
    const ticker = this.#tick(incoming, asked);
    try {
      return await asked.settled(this.#deps.waitMs(clientOf(incoming.caller)[0] ?? ''), stop);
    } finally {
      clearInterval(ticker);
    }
  }

  /** Tells a client that wants progress for whom its call waits: below what its server may report later, and rising. */
  #tick({ message, sink }: Incoming, { pending }: Asked): NodeJS.Timeout | undefined {
    const at = find(message.meta, 'progressToken');
    if (!at) return undefined;
    const token = message.body.toString('utf8', at.start, at.end);
    const method = 'notifications/progress';
    let n = 0;
    const tell = (): void => {
      n++;
      const params = `{"progressToken":${token},"progress":${-1 / n},"message":${JSON.stringify(pending.message)}}`;
      sink.notify({
        method,
        bytes: Buffer.from(`{"jsonrpc":"2.0","method":"${method}","params":${params}}`),
      });
    };
    return setInterval(this.#deps.boundary.guard('timer', tell), TELL_MS);
  }

  /** Uses the yes, if the call still is what it was given for. */
  async #use(incoming: Incoming, path: HeldPath, asked: Asked): Promise<Outcome> {
    const before = this.#judge(incoming, path);
    if (before instanceof GatewayError) return { error: before };
    const use = await asked.take(before.call);
    if (use instanceof GatewayError) return { error: use };
    // The configuration may have changed while the use was stored.
    const now = this.#judge(incoming, path);
    if (!(now instanceof GatewayError) && areSame(before.call, now.call)) return { judged: now.judged, use };
    use.nothingRan();
    return { error: now instanceof GatewayError ? now : changedError(asked) };
  }

  /** The call as it would be sent now. */
  #judge(
    incoming: Incoming,
    path: HeldPath,
  ): { readonly judged: Judged; readonly call: HeldCall } | GatewayError {
    const judged = path.again();
    if (judged instanceof GatewayError) return judged;
    const entries = this.entriesOf(incoming, incoming.caller.view, 'tool', judged.target) ?? [];
    return { judged, call: this.#call(incoming, judged.target, entries) };
  }

  #call(
    { caller, message }: Incoming,
    { link, name, definition }: Target,
    entries: readonly HoldEntry[],
  ): HeldCall {
    const { body, paramsSpan } = message;
    return {
      principal: caller.principal,
      client: clientText(caller),
      server: link.server,
      tool: name,
      params: paramsSpan ? body.subarray(paramsSpan.start, paramsSpan.end) : Buffer.from('{}'),
      passed: caller.passed?.digest,
      definition: definition ? sharedDigestOf(definition) : '',
      config: this.#deps.configOf(link.server),
      login: link.peerLink ? null : this.#deps.loginOf(link.server, caller.principal.id),
      entries,
    };
  }

  /** What a modern client is answered that is to repeat its request: it asks its user, opens the page, or waits. */
  #round(
    { message, caller, origin }: Incoming,
    { name }: HeldPath,
    asked: Asked,
    round: number,
    form: string | undefined,
    opensPage: boolean,
  ): Extract<Outcome, { result: Buffer }> {
    const presented = { message, caller, route: origin.route.key, name };
    const state = this.#deps.bridge().holdState(presented, asked.view.id, round);
    const params =
      form !== undefined
        ? { mode: 'form', ...formOf(form) }
        : opensPage
          ? { mode: 'url', message: asked.pending.message, url: asked.url }
          : undefined;
    const request = params && Buffer.from(JSON.stringify({ method: 'elicitation/create', params }));
    return { result: inputRequired(request ? [[KEY, request]] : [], state), resultType: 'input_required' };
  }

  /** Asks the user of a legacy client. What he answers counts for the record, also once this call has ended. */
  #ask({ caller, sink }: Incoming, session: Session, asked: Asked, text: string): void {
    const { id, server } = asked.view;
    const before = this.#forms.get(id);
    if (before?.session === session) return;
    // Its client may be gone without a word.
    before?.takeBack();
    const { boundary, questions } = this.#deps;
    const params = { ...(caller.revision >= '2025-11-25' && { mode: 'form' }), ...formOf(text) };
    const bytes = Buffer.from(
      JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'elicitation/create', params }),
    );
    const question = {
      method: 'elicitation/create',
      bytes,
      token: undefined,
      answer: (kind: 'result' | 'error', value: Buffer): void => {
        const said = kind === 'result' ? readAnswer(value) : undefined;
        if (said !== undefined) boundary.detach('detached', asked.answer(said));
      },
      refuse: () => undefined,
      progress: () => undefined,
    };
    const inputMs = Math.max(1, asked.view.expires - Date.now());
    const context = { session, server, key: id, merged: false, inputMs };
    const over = new AbortController();
    const sent = questions.ask(question, sink, context, () => {
      this.#forms.delete(id);
      over.abort();
    });
    if (typeof sent !== 'string') return;
    const takeBack = (): void => {
      questions.withdraw(session, sent, undefined);
    };
    this.#forms.set(id, { session, takeBack });
    // Others may decide once the call does not wait any more.
    const stop = AbortSignal.any([over.signal, this.#draining.signal]);
    boundary.detach(
      'detached',
      asked.decided(stop).then((state) => state !== 'open' && takeBack()),
    );
  }

  /** Tells a session that was asked to open the page once the votes are there (2025-11-25, client/elicitation). */
  #watch(session: Session, asked: Asked): void {
    const { boundary, streams } = this.#deps;
    const { id, expires } = asked.view;
    const known = this.#watched.get(id);
    if (known) return known.add(session);
    const watch = new Watch();
    watch.add(session);
    this.#watched.set(id, watch);
    const stop = AbortSignal.any([
      this.#draining.signal,
      AbortSignal.timeout(Math.max(1, expires - Date.now())),
    ]);
    const told = asked.decided(stop).then((state) => {
      this.#watched.delete(id);
      if (state === 'approved') watch.tell(streams, id);
    });
    boundary.detach('detached', told);
  }
}

/** Whether the client wants a task in place of the answer of a call, and the server may make one. */
function asksTask({ caller, message }: Incoming, { link }: Target): boolean {
  if (caller.era === 'legacy') return link.era === 'legacy' && find(message.params, 'task') !== undefined;
  return declaresTasks(caller.capabilities) && link.peer !== undefined && makesTasks(link.peer);
}

/** Whether a yes for one of these calls is one for the other. */
function areSame(before: HeldCall, now: HeldCall): boolean {
  const partsOf = ({ principal, params, passed, definition, config, login, entries }: HeldCall): string =>
    JSON.stringify([
      ...[principal.id, params.toString(), passed, definition, config, login],
      entries.map(({ digest }) => digest),
    ]);
  return partsOf(before) === partsOf(now);
}

/**
 * What a client answers a server that has asked for input; undefined: nothing, or it answers the gateway. Whatever its era: it is not shown to
 * who votes, so it must not be sent with a new call.
 */
function roundOf({ message }: Incoming, retry: HoldRetry | LoginRetry | undefined): Round | undefined {
  if (retry) return undefined;
  const { body, params } = message;
  const [state, responses] = [find(params, 'requestState'), find(params, 'inputResponses')];
  if (!state && !responses) return undefined;
  const given = responses && readObject(body.subarray(responses.start, responses.end));
  const text = state && readObject(Buffer.from(`{"s":${body.toString('utf8', state.start, state.end)}}`));
  return { state: textOf(text?.['s']), keys: Object.keys(given ?? {}) };
}

/** The name and the version that a client gives itself. */
function clientOf({ clientInfo }: Caller): readonly [name: string | undefined, version: string | undefined] {
  const read = clientInfo === undefined ? undefined : readObject(Buffer.from(clientInfo));
  return [textOf(read?.['name']), textOf(read?.['version'])];
}

function clientText(caller: Caller): string | undefined {
  const [name, version] = clientOf(caller);
  return name === undefined ? undefined : `${name} ${version ?? ''}`.trim().slice(0, 128);
}
