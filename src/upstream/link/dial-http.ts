/** Connects to a server over HTTP: finds out its era and its transport, and makes the handshake where its era has one. */
import type { HttpServerConfig } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import { FIRST_MODERN, type LegacyRevision } from '../../protocol/revisions.js';
import type { Carrier } from '../calls/calls.js';
import type { HttpDeps } from '../http/http.js';
import {
  initialized,
  modern,
  notModern,
  settled,
  wasRefused,
  type DialDeps,
  type Dialled,
} from './dialled.js';
import { neitherWorks } from './failures.js';
import { OpeningLost } from './losses.js';
import { DISCOVER, judgeProbe, MODERN_CODES, pinnedEra, type Probed, type Verdict } from './probe.js';

/** Statuses after which `auto` tries HTTP+SSE (2026-07-28, basic/transports/streamable-http, "Backward Compatibility"). */
const NOT_STREAMABLE = new Set([400, 404, 405]);

export async function dialHttp(
  config: HttpServerConfig,
  deps: DialDeps,
  signal: AbortSignal,
): Promise<Dialled> {
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
      deps.owner.log.info('the upstream refuses what it accepted before: finding out its era again', {
        server: config.name,
      });
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
    deps.owner.log.debug('the upstream is taken for a legacy server', { server: config.name, status });
    isHandedOn = true;
    return await overLegacy(config, deps, signal, { mayGet: NOT_STREAMABLE.has(status), offer, http });
  } catch (error) {
    // Once handed on, it is closed with the transport.
    if (!isHandedOn) http.dispatcher.destroy();
    throw error;
  }
}

/** Whether a server whose era is unknown may accept `initialize`: it was reached, but refused the probe or did not answer it. */
function mayTakeInitialize(probed: Probed): boolean {
  // Nothing else can be shown before somebody has logged in.
  if (probed.type !== 'error' || probed.error.code === 'login_required') return false;
  const { unreached, retryAfter } = (probed.error.data ?? {}) as {
    unreached?: unknown;
    retryAfter?: unknown;
  };
  if (unreached === true || retryAfter !== undefined) return false;
  const { status } = probed;
  return status === 401 || status === 403 || status >= 500 || probed.error.code === 'upstream_timeout';
}

/** As `dialled`; if that fails too, the error names both failures. */
async function withoutVerdict(first: GatewayError, dialled: Promise<Dialled>): Promise<Dialled> {
  try {
    return { ...(await dialled), known: undefined };
  } catch (second) {
    if (second instanceof OpeningLost) throw second;
    if (!(second instanceof GatewayError) || second.message === first.message) throw first;
    const both = `${first.message} (and to initialize: ${second.message})`;
    throw new GatewayError(first.code, both, first.data);
  }
}

/** Probes a server again that accepted `initialize` without saying which revisions it speaks. */
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

/** Connects over Streamable HTTP, or over HTTP+SSE if that is refused. `http`: the dispatcher that the probe used. */
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
      // `probing`: the error names the failures of both transports.
      return await overSse(config, deps, { probing: true });
    } catch (second) {
      if (
        second instanceof OpeningLost ||
        (second instanceof GatewayError && second.code === 'login_required')
      )
        throw second;
      if (error instanceof GatewayError && second instanceof GatewayError)
        throw neitherWorks(config.url, error, second, config.name);
      throw second;
    }
  }
}

/** `probing`: if it fails, another way is tried. */
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
    dispatcher: createDispatcher(config, { logger: deps.owner.log, connect: deps.connect }),
    credential: deps.credential,
  };
}

function speaksOnlySse(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false;
  const data = error.data as { status?: unknown; rpc?: unknown } | undefined;
  if (MODERN_CODES.has(data?.rpc as number)) return false;
  return NOT_STREAMABLE.has(data?.status as number);
}
