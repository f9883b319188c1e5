/** Lists for fewer capabilities that could not be read: read again until they can be, whoever uses them meanwhile. */
import { beforeEach, expect, test, vi } from 'vitest';
import { CapabilityFilter } from '../../../../src/catalog/capabilities.js';
import { Catalog } from '../../../../src/catalog/catalog.js';
import type { CatalogOptions } from '../../../../src/catalog/registry.js';
import { GatewayError } from '../../../../src/errors.js';
import { silent } from '../../../../src/observe/log.js';
import { NO_LISTS } from '../../../../src/protocol/lists.js';
import type { ServerLink } from '../../../../src/protocol/ports.js';
import type { Collected } from '../../../../src/upstream/calls/collect.js';
import { ListsFor } from '../../../../src/upstream/link/lists-for.js';

const BUSY = new GatewayError('upstream_protocol_error', 'busy', { status: 503, retryAfter: 77 });
const AWAY = new GatewayError('upstream_disconnected', 'away');
const KEY = '[]';

let failure: GatewayError | undefined;
const request = vi.fn((method: string, _params: string | undefined): Promise<Collected> => {
  if (failure && method === 'tools/list') return Promise.reject(failure);
  const value =
    method === 'tools/list' ? '{"tools":[{"name":"a","inputSchema":{"type":"object"}}]}' : '{"prompts":[]}';
  return Promise.resolve({ value: Buffer.from(value) } as Collected);
});

const open = (): ListsFor =>
  new ListsFor({
    server: 's',
    log: silent,
    all: () => NO_LISTS,
    capabilities: () => ({ tools: {}, prompts: {} }),
    unordered: new Set(),
    request,
    incomplete: () => undefined,
  });

const asked = (): string[] => request.mock.calls.map(([method]) => method);

beforeEach(() => {
  failure = BUSY;
  request.mockClear();
});

test('they are read again after an interval in which nobody used them', async () => {
  const sets = open();
  await sets.fill(KEY, {});
  await sets.renew('used');
  await sets.renew('used');
  expect(sets.problems).toEqual([BUSY]);
  failure = undefined;
  expect(await sets.renew('used')).toEqual(['tools']);
  expect(sets.problems).toEqual([]);
});

test('they are read again over a new connection, without a client that asks', async () => {
  failure = AWAY;
  const sets = open();
  await sets.fill(KEY, {});
  sets.outdate();
  failure = undefined;
  expect(sets.problems).not.toEqual([]);
  expect(await sets.renew('incomplete')).toEqual(['tools']);
  expect(asked().slice(-2)).toEqual(['tools/list', 'prompts/list']);
  expect(sets.problems).toEqual([]);
});

test('the others of the set are not read with them', async () => {
  const sets = open();
  await sets.fill(KEY, {});
  request.mockClear();
  await sets.renew('incomplete');
  expect(asked()).toEqual(['tools/list']);
  sets.outdate();
  request.mockClear();
  await sets.renew('incomplete');
  expect(asked()).toEqual(['tools/list', 'prompts/list']);
});

test('clients of both eras see what one of them had read', async () => {
  failure = undefined;
  const listsFor = open();
  const link = { server: 's', state: 'up', listsFor } as unknown as ServerLink;
  const catalog = new Catalog({ waitMs: () => 1000, nameLength: () => 64 } as unknown as CatalogOptions);
  const [modern, legacy] = [0, 1].map(() => new CapabilityFilter(catalog, KEY, {})) as [
    CapabilityFilter,
    CapabilityFilter,
  ];
  const { signal } = new AbortController();
  await modern.fill([link], signal);
  await legacy.fill([link], signal);
  const { version } = legacy;
  await legacy.fill([link], signal);
  expect(legacy.version).toBe(version);
  listsFor.outdate();
  request.mockImplementation(() => Promise.resolve({ value: Buffer.from('{"tools":[],"prompts":[]}') }));
  await modern.fill([link], signal);
  await legacy.fill([link], signal);
  expect(legacy.list(link, 'tools')).toEqual([]);
  expect(legacy.version).toBeGreaterThan(version);
});
