import { expect } from 'vitest';
import { until } from '../../../helpers/wait.js';
import type { Actor } from '../actors.js';
import { ALL, CLIENT, row } from '../stage.js';

const check = row('List changes');
const KINDS = ['tools', 'prompts', 'resources'] as const;

/** What the fixtures list only after a change; its description tells which change it was. */
const appeared = async (client: Actor, kind: (typeof KINDS)[number]): Promise<unknown> =>
  (await client.list(kind)).find(({ name }) => name === 'appeared')?.['description'];

check(ALL, 'A client is notified of every changed list, and the list has the change', async (meeting) => {
  const client = await meeting.client();
  const { stop } = await client.follow({ lists: KINDS });
  // The gateway reads the lists of a server that reports many changes only once a second: all three change together.
  const before = await Promise.all(KINDS.map((kind) => appeared(client, kind)));
  client.forget();
  for (const kind of KINDS) await client.call('change_list', { kind });
  for (const [n, kind] of KINDS.entries()) {
    await until(
      () => client.heard.some(({ method }) => method === `notifications/${kind}/list_changed`),
      `a change of ${kind}`,
    );
    // A late notification of an earlier change may come first.
    await until(async () => (await appeared(client, kind)) !== before[n], `what is new among the ${kind}`);
    expect(await appeared(client, kind)).toMatch(/^change \d+$/);
  }
  await stop();
});

check(CLIENT.modern, 'A stream delivers only what it was opened for', async (meeting) => {
  const client = await meeting.client();
  const { granted, stop } = await client.follow({ lists: ['prompts'] });
  expect(granted).toEqual({ promptsListChanged: true });
  await client.call('change_list', { kind: 'tools' });
  await client.call('change_list', { kind: 'prompts' });
  await until(() => client.heard.length > 0, 'a change');
  expect(new Set(client.heard.map(({ method }) => method))).toEqual(
    new Set(['notifications/prompts/list_changed']),
  );
  await stop();
});

check(CLIENT.modern, 'Every frame of a stream has the id of its request', async (meeting) => {
  const raw = meeting.raw();
  const { exchange, close } = await raw.open('subscriptions/listen', {
    notifications: { toolsListChanged: true },
  });
  await until(() => exchange.messages.length > 0, 'the acknowledgement');
  await raw.call('change_list', { kind: 'tools' });
  await until(() => exchange.messages.length > 1, 'a change');
  expect(exchange.messages.map(({ method }) => method).slice(0, 2)).toEqual([
    'notifications/subscriptions/acknowledged',
    'notifications/tools/list_changed',
  ]);
  for (const { params } of exchange.messages)
    expect((params?.['_meta'] as Record<string, unknown>)['io.modelcontextprotocol/subscriptionId']).toBe(
      exchange.request.id,
    );
  close();
});
