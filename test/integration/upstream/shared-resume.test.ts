/** Streams that are resumed at a server which tells there what it has told all calls of the session, as server-everything does. */
import { expect, it } from 'vitest';
import { createUpstream, tool, type Call } from '../../fixtures/servers/http-upstream.js';
import { startGateway } from '../../helpers/gateway.js';
import { connect, final, messagesOf } from '../../helpers/legacy.js';
import { textOf, type SseStream } from '../../helpers/http.js';
import { until } from '../../helpers/wait.js';

it('each call gets its own answer and its own progress, once', async () => {
  const held: Call[] = [];
  /** What was said in the session: all of it is told again after the event that is named. */
  const said: string[] = [];
  const upstream = await createUpstream({
    tools: [tool('wait')],
    sessions: true,
    onCall(call) {
      held.push(call);
    },
  });
  const sse = { 'content-type': 'text/event-stream' };
  const event = (message: object): string => {
    said.push(`id: e${said.length}\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`);
    return said.at(-1) ?? '';
  };
  upstream.options.onHttp = ({ method, headers }, res) => {
    const last = headers['last-event-id'];
    if (method !== 'GET' || typeof last !== 'string') return undefined;
    res.writeHead(200, sse).write(said.slice(Number(last.slice(1)) + 1).join(''));
    return true;
  };
  const gateway = await startGateway({ servers: [{ name: 's', url: upstream.url }] });
  const clients = [await connect(gateway.url), await connect(gateway.url)];
  const streams = await Promise.all(
    clients.map((client) => client.stream('s__wait', {}, { meta: { progressToken: 'own' } })),
  );
  await until(() => held.length === 2, 'both calls');
  const [one, two] = held as [Call, Call];
  const tokenOf = ({ params }: Call): unknown =>
    (params['_meta'] as Record<string, unknown>)['progressToken'];
  const told = (call: Call, progress: number): string =>
    event({ method: 'notifications/progress', params: { progressToken: tokenOf(call), progress, total: 9 } });
  const answer = (call: Call, text: string): string =>
    event({ result: { content: [{ type: 'text', text }] }, id: call.message.id });
  for (const call of [one, two]) call.res.writeHead(200, sse);
  one.res.write(told(one, 1));
  two.res.write(told(two, 1));
  await until(() => streams.every((stream) => messagesOf(stream).length === 1), 'the progress of both');
  two.res.write(told(two, 2));
  two.res.end(answer(two, 'of two'));
  expect(textOf(await final(streams[1] as SseStream))).toBe('of two');
  event({});
  told(one, 2);
  answer(one, 'of one');
  one.res.destroy();
  expect(textOf(await final(streams[0] as SseStream))).toBe('of one');
  const progress = streams.map((stream) =>
    messagesOf(stream).flatMap(({ params }) => params?.['progress'] ?? []),
  );
  expect(progress).toEqual([
    [1, 2],
    [1, 2],
  ]);
});
