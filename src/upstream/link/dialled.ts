/** What the ways to connect to a server have in common: what they need, what they result in, the handshake at their end. */
import type { ServerConfig } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import type { Slots } from '../../lib/slots.js';
import { mayPass } from '../../lib/may-pass.js';
import type { Peer } from '../../protocol/ports.js';
import type { LegacyRevision } from '../../protocol/revisions.js';
import type { Credential } from '../../protocol/credential.js';
import type { ChildLease } from '../../protocol/child-lease.js';
import type { PeerLink } from '../../protocol/peer-clients.js';
import type { CallOwner, Carrier, Transport, TransportEvents } from '../calls/calls.js';
import type { Watcher } from '../stdio/watcher.js';
import { handshake } from './handshake.js';
import type { Losses } from './losses.js';
import type { OwnRequests } from './own-requests.js';
import type { Probed, Verdict } from './probe.js';

/** What an attempt found out; the next one begins with that. */
export type Known = { readonly era: 'modern' } | { readonly era: 'legacy'; readonly sse: boolean };

export interface DialDeps {
  readonly owner: CallOwner;
  /** What is shown to a server over HTTP, or what a child gets in its environment. */
  readonly credential: Credential | undefined;
  /** See PeerLink. */
  readonly connect?: PeerLink['connect'] | undefined;
  /** See StdioDeps. */
  readonly lease?: ChildLease | undefined;
  /** The events of the carrier that `opened` returned. */
  readonly events: TransportEvents;
  readonly starts: Slots;
  readonly clientInfo: { readonly name: string; readonly version: string };
  /** The client capabilities for `initialize`. */
  readonly capabilities: object;
  readonly watcher: Watcher;
  /** A transport was made: further requests are sent on it. `modern`: the revision that is tried on it. */
  readonly opened: (transport: Transport, modern?: string) => Carrier;
  readonly own: OwnRequests;
  /** What is tried first: from an earlier attempt, or the era of the client. */
  readonly known: Known | undefined;
  /** A factor for timeouts.probe_ms, which limits how long a child may take to answer the probe. */
  readonly patience: number;
  /** A child answered the probe after `initialize` had been sent. */
  readonly late: () => void;
  /** See HandshakeDeps, as `failedLate`. */
  readonly losses: Losses;
  readonly failedLate: (carrier: Carrier, error: GatewayError) => void;
  /** Closes a transport: its session or its process ends in good order. */
  readonly close: (transport: Transport) => void;
}

export interface Dialled {
  readonly carrier: Carrier;
  readonly peer: Peer;
  /** undefined: the server accepted `initialize`, but did not say which revisions it speaks. */
  readonly known: Known | undefined;
  /** The DiscoverResult, for its caching hints. */
  readonly discovered?: Buffer | undefined;
}

export async function initialized(
  config: ServerConfig,
  deps: DialDeps,
  transport: Transport,
  options: {
    readonly carrier?: Carrier;
    readonly offer?: LegacyRevision | undefined;
    readonly probing?: boolean;
  } = {},
): Promise<Dialled> {
  try {
    const carrier = options.carrier ?? deps.opened(transport);
    carrier.probing = options.probing ?? false;
    const peer = await handshake(config, {
      transport,
      request: (method, params) => deps.own.request(carrier, method, params),
      clientInfo: deps.clientInfo,
      capabilities: deps.capabilities,
      offer: options.offer,
      losses: deps.losses,
      failedLate: (error) => {
        deps.failedLate(carrier, error);
      },
    });
    carrier.probing = false;
    return { carrier, peer, known: { era: 'legacy', sse: transport.kind === 'sse' } };
  } catch (error) {
    // A carrier that was passed in is closed by the caller.
    if (!options.carrier) deps.close(transport);
    throw error;
  }
}

export function modern(carrier: Carrier, verdict: Verdict & { era: 'modern' }, probed: Probed): Dialled {
  // The server names a revision that it has refused already: asking again would not end.
  if (!('peer' in verdict))
    throw new GatewayError(
      'upstream_protocol_error',
      'the upstream refuses the protocol revision that it names itself',
    );
  const discovered = probed.type === 'result' ? probed.value : undefined;
  return { carrier, peer: verdict.peer, known: { era: 'modern' }, discovered };
}

/** Resolves with the outcome of a request of the probe; never rejects. */
export function settled({ call, answer }: ReturnType<OwnRequests['open']>): Promise<Probed> {
  return answer.then(
    ({ value }): Probed => ({ type: 'result', value }),
    (error: unknown): Probed => ({
      type: 'error',
      status: call.httpStatus,
      error: error instanceof GatewayError ? error : new GatewayError('internal', String(error)),
    }),
  );
}

export function notModern(config: ServerConfig, probed: Probed): GatewayError {
  const why =
    probed.type === 'error'
      ? probed.error.message
      : `upstream '${config.name}' ${probed.type === 'silence' ? 'did not answer' : 'gave no valid answer to'} server/discover`;
  return new GatewayError(
    'upstream_protocol_error',
    `${why} (revision: ${config.revision} allows no older revision)`,
  );
}

/** Whether the server refused a request, other than for its load or the credentials. */
export function wasRefused(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false;
  const { rpc, status } = (error.data ?? {}) as { rpc?: unknown; status?: unknown };
  if (typeof status !== 'number' || status < 400) return typeof rpc === 'number';
  return !mayPass(status) && status !== 401 && status !== 403;
}
