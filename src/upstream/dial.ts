/** Finding the way to an upstream: its transport, then the handshake (2025-11-25, basic/lifecycle). */
import type { HttpServerConfig, ServerConfig } from '../config/types.js';
import { GatewayError } from '../errors.js';
import type { Slots } from '../lib/slots.js';
import type { Peer } from '../protocol/ports.js';
import { isLegacyRevision, LATEST_LEGACY } from '../protocol/revisions.js';
import { membersOf } from '../wire/walk.js';
import type { CallOwner, Transport, TransportEvents } from './calls.js';
import type { Collected } from './collect.js';
import type { Watcher } from './watcher.js';

export interface DialDeps {
  readonly owner: CallOwner;
  readonly events: TransportEvents;
  readonly starts: Slots;
  readonly clientInfo: { readonly name: string; readonly version: string };
  /** Told to the upstream at `initialize`. */
  readonly capabilities: object;
  readonly watcher: Watcher;
  /** A transport was made: what is requested from now on goes over it. */
  opened(transport: Transport): void;
  /** One request of the gateway's own. */
  readonly request: (method: string, params: string | undefined) => Promise<Collected>;
}

/** JSON-RPC codes that only a server of the modern era answers with. */
const MODERN_CODES = new Set([-32020, -32021, -32022]);
/** Where `auto` goes on to HTTP+SSE (2025-11-25, basic/transports, "Backwards Compatibility"). */
const NOT_STREAMABLE = new Set([400, 404, 405]);

/** Rejects with a GatewayError. What it opened is closed again when it fails. */
export async function dial(
  config: ServerConfig,
  deps: DialDeps,
  signal: AbortSignal,
): Promise<{ transport: Transport; peer: Peer }> {
  const attempt = async (transport: Transport): Promise<{ transport: Transport; peer: Peer }> => {
    try {
      deps.opened(transport);
      return {
        transport,
        peer: await handshake(config, transport, deps.request, deps.clientInfo, deps.capabilities),
      };
    } catch (error) {
      transport.destroy();
      throw error;
    }
  };

  if (config.kind === 'stdio') {
    const release = await deps.starts.take(signal);
    try {
      const { Stdio } = await import('./transports/stdio.js');
      signal.throwIfAborted();
      return await attempt(
        new Stdio({ config, owner: deps.owner, events: deps.events, watcher: deps.watcher }),
      );
    } finally {
      release();
    }
  }
  if (config.protocol !== 'sse') {
    const { StreamableHttp } = await import('./transports/streamable-http.js');
    signal.throwIfAborted();
    try {
      return await attempt(new StreamableHttp(await httpDeps(config, deps)));
    } catch (error) {
      if (config.protocol === 'streamable' || !speaksOnlySse(error)) throw error;
      signal.throwIfAborted();
      try {
        return await attempt(await openSse(config, deps));
      } catch (second) {
        // Neither works: the first refusal is what a server for Streamable HTTP wants to be told.
        if (error instanceof GatewayError && second instanceof GatewayError)
          throw new GatewayError(
            error.code,
            `${error.message} (and over HTTP+SSE: ${second.message})`,
            error.data,
          );
        throw second;
      }
    }
  }
  return attempt(await openSse(config, deps));
}

async function openSse(config: HttpServerConfig, deps: DialDeps): Promise<Transport> {
  const { HttpSse } = await import('./transports/sse.js');
  return new HttpSse(await httpDeps(config, deps));
}

async function httpDeps(config: HttpServerConfig, deps: DialDeps) {
  const { createDispatcher } = await import('./dispatcher.js');
  return {
    config,
    owner: deps.owner,
    events: deps.events,
    dispatcher: createDispatcher(config, { logger: deps.owner.log }),
  };
}

function speaksOnlySse(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false;
  const data = error.data as { status?: unknown; rpc?: unknown } | undefined;
  if (MODERN_CODES.has(data?.rpc as number)) return false;
  return NOT_STREAMABLE.has(data?.status as number);
}

/** `initialize`, then `notifications/initialized`. */
export async function handshake(
  config: ServerConfig,
  transport: Transport,
  request: (method: string, params: string | undefined) => Promise<Collected>,
  clientInfo: { readonly name: string; readonly version: string },
  capabilities: object,
): Promise<Peer> {
  const offered = isLegacyRevision(config.revision) ? config.revision : LATEST_LEGACY;
  const params = JSON.stringify({ protocolVersion: offered, capabilities, clientInfo });
  const { value } = await request('initialize', params);
  const result = readInitialize(value, config.name);
  const { protocolVersion, instructions, serverInfo } = result;
  if (!isLegacyRevision(protocolVersion))
    throw new GatewayError(
      'upstream_protocol_error',
      `upstream '${config.name}' wants the protocol revision '${protocolVersion.slice(0, 32)}', which is not known here`,
    );
  transport.post(Buffer.from('{"jsonrpc":"2.0","method":"notifications/initialized"}'));
  transport.ready(protocolVersion);
  return {
    era: 'legacy',
    revision: protocolVersion,
    capabilities: result.capabilities,
    serverInfo,
    instructions,
  };
}

/**
 * What a shared session can be asked for: all that some client may be able to answer. A call whose client cannot is refused then.
 * Roots are never the clients': those of one would become everyone's.
 */
export function sharedCapabilities(config: ServerConfig): object {
  return {
    ...(config.roots.length > 0 ? { roots: {} } : {}),
    sampling: { tools: {}, context: {} },
    elicitation: { form: {}, url: {} },
  };
}

interface InitializeResult {
  readonly protocolVersion: string;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly serverInfo: Buffer;
  readonly instructions: string | undefined;
}

function readInitialize(value: Buffer, server: string): InitializeResult {
  const result = JSON.parse(value.toString('utf8')) as Record<string, unknown> | null;
  const protocolVersion = result?.['protocolVersion'];
  if (typeof protocolVersion !== 'string')
    throw new GatewayError(
      'upstream_protocol_error',
      `upstream '${server}' answered initialize without a protocolVersion`,
    );
  const capabilities = result?.['capabilities'];
  const instructions = result?.['instructions'];
  const info = membersOf(value).findLast(({ key }) => key === 'serverInfo');
  return {
    protocolVersion,
    capabilities: typeof capabilities === 'object' && capabilities !== null ? { ...capabilities } : {},
    serverInfo: info
      ? value.subarray(info.start, info.end)
      : Buffer.from(JSON.stringify({ name: server, version: '0' })),
    instructions: typeof instructions === 'string' ? instructions : undefined,
  };
}
