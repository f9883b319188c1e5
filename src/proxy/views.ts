/**
 * Decides what a caller sees; nothing else does. A view combines the catalog with the filters for the caller's class: links of its era,
 * lists for its capabilities, links of its own. Callers of one class share a view, and all views share their segments.
 */
import { CapabilityFilter, capabilityKey } from '../catalog/capabilities.js';
import { ForModels } from '../catalog/models.js';
import { Overridden } from '../catalog/overrides.js';
import type { Registry } from '../catalog/registry.js';
import { Profiled } from '../catalog/profiled.js';
import { Pinned, type Pins } from '../catalog/pins.js';
import { Restricted } from '../catalog/restrict.js';
import { LoginTools } from '../catalog/login-tools.js';
import { MergedView } from '../catalog/merged-view.js';
import { SearchIndexes, SearchView, type Search } from '../catalog/search-view.js';
import { SingleView } from '../catalog/single-view.js';
import { modernCapabilities } from '../bridge/capabilities.js';
import type { Caller, NameKind, Principal, Target, View } from '../protocol/ports.js';
import { showsApps } from '../protocol/extensions/index.js';
import { rulesOfProfile } from '../policy/rules.js';
import type { Access, Profile } from '../policy/access.js';
import type { Era } from '../protocol/revisions.js';
import type { Route } from './route.js';

/** Classes that are kept, at the most; the least recently used goes first. */
const MAX_CLASSES = 64;

/** What decides a caller's class. */
export type Viewer = Pick<
  Caller,
  'principal' | 'client' | 'era' | 'revision' | 'capabilities' | 'passed' | 'apps'
>;

/** What decides whose links somebody uses. */
export type Owner = Pick<Caller, 'principal' | 'passed'>;

export interface ViewsDeps {
  /** The links of each era. */
  readonly catalogs: Readonly<Record<Era, Registry>>;
  /** Capabilities under which the catalog reads its lists. */
  readonly full: Readonly<Record<string, unknown>>;
  /** The registry with the links that belong to this client alone; undefined: it has none. */
  readonly own: (viewer: Viewer, route: Route) => Registry | undefined;
  /** Puts the links of the user into a registry. `isShown`: whether he sees a server on the route. */
  readonly ofUser?: (
    owner: Owner,
    route: Route,
    base: Registry,
    isShown: (server: string) => boolean,
  ) => Registry;
  /** Whether a server lists the login tool while it waits for a login; undefined: none does. */
  readonly hasLoginTool?: (server: string) => boolean;
  /** Who may see what; a reload replaces it. */
  readonly access: () => Access;
  /** What is known of the definitions of servers; undefined: none are pinned. */
  readonly pins?: Pins | undefined;
}

export interface Views {
  /** Whether a route exists for a principal. */
  exists(principal: Principal, route: Route): boolean;
  /** Whether what a route lists depends on who asks, so that no cache may share it. */
  isPersonal(route: Route): boolean;
  /** The view of a caller. */
  of(viewer: Viewer, route: Route): View;
  /** The view of legacy clients without a session. */
  plain(owner: Owner, route: Route): View;
  /** The registry for a caller's era, capabilities and user, without links of its client. */
  shared(viewer: Viewer, route: Route): Registry;
  /** Whether a server is hidden from a caller, whether or not it exists. */
  hides(viewer: Viewer, route: Route, server: string): boolean;
  /** Whether a view shows the links of a registry. */
  isOn(view: View, registry: Registry): boolean;
  /** What a route shows without the rules of a policy. */
  whole(route: Route): { readonly registry: Registry; readonly view: View };
  /** What a name leads to without the rules of a policy; undefined: it is unknown, or there is no policy. */
  unrestricted(view: View, kind: NameKind, name: string): Target | undefined;
}

