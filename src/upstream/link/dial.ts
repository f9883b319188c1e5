/** Finding the way to an upstream: its era, its transport, then the handshake where its era has one. */
import type { HttpServerConfig, ServerConfig, StdioServerConfig } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import type { Slots } from '../../lib/slots.js';
import type { Peer } from '../../protocol/ports.js';
import { FIRST_MODERN, type LegacyRevision } from '../../protocol/revisions.js';
import type { CallOwner, Carrier, Transport, TransportEvents } from '../calls/calls.js';
import { neitherWorks } from './failures.js';
import { handshake } from './handshake.js';
import type { OwnRequests } from './own-requests.js';
import { DISCOVER, judgeProbe, MODERN_CODES, pinnedEra, type Probed, type Verdict } from './probe.js';
import type { HttpDeps } from '../http/http.js';
import type { Watcher } from '../stdio/watcher.js';

/** What a dial found out that the next one may begin with. */
export type Known = { readonly era: 'modern' } | { readonly era: 'legacy'; readonly sse: boolean };

export interface DialDeps {
  readonly owner: CallOwner;
  /** Of the carrier that `opened` gave. */
  readonly events: TransportEvents;
  readonly starts: Slots;
  readonly clientInfo: { readonly name: string; readonly version: string };
  /** Told to the upstream at `initialize`. */
  readonly capabilities: object;
  readonly watcher: Watcher;
  /** A transport was made: what is requested from now on goes over it. `modern`: the revision that is tried on it. */
  readonly opened: (transport: Transport, modern?: string) => Carrier;
  readonly own: OwnRequests;
  /** From the dial before, or what its client speaks: tried first. */
  readonly known: Known | undefined;
  /** How many times as long as timeouts.probe_ms a child may keep silent. */
  readonly patience: number;
  /** A child that had been taken for legacy answered the probe after all. */
  readonly late: () => void;
  /** Lets go of a transport: its session or its child ends in good order. */
  readonly leave: (transport: Transport) => void;
}

export interface Dialled {
  readonly carrier: Carrier;
  readonly peer: Peer;
  /** undefined: it took `initialize`, but what it speaks is not known. */
  readonly known: Known | undefined;
  /** The DiscoverResult, for the hints in it. */
  readonly discovered?: Buffer | undefined;
}

/** How long a child has to end that refused `initialize`. */
const LEAVE_MS = 2000;
/** From the spawn: a child may first have to be downloaded. */
const STARTING_FACTOR = 3;
/** Where `auto` goes on to HTTP+SSE (2026-07-28, basic/transports/streamable-http, "Backward Compatibility"). */
const NOT_STREAMABLE = new Set([400, 404, 405]);

/** Rejects with a GatewayError. What it opened is closed again when it fails. */
export function dial(config: ServerConfig, deps: DialDeps, signal: AbortSignal): Promise<Dialled> {
  return config.kind === 'stdio' ? dialStdio(config, deps, signal) : dialHttp(config, deps, signal);
}

async function dialStdio(config: StdioServerConfig, deps: DialDeps, signal: AbortSignal): Promise<Dialled> {
  const pinned = pinnedEra(config.revision);
  const release = await deps.starts.take(signal);
  try {
    const { Stdio } = await import('../stdio/stdio.js');
    signal.throwIfAborted();
    const { owner, events, watcher } = deps;
    const spawn = (): InstanceType<typeof Stdio> => new Stdio({ config, owner, events, watcher });
    let transport = spawn();
    if (pinned === 'legacy') return await initialized(config, deps, transport);
    if (pinned === undefined && deps.known?.era === 'legacy') {
      const carrier = deps.opened(transport);
      try {
        return await initialized(config, deps, transport, { carrier, probing: true });
      } catch (error) {
        signal.throwIfAborted();
        if (!wasRefused(error) && !(transport.started && isLost(error))) {
          deps.leave(transport);
          throw error;
        }
        owner.log.debug('refused initialize: asked for a modern revision', { server: config.name });
        // A process of its own for the other era: nobody knows what this one makes of a second greeting.
        await transport.close(LEAVE_MS);
        transport.destroy();
        transport = spawn();
      }
    }

    const carrier = deps.opened(transport, FIRST_MODERN);
    try {
      carrier.probing = true;
      const asked = deps.own.open(carrier, DISCOVER, undefined);
      const answer = settled(asked);
      const waitMs = config.timeouts.probe_ms * deps.patience;
      const silence = silent(transport, waitMs);
      let probed = await Promise.race([answer, silence.over]);
      silence.stop();
      signal.throwIfAborted();
      if (probed.type === 'error' && lostOnTheWay(probed)) {
        // Never started: a second time would end like the first.
        if (!transport.started || pinned === 'modern') throw probed.error;
        probed = { type: 'exit' };
      }
      carrier.probing = false;
      let verdict = judgeProbe(probed, FIRST_MODERN, config.name);
      if ('retry' in verdict) {
        carrier.modern = verdict.retry;
        probed = await settled(deps.own.open(carrier, DISCOVER, undefined));
        signal.throwIfAborted();
        verdict = judgeProbe(probed, verdict.retry, config.name);
      }
      if (verdict.era === 'none') throw verdict.error;
      if (verdict.era === 'modern') return modern(carrier, verdict, probed);
      if (pinned === 'modern') throw notModern(config, probed);
      owner.log.debug('taken for a server of the legacy era', { server: config.name, why: probed.type });
      if (probed.type === 'exit') {
        transport.destroy();
        return await initialized(config, deps, spawn());
      }
      carrier.modern = undefined;
      const { offer } = verdict;
      if (probed.type === 'error' || probed.type === 'result')
        return await initialized(config, deps, transport, { carrier, offer });
      return await unlessLate(config, deps, carrier, answer);
    } catch (error) {
      deps.leave(transport);
      throw error;
    }
  } finally {
    release();
  }
}

