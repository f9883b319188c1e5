import { expect } from 'vitest';
import type { Exchange, Json, Message } from '../actors.js';
import { ALL, CLIENT, row } from '../stage.js';

const check = row('Progress and log messages during a call');

const told = ({ messages }: Exchange, method: string): Message[] =>
  messages.filter((message) => message.method === method);
const levels = (exchange: Exchange): unknown[] =>
  told(exchange, 'notifications/message').map(({ params }) => params?.['level']);

check(
  ALL,
  'Progress and logs arrive on the stream of their call, in order, before its result',
  async (meeting) => {
    const client = await meeting.client();
    const options = await client.atLevel('debug');
    const heard: unknown[] = [];
    await client.call('report', { label: 'both' }, { ...options, onprogress: (step) => heard.push(step) });
    const exchange = client.last('tools/call');
    expect(exchange.messages.map(({ method, params }) => params?.['progress'] ?? method)).toEqual([
      1,
      'notifications/message',
      2,
      'notifications/message',
      3,
      'notifications/message',
      undefined,
    ]);
    const { progressToken } = exchange.request.params?.['_meta'] as Json;
    for (const { params } of told(exchange, 'notifications/progress'))
      expect(params?.['progressToken']).toBe(progressToken);
    expect(heard).toMatchObject([{ progress: 1 }, { progress: 2 }, { progress: 3 }]);
    expect(levels(exchange)).toEqual(['debug', 'warning', 'debug']);
    expect(told(exchange, 'notifications/message')[1]?.params).toMatchObject({
      level: 'warning',
      data: { label: 'both', step: 2 },
    });
  },
);

check(ALL, 'Only logs of the requested level arrive', async (meeting) => {
  const client = await meeting.client();
  const options = await client.atLevel('warning');
  await client.call('report', { label: 'warnings' }, options);
  expect(levels(client.last('tools/call'))).toEqual(['warning']);
});

check(CLIENT.modern, 'A client without a log level gets no logs', async (meeting) => {
  const client = await meeting.client();
  await client.call('report', { label: 'silent' }, { onprogress: () => {} });
  const exchange = client.last('tools/call');
  expect(told(exchange, 'notifications/progress')).toHaveLength(3);
  expect(levels(exchange)).toEqual([]);
});

check(ALL, 'A call without a progress token gets no progress', async (meeting) => {
  const client = await meeting.client();
  const options = await client.atLevel('warning');
  await client.call('report', { label: 'without' }, options);
  expect(told(client.last('tools/call'), 'notifications/progress')).toEqual([]);
});

check(ALL, 'Two concurrent calls each get their own messages', async (meeting) => {
  const client = await meeting.client();
  const heard: Record<string, (string | undefined)[]> = { left: [], right: [] };
  await Promise.all(
    ['left', 'right'].map((label) =>
      client.call('report', { label }, { onprogress: ({ message }) => heard[label]?.push(message) }),
    ),
  );
  expect(heard).toEqual({
    left: ['left 1', 'left 2', 'left 3'],
    right: ['right 1', 'right 2', 'right 3'],
  });
});
