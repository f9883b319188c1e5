import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Filter } from '../../../src/catalog/registry.js';
import { LIST_KINDS, type ListKind } from '../../../src/protocol/lists.js';
import type { Notice, View } from '../../../src/protocol/ports.js';
import { fanOutListChanged, fanOutUpdated, tellAside } from '../../../src/proxy/fan-out.js';
import type { Subscriber } from '../../../src/proxy/interests.js';
import type { Session } from '../../../src/session/store.js';
import { linkOf, resourcesOf, stage, toolsOf, viewerOf, type Stage } from './stage.js';

const TOOLS = 'tools/list_changed';
let on: Stage;

class Hidden extends Filter {
  override hides(server: string): boolean {
    return server === 'h';
  }
  override get(server: string) {
    return server === 'h' ? undefined : this.base.get(server);
  }
  override entries() {
    return this.base.entries().filter(({ link }) => link.server !== 'h');
  }
  override admits(_server: string, _kind: string, name: string): boolean {
    return !name.includes('secret');
  }
}

beforeEach(() => {
  on = stage([], (registry) => new Hidden(registry));
  on.catalog.put(linkOf('a', { tools: toolsOf('one'), resources: resourcesOf('x://1') }));
  on.catalog.put(linkOf('b', { resources: resourcesOf('x://1') }));
  on.catalog.put(linkOf('h', { tools: toolsOf('one') }));
});
afterEach(() => {
  on.ended();
});

const changed = (server: string, ...kinds: readonly ListKind[]): Promise<void> =>
  fanOutListChanged(
    { sessions: on.store, streams: on.streams, listeners: on.listeners, given: on.given },
    new Map([[server, new Set(kinds)]]),
  );

describe('a change of lists', () => {
  it('reaches all who see the server, and no one else', async () => {
    const merged = on.hears(on.session());
    const a = on.hears(on.session({ server: 'a', route: '/servers/a/mcp' }));
    const b = on.hears(on.session({ server: 'b', route: '/servers/b/mcp' }));
    await changed('a', 'tools', 'resources', 'templates');
    expect([merged, a, b]).toEqual([
      [TOOLS, 'resources/list_changed'],
      [TOOLS, 'resources/list_changed'],
      [],
    ]);
  });

  it('of a hidden server reaches nobody', async () => {
    const told = on.hears(on.session());
    const listener = on.listens(viewerOf('c'), ['tools', 'prompts', 'resources']);
    on.catalog.put(linkOf('h', { tools: toolsOf('other') }));
    await changed('h', ...LIST_KINDS);
    expect([told, listener.told]).toEqual([[], []]);
  });

  it('is told to a client that was given the list only if it is another one', async () => {
    const session = on.session();
    const told = on.hears(session);
    const { view } = session.caller;
    on.given.note(session, 'tools', view.list('tools', 'legacy'));
    await changed('a', 'tools');
    expect(told).toEqual([]);
    on.catalog.put(linkOf('a', { tools: toolsOf('other') }));
    const over = on.given.awaits(session, 'tools');
    await changed('a', 'tools');
    expect(told).toEqual([]);
    over();
    over();
    await changed('a', 'tools');
    expect(told).toEqual([TOOLS]);
  });

  it('reaches a stream once for each list that is another one', async () => {
    const { told, listener } = on.listens(viewerOf('c'));
    await changed('a', 'tools');
    on.catalog.put(linkOf('a', { tools: toolsOf('other') }));
    await changed('a', 'tools', 'prompts');
    await changed('a', 'tools');
    expect(told).toEqual([TOOLS]);
    listener.end();
    on.catalog.put(linkOf('a'));
    await changed('a', 'tools');
    expect(told).toEqual([TOOLS, 'end']);
  });

  it('reaches the others where one cannot be told, and is reported', async () => {
    const broken = on.session();
    broken.caller.view = {
      hides: () => {
        throw new Error('bug');
      },
    } as unknown as View;
    const told = on.hears(on.session());
    await expect(changed('a', 'tools')).rejects.toThrow('bug');
    expect(told).toEqual([TOOLS]);
  });

  it('is not told to a session that ended meanwhile', async () => {
    const [first, last] = [on.session(), on.session()];
    const told = on.hears(last);
    const { view } = first.caller;
    on.given.note(first, 'tools', view.list('tools', 'legacy'));
    first.caller.view = {
      hides: () => false,
      list: () => ({ digest: 'other' }),
      prepare: () => {
        on.store.end(last, 'evicted');
        return undefined;
      },
    } as unknown as View;
    await changed('a', 'tools');
    expect(told).toEqual([]);
  });
});

describe('an update of a resource', () => {
  const notice = (uri: string): Notice => ({
    method: 'notifications/resources/updated',
    bytes: Buffer.from(
      JSON.stringify({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } }),
    ),
  });
  const updated = (server: string, uri: string, ...to: [Subscriber, string | undefined][]): void => {
    fanOutUpdated(on.streams, new Map(to), server, uri, notice(uri));
  };

  it('names the URI as each subscriber does', () => {
    const merged = on.session();
    const own = on.session({ server: 'b', route: '/servers/b/mcp' });
    const told = [on.hears(merged), on.hears(own)];
    const { listener, told: toListener } = on.listens(viewerOf('c'));
    updated('b', 'x://1', [merged, undefined], [own, undefined], [listener, 'mcpstead:b:x://1']);
    updated('a', 'x://1', [merged, undefined]);
    expect(told).toEqual([
      ['resources/updated mcpstead:b:x://1', 'resources/updated x://1'],
      ['resources/updated x://1'],
    ]);
    expect(toListener).toEqual(['resources/updated mcpstead:b:x://1']);
  });

  it('of a hidden server, or a hidden resource, is told to nobody', () => {
    const session: Session = on.session();
    const told = on.hears(session);
    updated('h', 'x://1', [session, undefined]);
    updated('a', 'x://1/secret', [session, undefined]);
    expect(told).toEqual([]);
    updated('a', 'x://1/open', [session, undefined]);
    expect(told).toHaveLength(1);
  });
});

describe('a log message without a call', () => {
  it('reaches a session that wants its level', () => {
    const session = on.session();
    const told = on.hears(session);
    const say = (level: string): void => {
      const bytes = Buffer.from(JSON.stringify({ method: 'notifications/message', params: { level } }));
      tellAside(on.streams, session, { method: 'notifications/message', bytes });
    };
    say('debug');
    on.interests.setLevel(session, 'warning');
    for (const level of ['info', 'warning', 'error', 'unheard-of']) say(level);
    expect(told).toHaveLength(4);
    const bytes = Buffer.from('{"method":"notifications/cancelled"}');
    tellAside(on.streams, session, { method: 'notifications/cancelled', bytes });
    expect(told).toHaveLength(5);
  });
});
