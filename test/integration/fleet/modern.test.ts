/** Clients of 2026-07-28 in a fleet: a retry gets to the replica that has its call, or is told that it is gone. */
import { expect, it } from 'vitest';
import { createUpstream, tool } from '../../fixtures/servers/http-upstream.js';
import { newKey, startProcesses, startReplicas, type ReplicaProcess } from '../../helpers/fleet.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import { textOf } from '../../helpers/http.js';
import { call, EVERYTHING, needs, type Modern } from '../../helpers/modern.js';
import { startStore } from '../../helpers/store.js';

const able: Modern = { capabilities: EVERYTHING };
const accepted = { action: 'accept', content: { name: 'Ada' } };

async function startUpstream() {
  return createUpstream({
    tools: [tool('once')],
    onCall: async (asked) => {
      const schema = { type: 'object', properties: { name: { type: 'string' } } };
      const answer = await asked.ask('elicitation/create', { message: 'Name?', requestedSchema: schema });
      asked.text(JSON.stringify(answer.result));
    },
  });
}

it('a retry may come to any replica', async () => {
  const store = await startStore();
  const upstream = await startUpstream();
  const [a, b] = (await startReplicas(2, store, { servers: [{ name: 'u', url: upstream.url }] })) as [
    RunningGateway,
    RunningGateway,
  ];
  const { requestState, inputRequests } = needs(await call(a.url, 'u__once', {}, able));
  const [key = ''] = Object.keys(inputRequests);
  const more = { requestState, inputResponses: { [key]: accepted } };
  expect(textOf(await call(b.url, 'u__once', {}, { ...able, more }))).toContain('Ada');
  const late = await call(b.url, 'u__once', {}, { ...able, more });
  expect(late.error).toMatchObject({ code: -32602, data: { reason: 'gone' } });
});

it('a retry whose replica is gone is told so', async () => {
  const store = await startStore();
  const upstream = await startUpstream();
  const config = { servers: [{ name: 'u', url: upstream.url }] };
  const [a, b] = (await startProcesses(2, store, config, newKey())) as [ReplicaProcess, ReplicaProcess];
  const { requestState, inputRequests } = needs(await call(a.url, 'u__once', {}, able));
  const [key = ''] = Object.keys(inputRequests);
  a.kill('SIGKILL');
  await a.exit();
  const more = { requestState, inputResponses: { [key]: accepted } };
  const answer = await call(b.url, 'u__once', {}, { ...able, more });
  expect(answer.error).toMatchObject({ code: -32602, data: { reason: 'gone' } });
});
