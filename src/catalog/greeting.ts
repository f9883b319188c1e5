/** What a client is told at `initialize`: the union of what the upstreams of its view have. */
import type { Link, Peer } from '../protocol/ports.js';

type Capabilities = Record<string, unknown>;

/** What an upstream that has not connected yet may turn out to have: a client asks for nothing it was not told of. */
const EVERYTHING: Capabilities = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  completions: {},
  logging: {},
};

/** Longest text of all instructions together, in characters. */
const MAX_INSTRUCTIONS = 16_384;

/** `peer`: undefined while the upstream has not connected. List changes are always told: the gateway finds them out by itself. */
export function singleCapabilities(peer: Peer | undefined): Capabilities {
  if (!peer) return EVERYTHING;
  const capabilities: Capabilities = { ...peer.capabilities };
  for (const kind of ['tools', 'prompts', 'resources']) {
    const own = capabilities[kind];
    if (own !== undefined) capabilities[kind] = { ...(own as object), listChanged: true };
  }
  return capabilities;
}

export function mergedCapabilities(links: readonly Link[]): Capabilities {
  const merged: Capabilities = { tools: { listChanged: true } };
  for (const link of links) {
    // One that was up and is down now has no peer either: it will be back.
    const own = singleCapabilities(link.peer);
    for (const kind of ['prompts', 'resources', 'completions', 'logging', 'tasks']) {
      const value = own[kind];
      if (value !== undefined)
        merged[kind] = { ...(merged[kind] as object | undefined), ...(value as object) };
    }
    if (own['extensions'] !== undefined)
      merged['extensions'] = {
        ...(own['extensions'] as object),
        ...(merged['extensions'] as object | undefined),
      };
  }
  return merged;
}

/** Each upstream's instructions under its name, in all at most MAX_INSTRUCTIONS characters; as a JSON member with its comma. */
export function mergedInstructions(links: readonly Link[]): string {
  const parts: string[] = [];
  let left = MAX_INSTRUCTIONS;
  for (const { server, peer } of links) {
    const text = peer?.instructions?.trim();
    if (text === undefined || text === '' || left <= 0) continue;
    const part = `## ${server}\n${text}`;
    parts.push(part.length > left ? `${part.slice(0, left)}...` : part);
    left -= part.length;
  }
  return parts.length === 0 ? '' : `,"instructions":${JSON.stringify(parts.join('\n\n'))}`;
}