/** A child that kept silent gets `initialize`; should it answer the probe first, that counts. */
async function unlessLate(
  config: ServerConfig,
  deps: DialDeps,
  carrier: Carrier,
  answer: Promise<Probed>,
): Promise<Dialled> {
  let dialled = false;
  const late = answer.then((probed) => {
    if (probed.type !== 'result') return undefined;
    const verdict = judgeProbe(probed, FIRST_MODERN, config.name);
    if (verdict.era !== 'modern' || !('peer' in verdict)) return undefined;
    if (dialled) {
      deps.late();
      return undefined;
    }
    carrier.modern = verdict.peer.revision;
    return modern(carrier, verdict, probed);
  });
  const first = late.then((found) => found ?? new Promise<never>(() => undefined));
  const { transport } = carrier;
  try {
    return await Promise.race([initialized(config, deps, transport, { carrier }), first]);
  } catch (error) {
    // It may refuse `initialize` in the same breath as it answers the probe.
    const found = await Promise.race([late, new Promise(setImmediate).then(() => undefined)]);
    if (found) return found;
    throw error;
  } finally {
    dialled = true;
  }
}

async function dialHttp(config: HttpServerConfig, deps: DialDeps, signal: AbortSignal): Promise<Dialled> {
  if (config.protocol === 'sse') return overSse(config, deps);
  const pinned = pinnedEra(config.revision);
  if (pinned === 'legacy') return overLegacy(config, deps, signal, { mayGet: true });
  const { known } = deps;
  if (known?.era === 'legacy' && pinned === undefined) {
    try {
      if (known.sse) return await overSse(config, deps, { probing: true });
      return await overLegacy(config, deps, signal, { mayGet: false });
    } catch (error) {
      if (!wasRefused(error)) throw error;
      deps.owner.log.info('refused what it took before: finding out its era again', { server: config.name });
      signal.throwIfAborted();
    }
  }
  const http = await httpDeps(config, deps);
  let isHandedOn = false;
  try {
    signal.throwIfAborted();
    const { ModernHttp } = await import('../http/modern-http.js');
    const probe = async (
      revision: string,
    ): Promise<{ carrier: Carrier; probed: Probed; verdict: Verdict }> => {
      const carrier = deps.opened(new ModernHttp(http, revision), revision);
      const probed = await settled(deps.own.open(carrier, DISCOVER, undefined));
      signal.throwIfAborted();
      return { carrier, probed, verdict: judgeProbe(probed, revision, config.name) };
    };
    let { carrier, probed, verdict } = await probe(FIRST_MODERN);
    if ('retry' in verdict) ({ carrier, probed, verdict } = await probe(verdict.retry));
    if (verdict.era === 'none') {
      if (pinned === 'modern' || !mayTakeInitialize(probed)) throw verdict.error;
      isHandedOn = true;
      return await withoutVerdict(verdict.error, overLegacy(config, deps, signal, { mayGet: false, http }));
    }
    if (verdict.era === 'modern') return modern(carrier, verdict, probed);
    if (pinned === 'modern') throw notModern(config, probed);
    const { offer, status } = verdict;
    deps.owner.log.debug('taken for a server of the legacy era', { server: config.name, status });
    isHandedOn = true;
    return await overLegacy(config, deps, signal, { mayGet: NOT_STREAMABLE.has(status), offer, http });
  } catch (error) {
    // Who has it ends its session with it.
    if (!isHandedOn) http.dispatcher.destroy();
    throw error;
  }
}

/** Whether a server that gave no verdict may be of the legacy era: it was there, but refused or did not answer what it may not know. */
function mayTakeInitialize(probed: Probed): boolean {
  if (probed.type !== 'error') return false;
  const { unreached, retryAfter } = (probed.error.data ?? {}) as {
    unreached?: unknown;
    retryAfter?: unknown;
  };
  if (unreached === true || retryAfter !== undefined) return false;
  const { status } = probed;
  return status === 401 || status === 403 || status >= 500 || probed.error.code === 'upstream_timeout';
}

/** Both errors are told where both fail. */
async function withoutVerdict(first: GatewayError, dialled: Promise<Dialled>): Promise<Dialled> {
  try {
    return { ...(await dialled), known: undefined };
  } catch (second) {
    if (!(second instanceof GatewayError) || second.message === first.message) throw first;
    const both = `${first.message} (and to initialize: ${second.message})`;
    throw new GatewayError(first.code, both, first.data);
  }
}

