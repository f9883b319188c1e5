/** The handshake with a legacy server (2025-11-25, basic/lifecycle). */
import type { ServerConfig } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import type { Peer } from '../../protocol/ports.js';
import { isLegacyRevision, LATEST_LEGACY, type LegacyRevision } from '../../protocol/revisions.js';
import { capabilitiesOf } from '../../protocol/shapes.js';
import { objectOf, readObject, textOf } from '../../wire/json.js';
import type { Span } from '../../wire/scan.js';
import { membersOf } from '../../wire/walk.js';
import type { Transport } from '../calls/calls.js';
import type { Collected } from '../calls/collect.js';
import { unreadable } from './failures.js';
import { OpeningLost, type Losses } from './losses.js';
import { unnamed } from './probe.js';

export interface HandshakeDeps {
  readonly transport: Transport;
  readonly request: (method: string, params: string | undefined) => Promise<Collected>;
  readonly clientInfo: { readonly name: string; readonly version: string };
  readonly capabilities: object;
  /** The revision that the server asks for; undefined: the configured one, or the latest. */
  readonly offer?: LegacyRevision | undefined;
  /** Decides whether a session that did not get `notifications/initialized` is opened again. */
  readonly losses: Losses;
  /** The handshake turned out to have failed after it had resolved. */
  readonly failedLate: (error: GatewayError) => void;
}

const INITIALIZED = Buffer.from('{"jsonrpc":"2.0","method":"notifications/initialized"}');

/** `initialize`, then `notifications/initialized`. Rejects with a GatewayError. */
export async function handshake(config: ServerConfig, deps: HandshakeDeps): Promise<Peer> {
  const { clientInfo, capabilities } = deps;
  const configured = isLegacyRevision(config.revision) ? config.revision : undefined;
  const offered = configured ?? deps.offer ?? LATEST_LEGACY;
  const params = JSON.stringify({ protocolVersion: offered, capabilities, clientInfo });
  const { value } = await deps.request('initialize', params);
  const result = readInitialize(value, config.name);
  const { protocolVersion, instructions, serverInfo } = result;
  if (!isLegacyRevision(protocolVersion))
    throw new GatewayError(
      'upstream_protocol_error',
      `upstream '${config.name}' wants the protocol revision '${protocolVersion.slice(0, 32)}', which is not supported`,
    );
  await end(config, deps, protocolVersion);
  return {
    era: 'legacy',
    revision: protocolVersion,
    capabilities: result.capabilities,
    serverInfo,
    instructions,
  };
}

async function end(
  { name }: ServerConfig,
  { transport, losses, failedLate }: HandshakeDeps,
  revision: string,
): Promise<void> {
  const count = losses.begin();
  let isOver = false;
  let failure: OpeningLost | undefined;
  await transport.ready(revision, INITIALIZED, (loss) => {
    if (!count(loss !== undefined)) return;
    failure = new OpeningLost(`upstream '${name}' did not get notifications/initialized (${loss})`);
    if (isOver) failedLate(failure);
  });
  isOver = true;
  if (failure) throw failure;
}

/**
 * The client capabilities of a shared session: all that clients may have. A request to a client that does not have one is refused. Roots of
 * clients are not among them: those of one client would be used for all.
 */
export function sharedCapabilities(config: ServerConfig): Readonly<Record<string, unknown>> {
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
  const result = readObject(value);
  if (!result) throw unreadable(server, 'initialize', value);
  const protocolVersion = textOf(result['protocolVersion']);
  if (protocolVersion === undefined)
    throw new GatewayError(
      'upstream_protocol_error',
      `upstream '${server}' answered initialize without a protocolVersion`,
    );
  const info = membersOf(value).findLast(({ key }) => key === 'serverInfo');
  return {
    protocolVersion,
    capabilities: capabilitiesOf(objectOf(result['capabilities']) ?? {}),
    serverInfo: info && value[info.start] === 0x7b ? copied(value, info) : unnamed(server),
    instructions: textOf(result['instructions']),
  };
}

/** A copy: a view would keep the whole answer in memory. */
function copied(value: Buffer, { start, end }: Span): Buffer {
  return Buffer.from(value.subarray(start, end));
}
