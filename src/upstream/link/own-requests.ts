/** Requests of the gateway itself to a server: handshake, lists, health, subscriptions. */
import type { ServerConfig } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import type { PeerLink } from '../../protocol/peer-clients.js';
import { methodOf } from '../../protocol/methods.js';
import { LISTS } from '../../protocol/lists.js';
import { UpstreamCall, type Carrier } from '../calls/calls.js';
import { collect, type Collected } from '../calls/collect.js';
import { ownHeaders, withEnvelope, type EnvelopeFacts } from './envelope.js';
import { withData } from './failures.js';
import type { LinkCalls } from './link-calls.js';

/** How long they wait for an answer, unless timeouts.request_ms is shorter; in ms. */
const OWN_REQUEST_MS = 60_000;

export interface OwnRequestsDeps {
  readonly calls: LinkCalls;
  readonly config: () => ServerConfig;
  /** What modern requests say about the gateway. */
  readonly envelope: Omit<EnvelopeFacts, 'revision'>;
  /** Another replica runs the server. */
  readonly peerLink?: PeerLink | undefined;
}

export interface OwnRequest {
  readonly call: UpstreamCall;
  /** Rejects with a GatewayError. */
  readonly answer: Promise<Collected>;
}

export interface OpenOptions {
  /** The answer is a stream that stays open. */
  readonly long?: boolean;
  /** A shorter timeout than the usual one, in ms. */
  readonly totalMs?: number;
}

export interface OwnRequests {
  request(carrier: Carrier, method: string, params: string | undefined): Promise<Collected>;
  open(carrier: Carrier, method: string, params: string | undefined, options?: OpenOptions): OwnRequest;
  /** The link is closed: cancels all of them. */
  close(): void;
}

export function createOwnRequests(deps: OwnRequestsDeps): OwnRequests {
  const { calls } = deps;
  const waiting = new Set<() => void>();
  let closed = false;

  function headersOf(method: string, params: string | undefined): readonly string[] | undefined {
    const introduced = deps.peerLink?.own?.();
    const own = ownHeaders(method, params);
    return introduced ? [...introduced, ...(own ?? [])] : own;
  }

  function open(
    carrier: Carrier,
    method: string,
    params: string | undefined,
    { long = false, totalMs = Infinity }: OpenOptions = {},
  ): OwnRequest {
    const { kind, timeouts } = deps.config();
    const id = calls.nextId();
    const requestMs = timeouts.request_ms > 0 ? timeouts.request_ms : OWN_REQUEST_MS;
    const limitMs = Math.min(requestMs, OWN_REQUEST_MS, totalMs);
    const { modern } = carrier;
    const sent = modern === undefined ? params : withEnvelope(params, { ...deps.envelope, revision: modern });
    const body = `{"jsonrpc":"2.0","id":${id},"method":"${method}"${sent === undefined ? '' : `,"params":${sent}`}}`;
    const { sink, answer } = collect(calls.server, method, calls.messageBytes(), calls.budget, {
      unchecked: LIST_METHODS.has(method),
    });
    const call = new UpstreamCall(calls, id, method, Buffer.from(String(id)), Buffer.from(body), sink, {
      repeatable: !long,
      own: true,
      long,
      modern: modern !== undefined,
      headers: modern === undefined ? undefined : headersOf(method, params),
      silenceMs: 0,
      totalMs: kind === 'stdio' && methodOf(method)?.first ? Math.min(timeouts.start_ms, totalMs) : limitMs,
    });
    calls.begin(call, carrier);
    return { call, answer: watched(call, answer, sink.fail.bind(sink)) };
  }

  async function watched(
    call: UpstreamCall,
    answer: Promise<Collected>,
    fail: (error: GatewayError) => void,
  ): Promise<Collected> {
    const cancel = (): void => {
      call.cancel('closed');
      fail(new GatewayError('upstream_disconnected', 'closed'));
    };
    waiting.add(cancel);
    if (closed) cancel();
    try {
      return await answer;
    } catch (error) {
      throw error instanceof GatewayError ? withFacts(error, call) : error;
    } finally {
      waiting.delete(cancel);
    }
  }

  return {
    open,
    request: (carrier, method, params) => open(carrier, method, params).answer,
    close() {
      closed = true;
      for (const cancel of [...waiting]) cancel();
    },
  };
}

/** The reader of their results checks the JSON. */
const LIST_METHODS: ReadonlySet<string> = new Set(Object.values(LISTS).map(({ method }) => method));

/** The error with what only the call knows about the connection. */
function withFacts(error: GatewayError, { httpStatus, unreached, retryAfterMs }: UpstreamCall): GatewayError {
  const more = {
    ...(httpStatus >= 300 && { status: httpStatus }),
    ...(unreached && { unreached }),
    ...(retryAfterMs !== undefined && { retryAfter: Math.ceil(retryAfterMs / 1000) }),
  };
  return Object.keys(more).length > 0 ? withData(error, more) : error;
}
