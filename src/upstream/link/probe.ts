/** What the answer to server/discover says about the era of a server (2026-07-28, basic/versioning, "Backward Compatibility"). */
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
import { mentionsSession } from '../calls/lost-session.js';

export const DISCOVER = 'server/discover';

/** The outcome of the probe. */
export type Probed =
  | { readonly type: 'result'; readonly value: Buffer }
  /** `status`: of the HTTP response; 0 without one. */
  | { readonly type: 'error'; readonly status: number; readonly error: GatewayError }
  /** Over stdio: no answer in time, or the process ended. */
  | { readonly type: 'silence' }
  | { readonly type: 'exit' };

export type Verdict =
  | { readonly era: 'modern'; readonly peer: Peer }
  /** The server speaks another modern revision than the one of the probe. */
  | { readonly era: 'modern'; readonly retry: string }
  /** `offer`: the revision to propose at `initialize`. `status`: see Probed. */
  | { readonly era: 'legacy'; readonly offer: LegacyRevision | undefined; readonly status: number }
  /** Unknown: to be probed again. */
  | { readonly era: 'none'; readonly error: GatewayError };

const HEADER_MISMATCH = -32020;
const MISSING_CAPABILITY = -32021;
const UNSUPPORTED_VERSION = -32022;
/** The errors that only modern servers answer with. */
export const MODERN_CODES: ReadonlySet<number> = new Set([
  HEADER_MISMATCH,
  MISSING_CAPABILITY,
  UNSUPPORTED_VERSION,
]);
/** Statuses about the credentials or the load of a server: they say nothing about its era. */
const NO_VERDICT = new Set([401, 403, 408, 429]);

/** `tried`: the revision that the probe named. */
export function judgeProbe(probed: Probed, tried: string, server: string): Verdict {
  switch (probed.type) {
    case 'silence':
    case 'exit':
      return { era: 'legacy', offer: undefined, status: 0 };
    case 'result':
      return ofResult(probed.value, tried, server);
    case 'error':
      return ofError(probed.error, probed.status, server);
  }
}

function ofResult(value: Buffer, tried: string, server: string): Verdict {
  if (value.length > SMALL_MESSAGE || !nestsWithin(value, MAX_NESTING))
    return { era: 'none', error: unreadable(server, DISCOVER, value) };
  const found = readDiscover(value, server);
  // A legacy server may answer anything to a method that it does not know.
  if (!found) return { era: 'legacy', offer: undefined, status: 200 };
  const revision = found.versions.includes(tried) ? tried : modernOf(found.versions);
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

function ofError(error: GatewayError, status: number, server: string): Verdict {
  const { rpc, detail, broken } = (error.data ?? {}) as { rpc?: unknown; detail?: unknown; broken?: unknown };
  if (NO_VERDICT.has(status) || status >= 500)
    return mentionsSession(error.message)
      ? { era: 'legacy', offer: undefined, status }
      : { era: 'none', error };
  if (rpc === UNSUPPORTED_VERSION) {
    const supported = (detail as { supported?: unknown } | null | undefined)?.supported;
    const versions = Array.isArray(supported)
      ? supported.filter((each): each is string => typeof each === 'string')
      : [];
    const revision = modernOf(versions);
    // Even if that is the revision of the probe: it is tried once more, and not a third time.
    return revision === undefined ? ofVersions(versions, server, status) : { era: 'modern', retry: revision };
  }
  // A modern server that refuses the probe: there is no other way to ask than again.
  if (typeof rpc === 'number' && MODERN_CODES.has(rpc)) return { era: 'none', error };
  if (typeof rpc === 'number') return { era: 'legacy', offer: undefined, status };
  // Not a JSON-RPC error: an answer counts, a lost connection does not.
  const lost = error.code === 'upstream_timeout' || error.code === 'upstream_disconnected';
  if (status < 200 || (status >= 300 && status < 400) || lost || broken === true)
    return { era: 'none', error };
  return { era: 'legacy', offer: undefined, status };
}

/** `versions` has no modern revision that the gateway speaks. */
function ofVersions(versions: readonly string[], server: string, status: number): Verdict {
  const offer = LEGACY_REVISIONS.findLast((revision) => versions.includes(revision));
  if (offer !== undefined) return { era: 'legacy', offer, status };
  const named = versions.slice(0, 8).map((version) => version.slice(0, 32));
  return {
    era: 'none',
    error: new GatewayError(
      'upstream_protocol_error',
      `upstream '${server}' speaks no supported protocol revision: ${named.join(', ') || 'it names none'}`,
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

/** A DiscoverResult (2026-07-28, server/discover); undefined: it is something else. */
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
  // A copy: a view would keep the whole answer in memory.
  return info && result[info.start] === 0x7b ? Buffer.from(result.subarray(info.start, info.end)) : undefined;
}

/** The `serverInfo` of a server that names none. */
export function unnamed(server: string): Buffer {
  return Buffer.from(JSON.stringify({ name: server, version: '0' }));
}

/** The era that the configuration sets; undefined: it is found out. */
export function pinnedEra(revision: string): 'modern' | 'legacy' | undefined {
  if (revision === 'auto') return undefined;
  return revision === 'legacy' || isLegacyRevision(revision) ? 'legacy' : 'modern';
}
