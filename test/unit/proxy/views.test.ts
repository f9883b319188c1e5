import { describe, expect, it } from 'vitest';
import { LOCAL } from '../../../src/auth/authenticate.js';
import { OverlaidCatalog } from '../../../src/catalog/catalog.js';
import { CapabilityFilter } from '../../../src/catalog/capabilities.js';
import { Filter, type Entry, type Registry } from '../../../src/catalog/registry.js';
import {
  LIST_KINDS,
  NO_LISTS,
  type Definition,
  type ListKind,
  type Lists,
} from '../../../src/protocol/lists.js';
import type { ServerLink, NameKind, View } from '../../../src/protocol/ports.js';
import { createViews, type Viewer, type Views } from '../../../src/proxy/views.js';
import { EVERY_CAPABILITY } from '../../../src/upstream/link/envelope.js';
import {
  catalogOf,
  NO_ACCESS,
  linkOf,
  namesIn,
  peerOf,
  promptsOf,
  resourcesOf,
  templatesOf,
  toolsOf,
  viewerOf,
} from './stage.js';
import { routeTo, type Route } from '../../../src/proxy/route.js';

const NOTHING = {};
const never = new AbortController().signal;

function viewsOf(
  modern: Registry,
  legacy: Registry = modern,
  own: (viewer: Viewer, route: Route) => Registry | undefined = () => undefined,
): Views {
  return createViews({ catalogs: { legacy, modern }, full: EVERY_CAPABILITY, own, access: () => NO_ACCESS });
}

/** A modern server that lists less for clients with fewer capabilities. */
function listsFor(less: Partial<Lists>): NonNullable<ServerLink['listsFor']> {
  return { get: () => ({ ...NO_LISTS, ...less }), fill: () => undefined };
}

