/** The gateway's own requests to an upstream: the handshake, the lists, what keeps a link alive. */
import type { ServerConfig } from '../config/types.js';
import { GatewayError } from '../errors.js';
import { LISTS } from '../protocol/lists.js';
import { UpstreamCall, type CallOwner, type Carrier } from './calls.js';
import { collect, type Collected } from './collect.js';
import { ownHeaders, withEnvelope, type EnvelopeFacts } from './envelope.js';
import { withStatus } from './failures.js';

/** How long they wait for an answer, unless request_ms is shorter. */
const OWN_REQUEST_MS = 60_000;

export interface OwnRequestsDeps {
  readonly owner: CallOwner;
  readonly config: () => ServerConfig;
  readonly nextId: () => number;
  /** Puts it among the calls of the link and on its way. */
  readonly send: (call: UpstreamCall, carrier: Carrier) => void;
  readonly envelope: () => Omit<EnvelopeFacts, 'revision'>;
  /** The link is closed: nobody waits any more. */
  readonly closed: AbortSignal;
}

export interface OwnRequest {
  readonly call: UpstreamCall;
  /** Rejects with the upstream's error as a GatewayError. */
  readonly answer: Promise<Collected>;
}

export interface OwnRequests {
  request(carrier: Carrier, method: string, params: string | undefined): Promise<Collected>;
  /** `long`: its answer is a stream that stays open. */
  open(carrier: Carrier, method: string, params: string | undefined, options?: { long: boolean }): OwnRequest;
}

export function createOwnRequests(deps: OwnRequestsDeps): OwnRequests {
  const { owner, closed } = deps;

  function open(
    carrier: Carrier,
    method: string,
    params: string | undefined,
    { long } = { long: false },
  ): OwnRequest {
    const { kind, timeouts } = deps.config();
    const id = deps.nextId();
    const totalMs = timeouts.request_ms > 0 ? Math.min(timeouts.request_ms, OWN_REQUEST_MS) : OWN_REQUEST_MS;
    const { modern } = carrier;
    const sent =
      modern === undefined ? params : withEnvelope(params, { ...deps.envelope(), revision: modern });
    const body = `{"jsonrpc":"2.0","id":${id},"method":"${method}"${sent === undefined ? '' : `,"params":${sent}`}}`;
    const { sink, answer } = collect(owner.server, method, owner.messageBytes(), owner.budget, {
      unproven: LIST_METHODS.has(method),
    });
    const call = new UpstreamCall(owner, id, method, Buffer.from(String(id)), Buffer.from(body), sink, {
      repeatable: !long,
      own: true,
      long,
      modern: modern !== undefined,
      headers: modern === undefined ? undefined : ownHeaders(method, params),
      silenceMs: 0,
      totalMs: kind === 'stdio' && STARTING.has(method) ? timeouts.start_ms : totalMs,
    });
    deps.send(call, carrier);
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
    closed.addEventListener('abort', cancel, { once: true });
    try {
      return await answer;
    } catch (error) {
      if (error instanceof GatewayError && call.httpStatus >= 300) throw withStatus(error, call.httpStatus);
      throw error;
    } finally {
      closed.removeEventListener('abort', cancel);
    }
  }

  return {
    open,
    request: (carrier, method, params) => open(carrier, method, params).answer,
  };
}

/** Their results are proven as they are read. */
const LIST_METHODS: ReadonlySet<string> = new Set(Object.values(LISTS).map(({ method }) => method));

/** A child that is only just starting takes its time to answer these. */
const STARTING = new Set(['initialize', 'server/discover']);
