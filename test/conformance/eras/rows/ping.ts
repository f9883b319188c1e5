import { expect } from 'vitest';
import { CLIENT, row, SERVER } from '../stage.js';

const check = row('`ping`');

check(CLIENT.legacy, 'A legacy client is answered', async (meeting) => {
  const client = await meeting.client();
  await client.ping();
  expect(client.last('ping').answer.result).toEqual({});
});

check(CLIENT.modern, 'For a modern client the method does not exist', async (meeting) => {
  const { status, error } = await meeting.raw().request('ping');
  expect(status).toBe(404);
  expect(error?.code).toBe(-32601);
});

check(SERVER.legacy, 'A legacy server is answered without involving a client', async (meeting) => {
  const client = await meeting.client();
  expect(await client.say('ping_client')).toBe('answered');
  expect(client.wire.map(({ text }) => text).join('')).not.toContain('"ping"');
});