describe('views', () => {
  it('are one object for all callers of one class, on each route', () => {
    const views = viewsOf(catalogOf(linkOf('a'), linkOf('b')));
    const one = views.of(viewerOf('one'), routeTo({}));
    expect(views.of(viewerOf('other'), routeTo({}))).toBe(one);
    const some = { sampling: {} };
    // The class depends on what is declared, not on the object that says it, or its settings.
    const less = views.of(viewerOf('one', { capabilities: some }), routeTo({}));
    expect(views.of(viewerOf('other', { capabilities: { sampling: {} } }), routeTo({}))).toBe(less);
    expect(less).not.toBe(one);
    expect(views.of(viewerOf('one'), routeTo({ server: 'a' }))).toBe(
      views.of(viewerOf('other'), routeTo({ server: 'a' })),
    );
    expect(views.of(viewerOf('one'), routeTo({ server: 'a' }))).not.toBe(
      views.of(viewerOf('one'), routeTo({ server: 'b' })),
    );
  });

  it('show each era its own links', () => {
    const modern = catalogOf(linkOf('a', { tools: toolsOf('new') }));
    const legacy = new OverlaidCatalog(modern);
    legacy.put(linkOf('a', { tools: toolsOf('old') }));
    const views = viewsOf(modern, legacy);
    expect(namesIn(views.of(viewerOf('m'), routeTo({})), 'tools')).toEqual(['a__new']);
    const old = viewerOf('l', { era: 'legacy', revision: '2025-11-25', capabilities: NOTHING });
    expect(namesIn(views.of(old, routeTo({})), 'tools')).toEqual(['a__old']);
    expect(namesIn(views.plain({ principal: LOCAL }, routeTo({ server: 'a' })), 'tools')).toEqual(['old']);
    legacy.remove('a');
    expect(namesIn(views.of(old, routeTo({})), 'tools')).toEqual(['a__new']);
  });

  it('show the lists for the capabilities of a caller', () => {
    const views = viewsOf(
      catalogOf(
        linkOf('a', { tools: toolsOf('all', 'asks') }, { listsFor: listsFor({ tools: toolsOf('all') }) }),
      ),
    );
    const full = views.of(viewerOf('full'), routeTo({}));
    const less = views.of(viewerOf('less', { capabilities: NOTHING }), routeTo({}));
    expect(namesIn(full, 'tools')).toEqual(['a__all', 'a__asks']);
    expect(namesIn(less, 'tools')).toEqual(['a__all']);
  });

  it("show a client's own links to that client alone", () => {
    const catalog = catalogOf(linkOf('a', { tools: toolsOf('shared') }));
    const mine = new OverlaidCatalog(catalog);
    mine.put(linkOf('a', { tools: toolsOf('mine') }));
    const views = viewsOf(catalog, catalog, ({ client }) => (client === 'me' ? mine : undefined));
    expect(namesIn(views.of(viewerOf('me'), routeTo({})), 'tools')).toEqual(['a__mine']);
    expect(namesIn(views.of(viewerOf('other'), routeTo({})), 'tools')).toEqual(['a__shared']);
    expect(views.isOn(views.of(viewerOf('me'), routeTo({})), mine)).toBe(true);
    expect(views.isOn(views.of(viewerOf('other'), routeTo({})), mine)).toBe(false);
    expect(views.shared(viewerOf('me'), routeTo({}))).toBe(catalog);
  });

  it('keep the 64 classes used last, and one that was dropped shows the same when it comes back', () => {
    const views = viewsOf(catalogOf(linkOf('a', { tools: toolsOf('one') })));
    const of = (n: number): View =>
      views.of(viewerOf('c', { capabilities: { [`capability-${n}`]: {} } }), routeTo({}));
    const first = of(0);
    for (let n = 1; n < 64; n++) of(n);
    // Used again, it is not the oldest any more.
    expect(of(0)).toBe(first);
    const second = of(1);
    of(64);
    of(65);
    expect(of(0)).toBe(first);
    expect(of(1)).toBe(second);
    const third = of(2);
    for (let n = 100; n < 164; n++) of(n);
    expect(of(2)).not.toBe(third);
    expect(of(2).list('tools', 'modern').digest).toBe(third.list('tools', 'modern').digest);
    expect(of(0)).not.toBe(first);
    // What a client of a dropped class still holds goes on showing changes.
    expect(namesIn(first, 'tools')).toEqual(['a__one']);
  });

  it('of a server that was removed show nothing, and the server if it comes back', () => {
    const catalog = catalogOf(linkOf('a', { tools: toolsOf('one') }), linkOf('b'));
    const views = viewsOf(catalog);
    const a = views.of(viewerOf('c'), routeTo({ server: 'a' }));
    expect(namesIn(a, 'tools')).toEqual(['one']);
    catalog.remove('a');
    expect(a.links()).toEqual([]);
    expect(namesIn(a, 'tools')).toEqual([]);
    expect(a.find('tool', 'one')).toBeUndefined();
    // Another route's first view is made: that of the removed server is forgotten.
    views.of(viewerOf('c'), routeTo({ server: 'b' }));
    catalog.put(linkOf('a', { tools: toolsOf('two') }));
    expect(views.of(viewerOf('c'), routeTo({ server: 'a' }))).not.toBe(a);
    expect(namesIn(views.of(viewerOf('c'), routeTo({ server: 'a' })), 'tools')).toEqual(['two']);
    // A client that kept it sees the same.
    expect(namesIn(a, 'tools')).toEqual(['two']);
  });

  it('say which routes exist: those of servers, under their whole name', () => {
    const catalog = catalogOf(linkOf('a'));
    const views = viewsOf(catalog);
    expect(views.exists(LOCAL, routeTo({ server: 'a' }))).toBe(true);
    for (const name of ['b', '', 'A', 'a ', '__proto__', 'constructor'])
      expect(views.exists(LOCAL, routeTo({ server: name }))).toBe(false);
    catalog.remove('a');
    expect(views.exists(LOCAL, routeTo({ server: 'a' }))).toBe(false);
  });
});

const SECRET = 'hidden-';

