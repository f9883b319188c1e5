/** Connects to a server over stdio: starts a child, finds out its era, and makes the handshake where its era has one. */
import type { ServerConfig, StdioServerConfig } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import type { Credential } from '../../protocol/credential.js';
import { FIRST_MODERN } from '../../protocol/revisions.js';
import type { Carrier } from '../calls/calls.js';
import {
  initialized,
  modern,
  notModern,
  settled,
  wasRefused,
  type DialDeps,
  type Dialled,
} from './dialled.js';
import { DISCOVER, judgeProbe, pinnedEra, type Probed } from './probe.js';

/** How long a child has to end that refused `initialize`, in ms. */
const REFUSED_GRACE_MS = 2000;
/** Factor for the time until the first output: the program may have to be downloaded. */
const STARTING_FACTOR = 3;

export async function dialStdio(
  server: StdioServerConfig,
  deps: DialDeps,
  signal: AbortSignal,
): Promise<Dialled> {
  const config = withCredential(server, deps.credential);
  const pinned = pinnedEra(config.revision);
  const release = await deps.starts.take(signal);
  try {
    const { Stdio } = await import('../stdio/stdio.js');
    signal.throwIfAborted();
    const { owner, events, watcher, lease } = deps;
    const spawn = (): InstanceType<typeof Stdio> => new Stdio({ config, owner, events, watcher, lease });
    let transport = spawn();
    if (pinned === 'legacy') return await initialized(config, deps, transport);
    if (pinned === undefined && deps.known?.era === 'legacy') {
      const carrier = deps.opened(transport);
      try {
        return await initialized(config, deps, transport, { carrier, probing: true });
      } catch (error) {
        signal.throwIfAborted();
        if (!wasRefused(error) && !(transport.started && isLost(error))) {
          deps.close(transport);
          throw error;
        }
        owner.log.debug('the upstream refused initialize: trying a modern revision', { server: config.name });
        // A new process: this one may not expect another first request.
        await transport.close(REFUSED_GRACE_MS);
        transport.destroy();
        transport = spawn();
      }
    }

    const carrier = deps.opened(transport, FIRST_MODERN);
    try {
      carrier.probing = true;
      const answer = settled(deps.own.open(carrier, DISCOVER, undefined));
      const waitMs = config.timeouts.probe_ms * deps.patience;
      const silence = silent(transport, waitMs);
      let probed = await Promise.race([answer, silence.over]);
      silence.stop();
      signal.throwIfAborted();
      if (probed.type === 'error' && isLost(probed.error)) {
        // The process was not started: a second attempt would fail alike.
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
      owner.log.debug('the upstream is taken for a legacy server', { server: config.name, why: probed.type });
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
      deps.close(transport);
      throw error;
    }
  } finally {
    release();
  }
}

/** With the variables that a child gets besides those of the configuration. */
function withCredential(config: StdioServerConfig, credential: Credential | undefined): StdioServerConfig {
  const more = credential?.environment;
  return more ? { ...config, environment: { ...config.environment, ...more } } : config;
}

/** Sends `initialize` to a child that did not answer the probe in time. If it answers the probe before that, the probe counts. */
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
    // The child may answer the probe and refuse `initialize` at the same time.
    const found = await Promise.race([late, new Promise(setImmediate).then(() => undefined)]);
    if (found) return found;
    throw error;
  } finally {
    dialled = true;
  }
}

/** Whether the process has ended. */
function isLost(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'upstream_disconnected';
}

/** Resolves when a child has not answered the probe in time; `ms` begin with its first output. */
function silent(
  transport: { readonly hasOutput: Promise<void> },
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
    void transport.hasOutput.then(() => {
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
