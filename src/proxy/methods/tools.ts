/** `tools/list` from the catalog, `tools/call` to its upstream; both wait a little for an upstream's first connect. */
import { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import type { GatewayStats } from '../../observe/stats.js';
import { idKey, param, type Message } from '../../protocol/message.js';
import type { Cause, Exchange, Sink, Target } from '../../protocol/ports.js';
import type { Session } from '../../session/store.js';
import { countRefusal, openCall } from '../call.js';
import { answer, counter, refused, type Done, type Handled, type Source } from '../handled.js';
import type { Runtime } from '../runtime.js';

export interface ToolsDeps {
  readonly runtime: () => Runtime;
  readonly stats: GatewayStats;
  readonly log: Logger;
}

export function listTools(deps: ToolsDeps, source: Source, message: Message, sink: Sink): Handled {
  const cursor = param(message, 'cursor');
  if (cursor !== undefined && cursor !== null)
    return refused(
      message,
      new GatewayError('invalid_params', 'unknown cursor: every list here is one page'),
    );
  const { view } = source.route;
  const controller = new AbortController();
  const wait = view.ready(undefined, controller.signal);
  if (!wait) return answer(message, view.list());
  const done = counter(deps.stats.method('tools/list'));
  const exchange = deferred(controller, wait, sink, done, () => {
    const list = view.list();
    const { bytes } = answer(message, list) as { bytes: Buffer };
    const value = bytes.length - 1 - list.length;
    sink.start({ kind: 'result', bytes: bytes.length, value, code: undefined });
    sink.write(bytes);
    sink.end({ isError: false });
    done('success');
  });
  return { kind: 'exchange', exchange };
}

export function callTool(
  deps: ToolsDeps,
  source: Source,
  message: Message,
  session: Session | undefined,
  sink: Sink,
): Handled {
  const { view } = source.route;
  const name = message.paramsSpan ? param(message, 'name') : undefined;
  if (typeof name !== 'string') {
    const why = message.paramsSpan ? 'params.name is required' : 'params are required';
    return refused(message, new GatewayError('invalid_params', why));
  }
  const key = session && idKey(message.id as string);
  if (key !== undefined && session?.inFlight?.has(key)) {
    const why = `the id ${key.slice(0, 64)} is in use by a request in flight`;
    return refused(message, new GatewayError('invalid_request', why));
  }
  const target = view.find(name);
  if (target?.link.state === 'up') return { kind: 'exchange', exchange: open(target) };

  const controller = new AbortController();
  const wait = view.ready(name, controller.signal);
  if (!wait) return refused(message, refusal(target));
  const over = (result: 'success' | 'error'): void => {
    done(result);
    forget(session, key);
  };
  const done = counter(deps.stats.method('tools/call'));
  const waiting = deferred(controller, wait, sink, over, () => {
    const found = view.find(name);
    if (found?.link.state === 'up') {
      waiting.next = open(found);
      return;
    }
    sink.fail(refusal(found));
    over('error');
  });
  remember(session, key, waiting);
  return { kind: 'exchange', exchange: waiting };

  function open(found: Target): Exchange {
    const exchange = openCall(message, found, sink, {
      log: deps.log,
      calls: deps.runtime().config.logging.calls,
      method: deps.stats.method('tools/call'),
      sessionId: session?.id,
      over: key === undefined ? undefined : () => forget(session, key),
    });
    remember(session, key, exchange);
    return exchange;
  }

  function refusal(found: Target | undefined): GatewayError {
    const error = found ? unreachable(found) : unknownTool(name as string, source);
    if (found) countRefusal(found, error);
    return error;
  }
}

/** Unknown and forbidden names get the same text. */
function unknownTool(name: string, source: Source): GatewayError {
  const form =
    source.route.server === undefined ? 'tool name must be server__tool, as in tools/list' : 'see tools/list';
  return new GatewayError('invalid_params', `unknown tool '${name.slice(0, 256)}' (${form})`);
}

function unreachable({ link }: Target): GatewayError {
  const why = link.firstConnect ? 'is still connecting' : 'is disconnected';
  const cause = link.lastError === undefined ? '' : ` (${link.lastError})`;
  const data = link.retryAfter === undefined ? undefined : { retryAfter: link.retryAfter };
  return new GatewayError('upstream_disconnected', `upstream '${link.server}' ${why}${cause}`, data);
}

function remember(session: Session | undefined, key: string | undefined, exchange: Exchange): void {
  if (session && key !== undefined) (session.inFlight ??= new Map()).set(key, exchange);
}

/** An emptied map is let go: see upstream/call-table.ts. */
function forget(session: Session | undefined, key: string | undefined): void {
  if (key === undefined || !session?.inFlight?.delete(key)) return;
  if (session.inFlight.size === 0) session.inFlight = undefined;
}

/** An exchange that first waits for an upstream's first connect. */
function deferred(
  controller: AbortController,
  wait: Promise<void>,
  sink: Sink,
  done: Done,
  go: () => void,
): Exchange & { next: Exchange | undefined } {
  let over = false;
  const exchange = {
    next: undefined as Exchange | undefined,
    resume() {
      exchange.next?.resume();
    },
    cancel(why: Cause) {
      if (exchange.next) return exchange.next.cancel(why);
      if (over) return;
      over = true;
      controller.abort();
      done('error');
      sink.cancelled(why);
    },
  };
  void wait.then(() => {
    if (over) return;
    over = true;
    go();
  });
  return exchange;
}
