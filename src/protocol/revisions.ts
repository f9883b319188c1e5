/** The revisions of MCP that the gateway supports, oldest first. */
export const LEGACY_REVISIONS = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'] as const;
export type LegacyRevision = (typeof LEGACY_REVISIONS)[number];

/** Offered to servers, and the answer to a client that asks for an unknown revision. */
export const LATEST_LEGACY: LegacyRevision = '2025-11-25';
/** The revision of a request without version header and session (2025-11-25, basic/transports, "Protocol Version Header"). */
export const DEFAULT_LEGACY: LegacyRevision = '2025-03-26';
/** The first revision without a handshake. */
export const FIRST_MODERN = '2026-07-28';

/** The supported modern revisions, as listed by server/discover and error -32022. */
export const MODERN_REVISIONS = [FIRST_MODERN] as const;

export type Era = 'legacy' | 'modern';

export function isLegacyRevision(version: string): version is LegacyRevision {
  return (LEGACY_REVISIONS as readonly string[]).includes(version);
}

/** Whether a revision is at least the first modern one. Dates compare as strings. */
export function isModernRevision(version: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(version) && version >= FIRST_MODERN;
}
