/** Capabilities and instructions for `initialize` and server/discover: the union of the servers in a view. */
import type { Link, Peer } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import { extensionOf } from '../protocol/extensions/index.js';
import { UI } from '../protocol/extensions/ui.js';
import { isObject, objectOf, present, type JsonObject } from '../wire/json.js';
import { objects, wellFormed } from '../protocol/shapes.js';
import { coversCalls, TASKS } from '../protocol/tasks.js';

type Capabilities = Record<string, unknown>;

/** Assumed of a server that has not connected yet: clients never use a capability that was not announced. */
const EVERYTHING: Capabilities = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  completions: {},
  logging: {},
};

/** Longest instructions in all, in characters. */
const MAX_INSTRUCTIONS = 16_384;

const LISTED = ['tools', 'prompts', 'resources'];

/**
 * The capabilities of one server for clients of an era. `peer`: undefined while it has not connected. `listChanged` is always announced:
 * the gateway detects changes by itself.
 */
export function singleCapabilities(peer: Peer | undefined, era: Era): Capabilities {
  if (!peer) return EVERYTHING;
  const capabilities: Capabilities = { ...present(peer.capabilities) };
  for (const kind of LISTED) {
    const own = capabilities[kind];
    if (own !== undefined) capabilities[kind] = { ...objectOf(own), listChanged: true };
  }
  return era === 'modern' ? forModern(capabilities, peer) : forLegacy(capabilities, peer);
}

/** Without capabilities of the modern era. */
function forLegacy(capabilities: Capabilities, peer: Peer): Capabilities {
  if (peer.era === 'legacy') return capabilities;
  // `tasks` of a modern server would announce the legacy protocol.
  const { tasks: _, extensions, ...rest } = capabilities;
  const others = objects(extensions);
  delete others[TASKS];
  return Object.keys(others).length === 0 ? rest : { ...rest, extensions: others };
}

/** In the form of ServerCapabilities of 2026-07-28. */
function forModern(capabilities: Capabilities, peer: Peer): Capabilities {
  const { tasks, extensions, experimental, ...rest } = capabilities;
  const modern: Capabilities = rest;
  for (const kind of ['completions', 'logging'])
    if (modern[kind] !== undefined && !isObject(modern[kind])) modern[kind] = {};
  if (isObject(experimental)) modern['experimental'] = objects(experimental);
  const offered = objects(extensions);
  if (peer.era === 'legacy' && coversCalls(tasks)) offered[TASKS] ??= {};
  if (Object.keys(offered).length > 0) modern['extensions'] = offered;
  return modern;
}

/** Members of the capabilities that views of several servers merge by rules of their own, or leave out. */
const KNOWN: ReadonlySet<string> = new Set([
  ...LISTED,
  'completions',
  'logging',
  'tasks',
  'extensions',
  'experimental',
]);

type Told = Pick<Link, 'peer' | 'schemes'>;

export function mergedCapabilities(links: readonly Told[], era: Era): Capabilities {
  const merged: Capabilities = { tools: { listChanged: true } };
  /** Settings of extensions, and capabilities that the gateway does not know, by server. */
  const extensions = new Map<string, JsonObject[]>();
  const others = new Map<string, unknown[]>();
  for (const link of links) {
    // A server that is down has no peer either, but it may be back soon.
    const own = singleCapabilities(link.peer, era);
    for (const kind of ['prompts', 'resources', 'completions', 'logging', 'tasks']) {
      const value = own[kind];
      if (value !== undefined) merged[kind] = union(merged[kind], value);
    }
    const declared = objects(own['extensions']);
    // Most servers with apps declare nothing.
    if (link.schemes.includes('ui')) declared[UI.id] ??= {};
    for (const [id, settings] of Object.entries(declared)) put(extensions, id, settings as JsonObject);
    for (const [member, value] of Object.entries(own))
      if (!KNOWN.has(member) || (member === 'experimental' && isUsed(value))) put(others, member, value);
  }
  const shown = Object.fromEntries([...extensions].flatMap(([id, all]) => mergedExtension(id, all)));
  if (Object.keys(shown).length > 0) merged['extensions'] = shown;
  // What several servers have cannot be routed.
  for (const [member, [value, another]] of others) if (another === undefined) merged[member] = value;
  return merged;
}

function put<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const known = lists.get(key);
  if (known) known.push(value);
  else lists.set(key, [value]);
}

/** The settings of an extension that several servers have; none: its methods could not be routed. */
function mergedExtension(id: string, all: readonly JsonObject[]): [string, JsonObject][] {
  const [first = {}, second] = all;
  if (id === TASKS) return [[id, first]];
  const known = extensionOf(id);
  if (known) return [[id, known.merge(all)]];
  return second ? [] : [[id, first]];
}

/** Whether an object has members: SDKs declare empty ones for every server. */
const isUsed = (value: unknown): boolean => Object.keys(objectOf(value) ?? {}).length > 0;

const unknown = new WeakMap<Peer, readonly string[]>();

/**
 * What a server declares that the gateway does not know: ids of extensions, and members of its capabilities. `all`: with the extensions that
 * it knows.
 */
export function unknownOf(peer: Peer, all = false): readonly string[] {
  if (all) return readUnknown(peer, all);
  let found = unknown.get(peer);
  if (!found) unknown.set(peer, (found = readUnknown(peer, all)));
  return found;
}

function readUnknown({ capabilities }: Peer, all: boolean): readonly string[] {
  const ids = Object.keys(objects(capabilities['extensions'])).filter(
    (id) => all || (id !== TASKS && !extensionOf(id)),
  );
  const members = Object.keys(present(capabilities)).filter((member) => !KNOWN.has(member));
  return [...ids, ...members, ...Object.keys(objectOf(capabilities['experimental']) ?? {})];
}

/** Merges two values: true wins over false. */
function union(a: unknown, b: unknown): object {
  const both: Record<string, unknown> = { ...objectOf(a) };
  for (const [key, value] of Object.entries(objectOf(b) ?? {})) if (both[key] !== true) both[key] = value;
  return both;
}

/** The instructions of each server under its name, MAX_INSTRUCTIONS characters at the most; a JSON member with a leading comma. */
export function mergedInstructions(links: readonly Pick<Link, 'server' | 'peer'>[]): string {
  const parts: string[] = [];
  let left = MAX_INSTRUCTIONS;
  for (const { server, peer } of links) {
    const text = peer?.instructions?.trim();
    if (text === undefined || text === '' || left <= 0) continue;
    const part = `## ${server}\n${text}`;
    parts.push(part.length > left ? `${part.slice(0, left)}...` : part);
    left -= part.length;
  }
  return parts.length === 0 ? '' : wellFormed(`,"instructions":${JSON.stringify(parts.join('\n\n'))}`);
}
