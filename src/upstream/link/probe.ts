/** What the answer to server/discover says of an upstream (2026-07-28, basic/versioning, "Backward Compatibility"). */
import { GatewayError } from '../../errors.js';
import { META } from '../../protocol/modern/meta.js';
import type { Peer } from '../../protocol/ports.js';
import { capabilitiesOf } from '../../protocol/shapes.js';
import {
  isLegacyRevision,
  LEGACY_REVISIONS,
  MODERN_REVISIONS,
  type LegacyRevision,
} from '../../protocol/revisions.js';
import {
  arrayOf,
  MAX_NESTING,
  nestsWithin,
  objectOf,
  readObject,
  SMALL_MESSAGE,
  textOf,
} from '../../wire/json.js';
import { membersOf } from '../../wire/walk.js';
import { unreadable } from './failures.js';
import { speaksOfSessions } from '../calls/lost-session.js';

export const DISCOVER = 'server/discover';

/** How the probe ended. */
export type Probed =
  | { readonly type: 'result'; readonly value: Buffer }
  /** `status`: of the HTTP response; 0: there was none. */
  | { readonly type: 'error'; readonly status: number; readonly error: GatewayError }
  /** Over stdio: nothing came in time, or the process ended. */
  | { readonly type: 'silence' }
  | { readonly type: 'exit' };

export type Verdict =
  | { readonly era: 'modern'; readonly peer: Peer }
  /** Another modern revision than the one asked for. */
  | { readonly era: 'modern'; readonly retry: string }
  /** `offer`: the revision that it wants to be asked for. `status`: see Probed. */
  | { readonly era: 'legacy'; readonly offer: LegacyRevision | undefined; readonly status: number }
  /** Nothing is known: it is to be asked again. */
  | { readonly era: 'none'; readonly error: GatewayError };

const HEADER_MISMATCH = -32020;
const MISSING_CAPABILITY = -32021;
const UNSUPPORTED_VERSION = -32022;
/** What only a server of the modern era answers with. */
export const MODERN_CODES: ReadonlySet<number> = new Set([
  HEADER_MISMATCH,
  MISSING_CAPABILITY,
  UNSUPPORTED_VERSION,
]);
/** Statuses that speak of the way to a server or of its load, not of what it speaks. */
const NO_VERDICT = new Set([401, 403, 408, 429]);

/** `asked`: the revision that the probe named. */
export function judgeProbe(probed: Probed, asked: string, server: string): Verdict {
  switch (probed.type) {
    case 'silence':
    case 'exit':
      return { era: 'legacy', offer: undefined, status: 0 };
    case 'result':
      return ofResult(probed.value, asked, server);
    case 'error':
      return ofError(probed.error, probed.status, asked, server);
  }
}

function ofResult(value: Buffer, asked: string, server: string): Verdict {
  if (value.length > SMALL_MESSAGE || !nestsWithin(value, MAX_NESTING))
    return { era: 'none', error: unreadable(server, DISCOVER, value) };
  const found = readDiscover(value, server);
  // A server of the legacy era may answer with anything to what it does not know.
  if (!found) return { era: 'legacy', offer: undefined, status: 200 };
  const revision = found.versions.includes(asked) ? asked : modernOf(found.versions);
  if (revision !== undefined)
    return {
      era: 'modern',
      peer: {
        era: 'modern',
        revision,
        capabilities: found.capabilities,
        serverInfo: found.serverInfo,
        instructions: found.instructions,
      },
    };
  return ofVersions(found.versions, server, 200);
}

function ofError(error: GatewayError, status: number, asked: string, server: string): Verdict {
  const { rpc, detail, broken } = (error.data ?? {}) as { rpc?: unknown; detail?: unknown; broken?: unknown };
  if (NO_VERDICT.has(status) || status >= 500)
    return speaksOfSessions(error.message)
      ? { era: 'legacy', offer: undefined, status }
      : { era: 'none', error };
  if (rpc === UNSUPPORTED_VERSION) {
    const supported = (detail as { supported?: unknown } | null | undefined)?.supported;
    const versions = Array.isArray(supported)
      ? supported.filter((each): each is string => typeof each === 'string')
      : [];
    const revision = modernOf(versions);
    // Also where it names the one that was asked with: it is asked once more, and no third time.
    return revision === undefined ? ofVersions(versions, server, status) : { era: 'modern', retry: revision };
  }
  // Modern, but it will not be talked to like this: asking again in the same way is all there is.
  if (typeof rpc === 'number' && MODERN_CODES.has(rpc)) return { era: 'none', error };
  if (typeof rpc === 'number') return { era: 'legacy', offer: undefined, status };
  // No JSON-RPC error: what was answered is judged, what was lost on the way is not.
  const lost = error.code === 'upstream_timeout' || error.code === 'upstream_disconnected';
  if (status < 200 || (status >= 300 && status < 400) || lost || broken === true)
    return { era: 'none', error };
  return { era: 'legacy', offer: undefined, status };
}

/** None of the modern revisions of this gateway is among them. */
function ofVersions(versions: readonly string[], server: string, status: number): Verdict {
  const offer = LEGACY_REVISIONS.findLast((revision) => versions.includes(revision));
  if (offer !== undefined) return { era: 'legacy', offer, status };
  const named = versions.slice(0, 8).map((version) => version.slice(0, 32));
  return {
    era: 'none',
    error: new GatewayError(
      'upstream_protocol_error',
      `upstream '${server}' speaks no protocol revision that is known here: ${named.join(', ') || 'it names none'}`,
    ),
  };
}

function modernOf(versions: readonly string[]): string | undefined {
  return MODERN_REVISIONS.findLast((revision) => versions.includes(revision));
}

interface Discovered {
  readonly versions: readonly string[];
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly serverInfo: Buffer;
  readonly instructions: string | undefined;
}

/** A DiscoverResult (2026-07-28, server/discover); undefined: it is none. */
function readDiscover(value: Buffer, server: string): Discovered | undefined {
  const result = readObject(value);
  const versions = arrayOf(result?.['supportedVersions']);
  const capabilities = objectOf(result?.['capabilities']);
  if (!result || !versions || !capabilities) return undefined;
  return {
    versions: versions.filter((each): each is string => typeof each === 'string'),
    capabilities: capabilitiesOf(capabilities),
    serverInfo: serverInfoIn(value) ?? unnamed(server),
    instructions: textOf(result['instructions']),
  };
}

function serverInfoIn(result: Buffer): Buffer | undefined {
  const meta = membersOf(result).findLast(({ key }) => key === '_meta');
  if (!meta || result[meta.start] !== 0x7b) return undefined;
  const info = membersOf(result, meta.start).findLast(({ key }) => key === META.serverInfo);
  // A view would keep the whole answer.
  return info && result[info.start] === 0x7b ? Buffer.from(result.subarray(info.start, info.end)) : undefined;
}

/** Of a server that does not say what it is. */
export function unnamed(server: string): Buffer {
  return Buffer.from(JSON.stringify({ name: server, version: '0' }));
}

/** What the configuration says of the era; undefined: it is to be found out. */
export function pinnedEra(revision: string): 'modern' | 'legacy' | undefined {
  if (revision === 'auto') return undefined;
  return revision === 'legacy' || isLegacyRevision(revision) ? 'legacy' : 'modern';
}
