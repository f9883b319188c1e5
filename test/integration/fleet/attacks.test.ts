/** Replicas under attack: by somebody who writes to the store, who reaches the port for replicas, or who has an account. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { createApiKey, hashApiKey } from '../../../src/lib/api-key.js';
import { atEnd } from '../../helpers/cleanup.js';
import {
  fleetOf,
  newKey,
  pinged,
  roaming,
  startReplica,
  startReplicas,
  together,
} from '../../helpers/fleet.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import { callBody, post, send } from '../../helpers/http.js';
import { freePort } from '../../helpers/port.js';
import { startStore } from '../../helpers/store.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

const CONFIG = { servers: [{ ...scriptedStdio('s'), placement: 'each' as const }] };

it('a store that claims all sessions for somebody else takes none, also after a reconnect', async () => {
  const store = await startStore();
  const [a, b] = (await startReplicas(2, store, CONFIG)) as [RunningGateway, RunningGateway];
  const clients = await Promise.all(Array.from({ length: 5 }, () => roaming(a.url)));
  const names = (): string[] => store.cli('keys', '*:s:*').split('\n').filter(Boolean);
  await until(() => names().length === 5, 'the records');
  const { replica } = await fleetOf(b.base);
  for (const name of names()) store.cli('set', name, `9:${replica}:${'x'.repeat(300)}`);
  store.cli('client', 'kill', 'type', 'normal');
  await until(async () => (await a.metric('mcpstead_fleet_strangers_total')) >= 5, 'the strangers');
  for (const client of clients) {
    expect(await client.at(a).tool('s__cwd')).toBeDefined();
    expect(await client.at(b).tool('s__cwd')).toBeDefined();
  }
  // Each is written again.
  await until(() => names().every((name) => store.cli('getrange', name, '0', '1') === '1:'), 'the records');
  for (const each of [a, b]) expect(await each.metric('mcpstead_fleet_superseded_total')).toBe(0);
  // What ends is removed, whatever is there.
  for (const name of names()) store.cli('set', name, `9:${replica}:${'x'.repeat(300)}`);
  for (const client of clients) expect((await client.at(b).end()).status).toBe(200);
  await until(() => names().length === 0, 'the records to be removed');
  for (const client of clients) expect((await pinged(client.at(b))).status).toBe(404);
});

describe.each(['off', 'psk'] as const)('the port for replicas, with TLS %s', (tls) => {
  it('survives thousands of connections that say nothing, too much, or two things at once', async () => {
    const store = await startStore();
    const key = newKey();
    const port = await freePort();
    const a = await startReplica(store, CONFIG, { key, fleet: { listen: { port, tls } } });
    const b = await startReplica(store, CONFIG, { key, fleet: { listen: { tls } } });
    await together(a.base, b.base);
    const client = await roaming(a.url);
    const sockets: Socket[] = [];
    atEnd(() => {
      for (const socket of sockets) socket.destroy();
    });
    const open = async (first: string | Buffer): Promise<Socket> => {
      const socket = connect(port, '127.0.0.1');
      sockets.push(socket);
      socket.on('error', () => undefined).resume();
      await once(socket, 'connect');
      if (first.length > 0) socket.write(first);
      return socket;
    };
    // The beginning of a handshake, and of nothing.
    const half = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    const shapes: (string | Buffer)[] = [
      '',
      half,
      'POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n{',
      'POST /mcp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\nGET /-/peer HTTP/1.1\r\n\r\n',
      'POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n',
      'POST /mcp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
      `GET /-/peer HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(140_000)}`,
      `GET /mcp HTTP/1.1\r\nHost: x\r\nMcpstead-Peer: ${'A'.repeat(120_000)}\r\n\r\n`,
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'GET /-/peer HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(200),
    ];
    for (let round = 0; round < 100; round++) await Promise.all(shapes.map(open));
    for (let n = 0; n < 3; n++) expect(await client.at(b).tool('s__cwd')).toBeDefined();
    expect(await client.at(a).tool('s__cwd')).toBeDefined();
    expect(await a.metric('mcpstead_internal_errors_total')).toBe(0);
    // What was smuggled gets no answer of its own: at most that for the request around it, then the connection ends.
    const smuggled = connect(port, '127.0.0.1');
    let text = '';
    smuggled.on('error', () => undefined).on('data', (data) => (text += data.toString('latin1')));
    smuggled.write(shapes[3] as string);
    await once(smuggled, 'close');
    expect(text).not.toContain('"replica"');
    if (tls === 'psk') {
      const shaken = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
      await new Promise<void>((resolve) => {
        shaken.once('error', () => {
          resolve();
        });
        shaken.once('secureConnect', () => {
          throw new Error('connected without the key');
        });
      });
    }
  });
});

it('an account opens nothing with headers, ids or events of others', async () => {
  const store = await startStore();
  const keys = { one: createApiKey(), two: createApiKey() };
  const auth = {
    mode: 'bearer' as const,
    keys: (['one', 'two'] as const).map((name) => ({ name, sha256: [hashApiKey(keys[name])] })),
  };
  const [a, b] = (await startReplicas(2, store, { ...CONFIG, mcp: { auth } })) as [
    RunningGateway,
    RunningGateway,
  ];
  const one = { authorization: `Bearer ${keys.one}` };
  const two = { authorization: `Bearer ${keys.two}` };
  const client = await roaming(a.url, { headers: one });
  const id = client.id;
  const { replica } = await fleetOf(a.base);
  for (const target of [a, b]) {
    const as = (more: Record<string, string>) =>
      post(target.url, callBody('s__cwd', {}, 77), { ...client.here.headers, ...two, ...more });
    for (const more of [
      {},
      { 'mcpstead-peer': 'x' },
      { 'mcpstead-peer': 'A'.repeat(8000), 'mcpstead-client': '10.0.0.1' },
      { 'mcpstead-moved': replica },
      { 'mcpstead-handed': '1' },
      { 'last-event-id': '1-0-1' },
    ])
      expect((await as(more)).status).toBe(404);
    // Each other id: another home, one bit, another spelling, none.
    const bytes = Buffer.from(id, 'base64url');
    for (const at of [0, 17, 18, 22, 23, 24, 31]) {
      const forged = Buffer.from(bytes);
      forged[at] = (forged[at] ?? 0) ^ 1;
      expect((await as({ 'mcp-session-id': forged.toString('base64url'), ...one })).status).toBe(404);
    }
    for (const forged of [`${id}=`, id.toUpperCase(), id.slice(0, -1), `${id}${id}`, '.', 'x'.repeat(43)])
      expect((await as({ 'mcp-session-id': forged, ...one })).status).toBe(404);
    for (const path of ['/-/peer', '/-/reload?fleet'])
      expect(
        (await send(`${target.base}${path}`, undefined, { headers: two })).status,
      ).toBeGreaterThanOrEqual(400);
    // Its own client is served all the same.
    expect(await client.at(target, one).tool('s__cwd')).toBeDefined();
  }
  expect(await a.metric('mcpstead_fleet_adopted_total')).toBe(0);
});
