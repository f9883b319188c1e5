import { expect, it } from 'vitest';
import { GatewayError } from '../../../../src/errors.js';
import { silent } from '../../../../src/observe/log.js';
import { LIST_KINDS } from '../../../../src/protocol/lists.js';
import { readLists } from '../../../../src/upstream/link/read-lists.js';

interface Asked {
  readonly method: string;
  readonly params: string | undefined;
  answer(result: object): void;
  fail(error: GatewayError): void;
}

/** A server that answers when it is told to. */
function server(capabilities: Readonly<Record<string, unknown>> = { tools: {}, prompts: {}, resources: {} }) {
  const asked: Asked[] = [];
  let pings = 0;
  const lists = readLists(LIST_KINDS, {
    server: 's',
    log: silent,
    capabilities,
    request: (method, params) =>
      new Promise((resolve, reject) => {
        asked.push({
          method,
          params,
          answer: (result) => {
            resolve({ value: Buffer.from(JSON.stringify(result)) });
          },
          fail: reject,
        });
      }),
    ping: () => Promise.resolve(pings++),
  });
  const of = (method: string): Asked => {
    const one = asked.findLast((each) => each.method === method);
    if (!one) throw new Error(`${method} was not asked for`);
    return one;
  };
  return { asked, lists, of, pings: () => pings };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('asks for all lists before one is answered, and for the pages of each one after the other', async () => {
  const one = server();
  await turn();
  expect(one.asked.map(({ method }) => method).sort()).toEqual([
    'prompts/list',
    'resources/list',
    'resources/templates/list',
    'tools/list',
  ]);
  one.of('resources/templates/list').answer({ resourceTemplates: [] });
  one.of('resources/list').answer({ resources: [{ uri: 'a:b', name: 'b' }] });
  one.of('tools/list').answer({ tools: [{ name: 'first' }], nextCursor: 'next' });
  await turn();
  await turn();
  expect(one.asked).toHaveLength(5);
  expect(one.of('tools/list').params).toBe('{"cursor":"next"}');
  one.of('tools/list').answer({ tools: [{ name: 'second' }] });
  one.of('prompts/list').answer({ prompts: [] });
  const outcomes = await one.lists;
  expect([...outcomes.keys()]).toEqual(LIST_KINDS);
  const tools = outcomes.get('tools');
  expect(tools?.type === 'list' && tools.definitions.map(({ key }) => key)).toEqual(['first', 'second']);
});

it('a list that fails leaves the others, and a connection that is lost ends all', async () => {
  const one = server();
  await turn();
  one.of('prompts/list').fail(new GatewayError('upstream_protocol_error', 'no'));
  one.of('resources/list').answer({ resources: [] });
  one.of('resources/templates/list').answer({ resourceTemplates: [] });
  one.of('tools/list').answer({ tools: [{ name: 'one' }] });
  expect([...(await one.lists)].map(([kind, { type }]) => [kind, type])).toEqual(
    LIST_KINDS.map((kind) => [kind, kind === 'prompts' ? 'failed' : 'list']),
  );
  const other = server();
  await turn();
  other.of('tools/list').fail(new GatewayError('upstream_disconnected', 'gone'));
  await expect(other.lists).rejects.toThrow('gone');
  // These come too late, and are nobody's.
  other.of('prompts/list').fail(new GatewayError('upstream_disconnected', 'gone as well'));
  other.of('resources/list').answer({ resources: [] });
  await turn();
});

it('pings a server without lists, once', async () => {
  const one = server({});
  expect([...(await one.lists).values()].map(({ type }) => type)).toEqual(LIST_KINDS.map(() => 'list'));
  expect([one.asked.length, one.pings()]).toEqual([0, 1]);
});
