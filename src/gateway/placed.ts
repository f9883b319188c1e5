/** Which servers one process runs for several, and how the others reach them. What does it (placement.ts) is loaded with the fleet. */
import { isPerUser } from '../config/credentials.js';
import type { ServerConfig } from '../config/types.js';
import type { PeerLink } from '../protocol/peer-clients.js';

/**
 * Whether one process runs a server for all of a host, or of the fleet; undefined: each runs one. Only Linux has abstract sockets, which
 * decide which process of a host that is.
 */
export function placementOf(
  config: ServerConfig,
  platform: NodeJS.Platform = process.platform,
): 'host' | 'fleet' | undefined {
  if (config.kind !== 'stdio') return undefined;
  if (config.off || config.problem !== undefined || config.session === 'per-client' || isPerUser(config))
    return undefined;
  const { placement = 'host' } = config;
  if (placement === 'each' || (placement === 'host' && platform !== 'linux')) return undefined;
  return placement;
}

/** What the links to placed servers need: see PeerLink. */
export interface PeerLinks {
  client(server: string, ...asked: Parameters<PeerLink['client']>): string;
  headers(server: string, ...asked: Parameters<PeerLink['headers']>): readonly string[];
  own(server: string): readonly string[];
  connect(
    server: string,
    ...asked: Parameters<NonNullable<PeerLink['connect']>>
  ): ReturnType<NonNullable<PeerLink['connect']>>;
}

/** The link to a placed server. `links`: called when the link is used, which may be made before. */
export function peerLinkTo(server: string, links: () => PeerLinks): PeerLink {
  return {
    client: (caller) => links().client(server, caller),
    headers: (caller) => links().headers(server, caller),
    own: () => links().own(server),
    connect: (signal) => links().connect(server, signal),
  };
}