/**
 * What one principal may see: nothing of `h`; of `a` what does not begin with `hidden-`, and the unlisted `extra`; all of `b`. It overrides
 * only what a filter that hides servers must, as the Registry says it.
 */
class Restricted extends Filter {
  readonly #cut = new WeakMap<readonly Definition[], readonly Definition[]>();

  override get(server: string): ServerLink | undefined {
    return server === 'h' ? undefined : super.get(server);
  }

  override entries(): readonly Entry[] {
    return super.entries().filter(({ link }) => link.server !== 'h');
  }

  override list(link: ServerLink, kind: ListKind): readonly Definition[] {
    const all = super.list(link, kind);
    if (link.server !== 'a') return all;
    let cut = this.#cut.get(all);
    if (!cut) this.#cut.set(all, (cut = all.filter(({ key }) => !key.includes(SECRET))));
    return cut;
  }

  override hides(server: string): boolean {
    return server === 'h' || super.hides(server);
  }

  override admits(server: string, kind: NameKind, name: string): boolean {
    if (server === 'a') return name === 'extra' || name === 'x://open/extra';
    return server !== 'h' && super.admits(server, kind, name);
  }

  override showsAll(server: string): boolean {
    return server === 'b' && super.showsAll(server);
  }
}

const EXTENSIONS = { capabilities: { extensions: { 'com.example/x': {} }, tools: {}, prompts: {} } };

/** Three servers. What nobody may see says so: `secret` or `hidden`. */
function servers(more: Partial<ServerLink> = {}) {
  return {
    a: linkOf(
      'a',
      {
        tools: toolsOf('open', 'hidden-tool'),
        prompts: promptsOf('open', 'hidden-prompt'),
        resources: resourcesOf('x://open', 'x://hidden-resource'),
        templates: templatesOf('x://open/{id}', 'x://hidden-things/{id}'),
      },
      { peer: peerOf('a', { capabilities: { tools: {}, prompts: {} } }) },
    ),
    b: linkOf('b', { tools: toolsOf('all') }, { peer: peerOf('b', EXTENSIONS) }),
    h: linkOf(
      'h',
      {
        tools: toolsOf('gone'),
        prompts: promptsOf('gone'),
        resources: resourcesOf('x://gone', 'x://open'),
        templates: templatesOf('x://gone/{id}'),
      },
      {
        peer: peerOf('h', {
          ...EXTENSIONS,
          serverInfo: Buffer.from('{"name":"secret name","version":"1"}'),
          instructions: 'secret instructions',
          capabilities: { ...EXTENSIONS.capabilities, logging: {}, resources: {}, 'x-secret': {} },
        }),
        freshness: { until: 1, scope: 'private' },
        ...more,
      },
    ),
  };
}

/** The ways to put a filter between a caller and the catalog. */
const STACKS: Readonly<Record<string, (...links: readonly ServerLink[]) => Registry>> = {
  'on the catalog': (...links) => new Restricted(catalogOf(...links)),
  'on the legacy links': (...links) => {
    const overlaid = new OverlaidCatalog(catalogOf(...links));
    for (const link of links) overlaid.put({ ...link });
    return new Restricted(overlaid);
  },
  'on the lists for few capabilities': (...links) =>
    new Restricted(new CapabilityFilter(catalogOf(...links), '[]', NOTHING)),
  "under a client's own links": (...links) => {
    const own = new OverlaidCatalog(new Restricted(catalogOf(...links)));
    for (const link of links) own.put({ ...link });
    return own;
  },
};

