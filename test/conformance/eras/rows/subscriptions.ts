import { expect } from 'vitest';
import { until } from '../../../helpers/wait.js';
import type { Actor } from '../actors.js';
import { ALL, CLIENT, row } from '../stage.js';

const check = row('Resource subscriptions');
const [ONE, TWO] = ['test://static-text', 'test://static-binary'] as const;

const updates = (client: Actor): unknown[] =>
  client.heard
    .filter(({ method }) => method === 'notifications/resources/updated')
    .map(({ params }) => params?.['uri']);

/** Each once: while one stream to the server takes the place of another, both may tell of a change. */
const updated = (client: Actor): unknown[] => [...new Set(updates(client))];

check(ALL, 'A client gets updates until it unsubscribes', async (meeting) => {
  const client = await meeting.client();
  const one = await client.follow({ uris: [ONE] });
  expect(one.granted['resourceSubscriptions']).toEqual([ONE]);
  await client.call('touch', { uri: ONE });
  await until(() => updates(client).length > 0, 'an update');
  expect(updates(client)).toEqual([ONE]);
  await one.stop();
  const two = await client.follow({ uris: [TWO] });
  await client.call('touch', { uri: ONE });
  await client.call('touch', { uri: TWO });
  await until(() => updates(client).includes(TWO), 'an update of the other');
  expect(updated(client)).toEqual([ONE, TWO]);
  await two.stop();
});

check(ALL, 'Two subscriptions are independent', async (meeting) => {
  const client = await meeting.client();
  // More than once: streams to the server take each other's place while this goes on.
  for (let round = 0; round < 5; round++) {
    client.forget();
    const one = await client.follow({ uris: [ONE] });
    const two = await client.follow({ uris: [TWO] });
    await client.call('touch', { uri: TWO });
    await client.call('touch', { uri: ONE });
    await until(() => updated(client).length > 1, 'two updates');
    expect(updated(client).sort()).toEqual([TWO, ONE].sort());
    await one.stop();
    client.forget();
    await client.call('touch', { uri: TWO });
    await until(() => updates(client).includes(TWO), 'a third update');
    await two.stop();
  }
});

check(['modern-legacy'], 'A subscription that the server refuses is not granted', async (meeting) => {
  const client = await meeting.client();
  const { granted, stop } = await client.follow({ uris: [ONE, 'test://template/is/not/there'] });
  expect(granted).toEqual({ resourceSubscriptions: [ONE] });
  await stop();
});

check(['legacy-legacy'], 'A subscription that the server refuses is an error', async (meeting) => {
  const client = await meeting.client();
  await expect(client.follow({ uris: ['test://template/is/not/there'] })).rejects.toThrow();
});

check(['modern-legacy'], 'A legacy server is subscribed to while a stream asks for it', async (meeting) => {
  const client = await meeting.client();
  const subscribed = async (): Promise<unknown[]> => JSON.parse(await client.say('subscribed')) as unknown[];
  const { stop } = await client.follow({ uris: [TWO] });
  expect(await subscribed()).toContain(TWO);
  await stop();
  await until(async () => !(await subscribed()).includes(TWO), 'the end of the subscription');
});

check(CLIENT.modern, 'The legacy subscription methods are unknown', async (meeting) => {
  for (const method of ['resources/subscribe', 'resources/unsubscribe', 'logging/setLevel']) {
    const { status, error } = await meeting.raw().request(method, { uri: ONE, level: 'debug' });
    expect(status).toBe(404);
    expect(error?.code).toBe(-32601);
  }
});
