import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Announcer } from '../../../src/gateway/announcer.js';
import { linkOf, stage, toolsOf, viewerOf, type Stage } from '../proxy/stage.js';

let on: Stage;
let announcer: Announcer;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  on = stage([]);
  for (const server of ['a', 'b']) on.catalog.put(linkOf(server, { tools: toolsOf('one') }));
  announcer = new Announcer(on.boundary, on.catalog, {
    sessions: on.store,
    streams: on.streams,
    listeners: on.listeners,
    given: on.given,
  });
});

afterEach(() => {
  announcer.close();
  on.ended();
  expect([...on.caught.values]).toEqual([]);
  vi.useRealTimers();
});

const change = (server: string, ...tools: readonly string[]): void =>
  on.catalog.put(linkOf(server, { tools: toolsOf(...tools) }));

/** The time to gather changes is over, and clients have been told. */
async function passed(): Promise<void> {
  vi.runAllTimers();
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
}

describe('the announcer', () => {
  it('tells each client once of many changes', async () => {
    const told = on.hears(on.session());
    const listener = on.listens(viewerOf('c'));
    for (let i = 0; i < 50; i++) {
      change('a', `tool-${i}`);
      announcer.announce('a', ['tools']);
      announcer.announce('b', ['tools', 'resources', 'templates']);
    }
    expect(told).toEqual([]);
    expect(vi.getTimerCount()).toBe(1);
    await passed();
    expect(told).toEqual(['tools/list_changed', 'resources/list_changed']);
    expect(listener.told).toEqual(['tools/list_changed']);
    change('a', 'last');
    announcer.announce('a', ['tools']);
    await passed();
    expect(told.at(-1)).toBe('tools/list_changed');
    expect(told).toHaveLength(3);
    expect(listener.told).toHaveLength(2);
  });

  it('tells of all lists where it is not told which ones', async () => {
    const told = on.hears(on.session());
    announcer.announce('a');
    await passed();
    expect(told).toEqual(['tools/list_changed', 'prompts/list_changed', 'resources/list_changed']);
  });

  it('tells nobody on the route of another server, or who holds the list', async () => {
    const [b, holds] = [on.session({ server: 'b', route: '/servers/b/mcp' }), on.session()];
    const told = [on.hears(b), on.hears(holds)];
    on.given.note(holds, 'tools', holds.caller.view.list('tools', 'legacy'));
    announcer.announce('a', ['tools']);
    await passed();
    expect(told).toEqual([[], []]);
  });

  it('changes the catalog at once', () => {
    const { version } = on.catalog;
    announcer.announce('a', []);
    expect(on.catalog.version).toBe(version + 1);
  });

  it('tells nothing after it was closed, whether or not something was waiting', async () => {
    const told = on.hears(on.session());
    announcer.announce('a');
    announcer.close();
    expect(vi.getTimerCount()).toBe(0);
    announcer.announce('b');
    await passed();
    const other = new Announcer(on.boundary, on.catalog, {
      sessions: on.store,
      streams: on.streams,
      listeners: on.listeners,
      given: on.given,
    });
    other.close();
    other.announce('a');
    expect(vi.getTimerCount()).toBe(0);
    await passed();
    expect(told).toEqual([]);
  });

  it('survives a stream that fails', async () => {
    const session = on.session();
    on.streams.listen(session, {
      backlog: 0,
      prime: () => undefined,
      event: () => {
        throw new Error('broken');
      },
      end: () => undefined,
    } as unknown as Parameters<typeof on.streams.listen>[1]);
    const told = on.hears(on.session());
    announcer.announce('a', ['tools']);
    await passed();
    expect(told).toEqual(['tools/list_changed']);
    expect(on.caught.get('fan_out')).toBe(1);
    on.caught.values.clear();
  });
});