describe.each(Object.entries(STACKS))('a filter %s', (_where, stack) => {
  const { a, b, h } = servers();
  const registry = stack(a, b, h);
  const views = viewsOf(registry);
  const merged = views.of(viewerOf('c'), routeTo({}));
  const one = (server: string): View => views.of(viewerOf('c'), routeTo({ server }));
  const KINDS: readonly NameKind[] = ['tool', 'prompt', 'resource', 'task'];

  it('is obeyed by lists, of either era', () => {
    for (const era of ['legacy', 'modern'] as const) {
      expect(namesIn(merged, 'tools', era)).toEqual(['a__open', 'b__all']);
      expect(namesIn(merged, 'prompts', era)).toEqual(['a__open']);
      expect(namesIn(merged, 'resources', era)).toEqual(['x://open']);
      expect(namesIn(merged, 'templates', era)).toEqual(['x://open/{id}']);
      for (const kind of LIST_KINDS) {
        expect(namesIn(one('h'), kind, era)).toEqual([]);
        for (const view of [merged, one('a'), one('b'), one('h')])
          expect(Buffer.concat(view.list(kind, era).parts).toString()).not.toMatch(/hidden|gone|secret/);
      }
    }
  });

  it('leaves no name that leads to a hidden server', () => {
    for (const kind of KINDS)
      for (const name of ['gone', 'h__gone', 'h__extra', 'x://gone', 'x://gone/1', 'mcpstead:h:x://gone']) {
        expect(merged.find(kind, name)).toBeUndefined();
        expect(merged.conflict(kind, name)).toBeUndefined();
        expect(one('h').find(kind, name)).toBeUndefined();
        expect(one('h').conflict(kind, name)).toBeUndefined();
      }
    // What the hidden server lists too belongs to the one that is seen.
    expect(merged.find('resource', 'x://open')?.link.server).toBe('a');
    expect(merged.find('resource', 'mcpstead:h:x://open')).toBeUndefined();
  });

  it('leaves no name that leads to what it cuts, and the one unlisted name that it allows', () => {
    for (const kind of KINDS)
      for (const name of [
        'hidden-tool',
        'hidden-prompt',
        'x://hidden-resource',
        'x://hidden-things/1',
        'unlisted',
        'x://open/1',
      ]) {
        expect(merged.find(kind, `a__${name}`)).toBeUndefined();
        expect(merged.find(kind, `mcpstead:a:${name}`)).toBeUndefined();
        expect(one('a').find(kind, name)).toBeUndefined();
        expect(one('a').find(kind, `a__${name}`)).toBeUndefined();
        expect(merged.find(kind, name)).toBeUndefined();
      }
    expect(merged.find('tool', 'a__open')).toMatchObject({ name: 'open' });
    expect(merged.find('tool', 'a__extra')).toMatchObject({ name: 'extra', definition: undefined });
    expect(merged.find('task', 'a__extra')).toMatchObject({ name: 'extra' });
    expect(merged.find('resource', 'x://open/extra')).toMatchObject({ name: 'x://open/extra' });
    expect(one('a').find('prompt', 'extra')).toMatchObject({ name: 'extra' });
    expect(merged.find('tool', 'b__anything')?.link.server).toBe('b');
  });

  it('shows no link to a hidden server, and nothing that it says of itself', () => {
    expect(merged.links().map(({ server }) => server)).toEqual(['a', 'b']);
    expect(one('h').links()).toEqual([]);
    for (const view of [merged, one('h')]) {
      expect(view.hides('h')).toBe(true);
      for (const said of [view.greeting(), view.discovery(), view.serverInfo()])
        expect(said).not.toMatch(/secret/);
    }
    expect(JSON.parse(one('h').serverInfo())).toEqual({ name: 'h', version: '0' });
    expect(merged.greeting()).not.toContain('logging');
    expect(merged.discovery()).not.toContain('logging');
    expect([merged.hides('a'), merged.hides('b'), merged.hides('nobody')]).toEqual([false, false, false]);
  });

  it('sends unknown methods to the one server with extensions that is shown whole', () => {
    expect(merged.unknown('x/list')).toMatchObject({ server: 'b' });
    expect(one('b').unknown('x/list')).toMatchObject({ server: 'b' });
    expect(one('h').unknown('x/list')).toBeUndefined();
    expect(one('a').unknown('x/list')).toBeUndefined();
    // Without the hidden one there is none, not the hidden one.
    const { a: part, h: hidden } = servers();
    const peer = peerOf('a', EXTENSIONS);
    const left = viewsOf(stack({ ...part, peer }, hidden)).of(viewerOf('c'), routeTo({}));
    expect(left.unknown('x/list')).toBeUndefined();
  });

  it('keeps the freshness of a hidden server out of the answer', () => {
    expect(merged.freshness()).toEqual({ until: 1000, scope: 'public' });
    expect(one('h').freshness().scope).toBe('public');
  });

  it('names URIs as if the hidden server were not there', () => {
    expect(merged.uriOf('a', 'x://open')).toBe('x://open');
    // The hidden server covers it, the other one does not.
    expect(merged.uriOf('b', 'x://gone/1')).toBe('x://gone/1');
    expect(merged.uriOf('b', 'x://open')).toBe('mcpstead:b:x://open');
  });

  it('names no URI that it cuts, as an update of a subscribed path would', () => {
    for (const view of [merged, one('a')]) {
      expect(view.uriOf('a', 'x://hidden-resource')).toBeUndefined();
      expect(view.uriOf('a', 'x://open/secret')).toBeUndefined();
      expect(view.uriOf('a', 'x://open/extra')).toBe('x://open/extra');
      expect(view.uriOf('h', 'x://gone')).toBeUndefined();
    }
  });

  it('has nothing to render or to wait for of a hidden server', () => {
    for (const kind of LIST_KINDS) expect(one('h').prepare(kind, 'modern')).toBeUndefined();
    const waits = { firstConnect: true, state: 'connecting', settled: new Promise<void>(() => undefined) };
    const { a: up, b: other, h: slow } = servers(waits as Partial<ServerLink>);
    const views = viewsOf(stack(up, other, slow));
    const view = views.of(viewerOf('c'), routeTo({}));
    expect(view.ready(undefined, never)).toBeUndefined();
    for (const kind of KINDS) {
      expect(view.ready({ kind, name: 'h__gone' }, never)).toBeUndefined();
      expect(view.ready({ kind, name: 'mcpstead:h:x://gone' }, never)).toBeUndefined();
      expect(
        views.of(viewerOf('c'), routeTo({ server: 'h' })).ready({ kind, name: 'gone' }, never),
      ).toBeUndefined();
    }
    expect(views.of(viewerOf('c'), routeTo({ server: 'h' })).ready(undefined, never)).toBeUndefined();
  });

  it('asks hidden servers for no lists', () => {
    const asked: string[] = [];
    const reads = (server: string): Partial<ServerLink> => ({
      listsFor: {
        get: () => NO_LISTS,
        fill: () => {
          asked.push(server);
          return undefined;
        },
      },
    });
    const { a: part, b: whole, h: hidden } = servers();
    const views = viewsOf(
      stack({ ...part, ...reads('a') }, { ...whole, ...reads('b') }, { ...hidden, ...reads('h') }),
    );
    void views.of(viewerOf('c'), routeTo({ server: 'h' })).ready(undefined, never);
    void views.of(viewerOf('c'), routeTo({})).ready(undefined, never);
    expect(asked).not.toContain('h');
  });
});

describe('a conflict between templates', () => {
  it('is none where a filter leaves one of the servers', () => {
    class Admits extends Filter {
      override admits(server: string): boolean {
        return server === 'b';
      }
    }
    const catalog = catalogOf(
      linkOf('a', { templates: templatesOf('y://{id}') }),
      linkOf('b', { templates: templatesOf('y://{other}') }),
    );
    const full = viewsOf(catalog).of(viewerOf('c'), routeTo({}));
    expect(full.find('resource', 'y://1')).toBeUndefined();
    expect(full.conflict('resource', 'y://1')?.message).toContain('mcpstead:a:y://1');
    const view = viewsOf(new Admits(catalog)).of(viewerOf('c'), routeTo({}));
    expect(view.conflict('resource', 'y://1')).toBeUndefined();
    expect(view.find('resource', 'y://1')?.link.server).toBe('b');
  });
});
