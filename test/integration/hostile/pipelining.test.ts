import { describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call } from '../../fixtures/servers/http-upstream.js';
import { startGateway } from '../../helpers/gateway.js';
import { callBody, rawPost, tcp } from '../../helpers/http.js';
import { until } from '../../helpers/wait.js';

const get = (base: string, path = '/health'): string =>
  `GET ${path} HTTP/1.1\r\nhost: ${new URL(base).host}\r\n\r\n`;
const count = (text: string, what: RegExp): number => [...text.matchAll(what)].length;

describe('requests that come before the last one is answered', () => {
  it('are answered in their order, one after the other', async () => {
    const held: Call[] = [];
    const upstream = await createUpstream({ tools: [tool('a')], onCall: (call) => held.push(call) });
    const { base, url } = await startGateway({ servers: [upstream.entry('one')] });
    const connection = await tcp(base);
    const first = rawPost(url, callBody('one__a', {}, 1));
    const second = rawPost(url, callBody('one__a', {}, 2));
    connection.write(Buffer.concat([first, second, Buffer.from(get(base, '/ready'))]));
    await until(() => held.length === 1);
    // The second one waits for the first: nothing of it has gone upstream when the first is answered.
    held[0]?.text('first');
    await until(() => held.length === 2);
    expect(connection.text).toContain('first');
    held[1]?.text('second');
    await connection.receive(/second[^]*"ready":true/);
    expect(connection.text.indexOf('"id":1')).toBeLessThan(connection.text.indexOf('"id":2'));
  });

  it('a large one behind another comes whole', async () => {
    const upstream = await createUpstream({ tools: [tool('a')] });
    const { base, url } = await startGateway({ servers: [upstream.entry('one')] });
    const connection = await tcp(base);
    const large = rawPost(url, callBody('one__a', { text: 'x'.repeat(2_000_000) }, 2));
    connection.write(Buffer.concat([rawPost(url, callBody('one__a', {}, 1)), large]));
    await connection.receive(/"id":1[^]*"id":2/);
    connection.write(get(base));
    await connection.receive(/"status":"ok"/);
  });

  it('more than 64 that wait close the connection; others are served', async () => {
    const { base } = await startGateway({ servers: [] });
    const connection = await tcp(base);
    connection.socket.pause();
    connection.write(get(base).repeat(1500));
    connection.socket.resume();
    await connection.done();
    expect(count(connection.text, /HTTP\/1\.1 200/g)).toBeLessThanOrEqual(1);
    const next = await tcp(base);
    next.write(get(base).repeat(20));
    await until(() => count(next.text, /HTTP\/1\.1 200/g) === 20);
  });

  it('a client that leaves while its request is under way is noticed', async () => {
    const held: Call[] = [];
    const upstream = await createUpstream({ tools: [tool('a')], onCall: (call) => held.push(call) });
    const { base, url } = await startGateway({ servers: [upstream.entry('one')] });
    const connection = await tcp(base);
    connection.write(rawPost(url, callBody('one__a', {}, 1)));
    await until(() => held.length === 1);
    connection.destroy();
    await until(() => held[0]?.abandoned === true);
  });

  it('what is no request behind them ends them, and the connection', async () => {
    const held: Call[] = [];
    const upstream = await createUpstream({ tools: [tool('a')], onCall: (call) => held.push(call) });
    const { base, url, gateway } = await startGateway({ servers: [upstream.entry('one')] });
    const connection = await tcp(base);
    const calls = [1, 2].map((id) => rawPost(url, callBody('one__a', {}, id)));
    connection.write(Buffer.concat([...calls, Buffer.from('no request\r\n\r\n')]));
    await until(() => held[0]?.abandoned === true);
    await connection.done();
    // Nothing is taken to be under way any more: the end waits for nobody.
    await gateway.close();
    expect(held).toHaveLength(1);
  });

  it('keeps connections that send one request after the other', async () => {
    const { base } = await startGateway({ servers: [] });
    const connection = await tcp(base);
    for (let i = 1; i <= 20; i++) {
      connection.write(get(base));
      await until(() => count(connection.text, /HTTP\/1\.1 200/g) === i);
    }
  });
});