/** Asks a server once more that took `initialize` and gave no verdict before. */
export async function probeAgain(config: HttpServerConfig, deps: DialDeps): Promise<Verdict> {
  const http = await httpDeps(config, deps);
  try {
    const { ModernHttp } = await import('../http/modern-http.js');
    const transport = new ModernHttp(http, FIRST_MODERN);
    const carrier = { transport, calls: 0, retired: false, modern: FIRST_MODERN, probing: true };
    const probed = await settled(deps.own.open(carrier, DISCOVER, undefined));
    return judgeProbe(probed, FIRST_MODERN, config.name);
  } finally {
    http.dispatcher.destroy();
  }
}

/** Streamable HTTP, or HTTP+SSE where that is refused. `http`: what the probe used. */
async function overLegacy(
  config: HttpServerConfig,
  deps: DialDeps,
  signal: AbortSignal,
  options: {
    readonly mayGet: boolean;
    readonly offer?: LegacyRevision | undefined;
    readonly http?: HttpDeps;
  },
): Promise<Dialled> {
  const { StreamableHttp } = await import('../http/streamable-http.js');
  const http = options.http ?? (await httpDeps(config, deps));
  try {
    if (signal.aborted) http.dispatcher.destroy();
    signal.throwIfAborted();
    return await initialized(config, deps, new StreamableHttp(http), { offer: options.offer });
  } catch (error) {
    if (config.protocol === 'streamable' || !options.mayGet || !speaksOnlySse(error)) throw error;
    signal.throwIfAborted();
    try {
      // Probing: what is told is what both ways came to.
      return await overSse(config, deps, { probing: true });
    } catch (second) {
      if (error instanceof GatewayError && second instanceof GatewayError)
        throw neitherWorks(config.url, error, second, config.name);
      throw second;
    }
  }
}

/** `probing`: should it fail, the dial goes on in another way. */
async function overSse(
  config: HttpServerConfig,
  deps: DialDeps,
  { probing } = { probing: false },
): Promise<Dialled> {
  const { HttpSse } = await import('../http/sse.js');
  return initialized(config, deps, new HttpSse(await httpDeps(config, deps)), { probing });
}

async function httpDeps(config: HttpServerConfig, deps: DialDeps): Promise<HttpDeps> {
  const { createDispatcher } = await import('../http/dispatcher.js');
  return {
    config,
    owner: deps.owner,
    events: deps.events,
    dispatcher: createDispatcher(config, { logger: deps.owner.log }),
  };
}

async function initialized(
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
    });
    carrier.probing = false;
    return { carrier, peer, known: { era: 'legacy', sse: transport.kind === 'sse' } };
  } catch (error) {
    // Who opened it closes it.
    if (!options.carrier) deps.leave(transport);
    throw error;
  }
}

function modern(carrier: Carrier, verdict: Verdict & { era: 'modern' }, probed: Probed): Dialled {
  // Named once already: it would go on like this for ever.
  if (!('peer' in verdict))
    throw new GatewayError(
      'upstream_protocol_error',
      'the upstream refuses the protocol revision that it names itself',
    );
  const discovered = probed.type === 'result' ? probed.value : undefined;
  return { carrier, peer: verdict.peer, known: { era: 'modern' }, discovered };
}

/** Resolves with how a request of the probe ended; never rejects. */
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

/** Over stdio: the process is gone, and every call with it. */
function lostOnTheWay({ error }: Probed & { type: 'error' }): boolean {
  return isLost(error);
}

function isLost(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'upstream_disconnected';
}

function silent(
  transport: { readonly spoke: Promise<void> },
  ms: number,
): { readonly over: Promise<Probed>; stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const over = new Promise<Probed>((resolve) => {
    const wait = (limit: number): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        resolve({ type: 'silence' });
      }, limit);
    };
    wait(ms * STARTING_FACTOR);
    void transport.spoke.then(() => {
      if (!stopped) wait(ms);
    });
  });
  return {
    over,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

function notModern(config: ServerConfig, probed: Probed): GatewayError {
  const why =
    probed.type === 'error'
      ? probed.error.message
      : `upstream '${config.name}' ${probed.type === 'silence' ? 'did not answer' : 'gave no valid answer to'} server/discover`;
  return new GatewayError(
    'upstream_protocol_error',
    `${why} (revision: ${config.revision} allows no older revision)`,
  );
}

/** Another answer than that there is no way to the upstream just now. */
export function wasRefused(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false;
  const { rpc, status } = (error.data ?? {}) as { rpc?: unknown; status?: unknown };
  if (typeof status !== 'number' || status < 400) return typeof rpc === 'number';
  return status < 500 && ![401, 403, 408, 429].includes(status);
}

function speaksOnlySse(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false;
  const data = error.data as { status?: unknown; rpc?: unknown } | undefined;
  if (MODERN_CODES.has(data?.rpc as number)) return false;
  return NOT_STREAMABLE.has(data?.status as number);
}
