import { describe, expect, it } from 'vitest';
import type { Config, ServerConfig } from '../../../src/config/types.js';
import { ListsHash } from '../../../src/gateway/lists-hash.js';
import type { Definition } from '../../../src/protocol/lists.js';
import type { ListKind } from '../../../src/protocol/shapes.js';

const KEY = Buffer.alloc(32, 1);
const definition = (key: string, more = ''): Definition =>
  ({ key, bytes: Buffer.from(`{"name":"${key}"${more}}`) }) as unknown as Definition;
const url = (name: string, more: object = {}): ServerConfig =>
  ({ name, kind: 'http', url: 'http://x/mcp', auth: { type: 'none' }, ...more }) as unknown as ServerConfig;
const command = (name: string, more: object = {}): ServerConfig =>
  ({ name, kind: 'stdio', command: 'x', ...more }) as unknown as ServerConfig;

type Lists = Record<string, readonly Definition[]>;

/** `lists`: tools by server. `read`: counts how often they are read. */
function gateway(servers: readonly ServerConfig[], lists: Lists) {
  const state = { version: 1, lists, read: 0, config: { servers } as unknown as Config };
  const view = {
    parts(kind: ListKind) {
      state.read++;
      if (kind !== 'tools') return [];
      return Object.entries(state.lists).map(([server, definitions]) => ({ link: { server }, definitions }));
    },
  };
  const registry = {
    get version() {
      return state.version;
    },
  };
  const views = { whole: () => ({ registry, view }) } as never;
  const hash = new ListsHash({ views: () => views, config: () => state.config });
  return { state, of: (key = KEY) => hash.of(key) };
}

const hashOf = (servers: readonly ServerConfig[], lists: Lists, key = KEY): string =>
  gateway(servers, lists).of(key);

describe('the hash of lists', () => {
  const one = [url('one'), url('two')];
  const lists = { one: [definition('a'), definition('b')], two: [definition('c')] };

  it('is the same for the same lists in any order, and needs the key', () => {
    const reversed = { two: [definition('c')], one: [definition('b'), definition('a')] };
    expect(hashOf(one, lists)).toBe(hashOf(one, reversed));
    expect(hashOf(one, lists)).toMatch(/^[\w-]{22}$/);
    expect(hashOf(one, lists)).not.toBe(hashOf(one, lists, Buffer.alloc(32, 2)));
  });

  it('is another one for another definition, another name, and a server that is away', () => {
    const all = [
      lists,
      { ...lists, two: [definition('c', ',"title":"C"')] },
      { ...lists, two: [definition('d')] },
      { one: lists.one },
      { one: lists.two, two: lists.one },
      { one: [...lists.one, definition('c')], two: [] },
    ];
    expect(new Set(all.map((each) => hashOf(one, each))).size).toBe(all.length);
  });

  it('is computed only when the catalog or the configuration has changed', () => {
    const { state, of } = gateway(one, lists);
    const first = of();
    const { read } = state;
    expect(of()).toBe(first);
    expect(state.read).toBe(read);
    state.version++;
    expect(of()).toBe(first);
    expect(state.read).toBe(2 * read);
    state.config = { ...state.config };
    of();
    expect(state.read).toBe(3 * read);
  });

  it('leaves out the lists of users, and has the names alone where another process runs the server', () => {
    const perUser = [url('one', { auth: { type: 'oauth', per: 'user' } })];
    expect(hashOf(perUser, { one: [definition('a')] })).toBe(hashOf(perUser, {}));
    const placed = [command('one')];
    const far = { one: [definition('a', ',"title":"as the other process lists it"')] };
    const isLinux = process.platform === 'linux';
    expect(hashOf(placed, far) === hashOf(placed, { one: [definition('a')] })).toBe(isLinux);
    expect(hashOf(placed, far)).not.toBe(hashOf(placed, { one: [definition('b')] }));
    expect(hashOf(placed, far)).not.toBe(hashOf(placed, {}));
    const each = [command('one', { placement: 'each' })];
    expect(hashOf(each, far)).not.toBe(hashOf(each, { one: [definition('a')] }));
  });
});