export function createViews({ catalogs, full, own, ofUser, hasLoginTool, access, pins }: ViewsDeps): Views {
  const fullKey = capabilityKey(full);
  const classes = new Map<string, Registry>();
  /** By the server of the route, or by how the profile searches. */
  const made = new WeakMap<Registry, Map<string | Search | undefined, View>>();
  const indexes = new SearchIndexes();
  /** The registry that a view is made from, before any rule; and the view without the rules of the policy. */
  const origins = new WeakMap<View, { readonly root: Registry; readonly bare: View | undefined }>();
  /** Filters by the registry below and what they are for, as long as the same access is in force. */
  let filters = { access: access(), byBase: new WeakMap<Registry, Map<object, Registry>>() };

  /** The registry for an era and capabilities, the same for all users. */
  function classOf(viewer: Viewer): Registry {
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

  function withUser(base: Registry, owner: Owner, route: Route): Registry {
    if (!ofUser) return base;
    const isShown = (server: string): boolean =>
      !cut(base, owner.principal, route, true).registry.hides(server);
    return ofUser(owner, route, base, isShown);
  }

  function shared(viewer: Viewer, route: Route): Registry {
    return withUser(classOf(viewer), viewer, route);
  }

  /** The same filter for the same base and purpose; the oldest one goes first. `purpose`: compared by identity. */
  function filtered(base: Registry, purpose: object, make: () => Registry): Registry {
    let ofBase = filters.byBase.get(base);
    if (!ofBase) filters.byBase.set(base, (ofBase = new Map<object, Registry>()));
    let registry = ofBase.get(purpose);
    if (registry) return registry;
    ofBase.set(purpose, (registry = make()));
    if (ofBase.size > Math.max(MAX_CLASSES, filters.access.sets))
      ofBase.delete(ofBase.keys().next().value as object);
    return registry;
  }

  /**
   * What a route shows of a registry to everybody: the part of its profile, under the names that the configuration gives. `apps`: whether it
   * is for clients that show apps.
   */
  function onRoute(below: Registry, { server, profile, link }: Route, apps: boolean): Registry {
    const current = access();
    if (filters.access !== current) filters = { access: current, byBase: new WeakMap() };
    const { profiles, overrides, pinned } = filters.access;
    const registry =
      pins && pinned.size > 0 && !link ? filtered(below, pins, () => new Pinned(below, pins)) : below;
    const selected = profile === undefined ? undefined : profiles.get(profile);
    const rules = profile === undefined ? undefined : (selected ?? NOTHING).rules;
    const selection = rules ? filtered(registry, rules, () => new Restricted(registry, rules)) : registry;
    const changes = server === undefined ? (selected?.overrides ?? overrides) : undefined;
    const changed =
      changes && changes.size > 0
        ? filtered(selection, changes, () => new Overridden(selection, changes))
        : selection;
    const isNamed = selected && (selected.prefix !== 'always' || selected.instructions !== undefined);
    const named = isNamed ? filtered(changed, selected, () => new Profiled(changed, selected)) : changed;
    // Tools of pages take names too: the names are the same for all clients.
    return server !== undefined || apps ? named : filtered(named, MODELS, () => new ForModels(named));
  }

  /** What is left of a route's registry for a principal. */
  function forPrincipal(registry: Registry, principal: Principal, { path, link }: Route): Registry {
    if (link) return registry;
    const rules = filters.access.policy?.of(principal, path);
    if (!rules || rules.isAll) return registry;
    return filtered(registry, rules, () => new Restricted(registry, rules));
  }

  /** The filters for a route and a principal on a registry: what the route shows, and what is left of that. */
  function cut(
    root: Registry,
    principal: Principal,
    route: Route,
    apps: boolean,
  ): { whole: Registry; registry: Registry } {
    const whole = onRoute(root, route, apps);
    return { whole, registry: forPrincipal(whole, principal, route) };
  }

  function viewFor(root: Registry, principal: Principal, route: Route, apps: boolean): View {
    const { whole, registry } = cut(root, principal, route, apps);
    const shown = hasLoginTool
      ? filtered(registry, LOGIN, () => new LoginTools(registry, hasLoginTool))
      : registry;
    const search =
      route.profile === undefined ? undefined : filters.access.profiles.get(route.profile)?.search;
    const view = on(shown, route.server ?? search, apps);
    if (!origins.has(view))
      origins.set(view, { root, bare: registry === whole ? undefined : on(whole, route.server, apps) });
    return view;
  }

  /** `of`: the server of a route, or how its profile searches; undefined: it lists all of all servers. */
  function on(registry: Registry, of: string | Search | undefined, apps: boolean): View {
    let views = made.get(registry);
    if (!views) made.set(registry, (views = new Map<string | Search | undefined, View>()));
    let view = views.get(of);
    if (view) return view;
    // Drop the views of removed servers, and of searches that a reload has replaced.
    for (const key of views.keys()) if (key !== undefined && !isCurrent(registry, key)) views.delete(key);
    view =
      of === undefined
        ? new MergedView(registry, { apps })
        : typeof of === 'string'
          ? new SingleView(registry, of)
          : new SearchView(registry, of, { apps, indexes });
    views.set(of, view);
    return view;
  }

  function isCurrent(registry: Registry, key: string | Search): boolean {
    if (typeof key === 'string') return registry.get(key) !== undefined;
    return [...filters.access.profiles.values()].some(({ search }) => search === key);
  }

  return {
    exists(principal, route) {
      const { server, profile, byKey, link } = route;
      if (link) return catalogs.modern.get(server as string) !== undefined;
      if (byKey && principal.profile === undefined) return false;
      if (principal.profile !== undefined && principal.profile !== profile) return false;
      if (profile !== undefined) return access().profiles.has(profile);
      return (
        server === undefined ||
        cut(catalogs.legacy, principal, route, true).registry.get(server) !== undefined
      );
    },
    isPersonal({ path }) {
      const { policy, confines } = access();
      return policy !== undefined || (confines && path === '/mcp');
    },
    of(viewer, route) {
      const apps = viewer.apps === true || showsApps(viewer.capabilities);
      return viewFor(own(viewer, route) ?? shared(viewer, route), viewer.principal, route, apps);
    },
    plain: (owner, route) => viewFor(withUser(catalogs.legacy, owner, route), owner.principal, route, false),
    shared,
    hides: (viewer, route, server) =>
      cut(classOf(viewer), viewer.principal, route, true).registry.hides(server),
    isOn: (view, registry) => origins.get(view)?.root === registry,
    whole(route) {
      const registry = onRoute(catalogs.modern, route, true);
      return { registry, view: on(registry, route.server, true) };
    },
    unrestricted: (view, kind, name) => origins.get(view)?.bare?.find(kind, name),
  };
}

/** The purposes of the filters that list login tools, and that hide the tools of pages. */
const LOGIN = {};
const MODELS = {};
/** A profile that a reload has removed. */
const NOTHING: Profile = {
  rules: rulesOfProfile('', []),
  overrides: new Map(),
  prefix: 'always',
  instructions: undefined,
};
