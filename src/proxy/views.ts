/**
 * Decides what a caller sees; nothing else does. A view combines the catalog with the filters for the caller's class: links of its era,
 * lists for its capabilities, links of its own. Callers of one class share a view, and all views share their segments.
 */
import { CapabilityFilter, capabilityKey } from '../catalog/capabilities.js';
import type { Registry } from '../catalog/registry.js';
import { MergedView, SingleView } from '../catalog/view.js';
import { modernCapabilities } from '../bridge/capabilities.js';
import type { Caller, Principal, View } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';

/** Classes that are kept, at the most; the least recently used goes first. */
const MAX_CLASSES = 64;

/** What decides a caller's class. */
export type Viewer = Pick<Caller, 'principal' | 'client' | 'era' | 'revision' | 'capabilities'>;

export interface ViewsDeps {
  /** The links of each era. */
  readonly catalogs: Readonly<Record<Era, Registry>>;
  /** Capabilities under which the catalog reads its lists. */
  readonly full: Readonly<Record<string, unknown>>;
  /** The registry with the links that belong to this client alone; undefined: it has none. */
  readonly own: (viewer: Viewer, server: string | undefined) => Registry | undefined;
}

export interface Views {
  /** Whether the route of one server exists for a principal. */
  exists(principal: Principal, server: string): boolean;
  /** The view of a caller. `server`: of the route; undefined: the merged endpoint. */
  of(viewer: Viewer, server: string | undefined): View;
  /** The view of legacy clients without a session. */
  plain(principal: Principal, server: string | undefined): View;
  /** The view on a registry; always the same object. */
  on(registry: Registry, server: string | undefined): View;
  /** The registry for a caller's era and capabilities, without links of its own. */
  shared(viewer: Viewer): Registry;
}

export function createViews({ catalogs, full, own }: ViewsDeps): Views {
  const fullKey = capabilityKey(full);
  const classes = new Map<string, Registry>();
  const made = new WeakMap<Registry, Map<string | undefined, View>>();

  function shared(viewer: Viewer): Registry {
    const { era } = viewer;
    const capabilities = era === 'modern' ? viewer.capabilities : modernCapabilities(viewer, 'tools/call');
    const key = capabilityKey(capabilities);
    if (key === fullKey) return catalogs[era];
    const name = `${era}\0${key}`;
    const registry = classes.get(name) ?? new CapabilityFilter(catalogs[era], key, capabilities);
    classes.delete(name);
    classes.set(name, registry);
    if (classes.size > MAX_CLASSES) classes.delete(classes.keys().next().value as string);
    return registry;
  }

  function on(registry: Registry, server: string | undefined): View {
    let views = made.get(registry);
    if (!views) made.set(registry, (views = new Map<string | undefined, View>()));
    let view = views.get(server);
    if (view) return view;
    // Drop the views of removed servers.
    for (const name of views.keys()) if (name !== undefined && !registry.get(name)) views.delete(name);
    view = server === undefined ? new MergedView(registry) : new SingleView(registry, server);
    views.set(server, view);
    return view;
  }

  return {
    exists: (_principal, server) => catalogs.legacy.get(server) !== undefined,
    of: (viewer, server) => on(own(viewer, server) ?? shared(viewer), server),
    plain: (_principal, server) => on(catalogs.legacy, server),
    on,
    shared,
  };
}
