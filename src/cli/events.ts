/** The event stream of the admin API: `GET /-/api/v1/events`. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { ChangeEvent, SnapshotEvent, Topic } from '../admin/schemas.js';
import { Refusal } from '../terminal/explain.js';
import { interruptible } from './interrupt.js';
import { NO_GATEWAY, REFUSED, type Gateway } from './target.js';

/** A batch of the gateway is smaller. */
const EVENT_CHARS = 16_777_216;

/** Calls `on` with each event until Ctrl-C (130) or the end of the gateway (4). Rejects with a Refusal. */
export async function follow(
  gateway: Gateway,
  topic: Topic,
  on: (event: SnapshotEvent | ChangeEvent) => void,
): Promise<number> {
  return await interruptible(async (signal) => {
    await readEvents(gateway, topic, on, signal);
    throw new Refusal(`the gateway at ${gateway.origin} ended the stream`, NO_GATEWAY);
  });
}

async function readEvents(
  { address, credentials, origin }: Gateway,
  topic: Topic,
  on: (event: SnapshotEvent | ChangeEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const url = new URL(`/-/api/v1/events?topics=${topic}`, address.url);
  const send = url.protocol === 'https:' ? (await import('node:https')).request : httpRequest;
  let status = 0;
  for (const token of credentials.length === 0 ? [undefined] : credentials.map(({ secret }) => secret)) {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = send(
        url,
        {
          agent: false,
          signal,
          rejectUnauthorized: !address.own,
          headers: {
            Accept: 'text/event-stream',
            ...(token !== undefined && { Authorization: `Bearer ${token}` }),
          },
        },
        resolve,
      );
      request.on('error', reject);
      request.end();
    }).catch((error: unknown) => {
      throw new Refusal(`no gateway at ${origin}: ${(error as Error).message}`, NO_GATEWAY);
    });
    status = answer.statusCode ?? 0;
    if (status === 200) return await readLines(answer, on);
    answer.destroy();
  }
  throw new Refusal(`${origin} refused: HTTP ${status}`, REFUSED);
}

/** Each event of this API is one line of `data`. */
async function readLines(
  answer: IncomingMessage,
  on: (event: SnapshotEvent | ChangeEvent) => void,
): Promise<void> {
  let rest = '';
  for await (const chunk of answer.setEncoding('utf8')) {
    rest += chunk as string;
    if (rest.length > EVENT_CHARS) throw new Refusal('an event of the gateway is too large', NO_GATEWAY);
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines)
      if (line.startsWith('data:')) on(JSON.parse(line.slice(5)) as SnapshotEvent | ChangeEvent);
  }
}
