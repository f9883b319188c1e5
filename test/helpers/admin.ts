/** The admin API of a gateway in a test: its console key, requests with it, and its events. */
import { createConsoleKey } from '../../src/lib/console-key.js';
import type { ChangeEvent, SnapshotEvent, Topic } from '../../src/admin/schemas.js';
import { startGateway, type RunningGateway } from './gateway.js';
import { openSse, send, type Answer, type Headers, type SseStream } from './http.js';
import { scratchFolder } from './state.js';

export interface AdminGateway extends RunningGateway {
  readonly key: string;
  readonly auth: Headers;
  /** Asks a GET route below `/-/api/v1/`; fails if the answer is not 200. */
  get<T>(path: string, headers?: Headers): Promise<T>;
  ask(path: string, headers?: Headers): Promise<Answer>;
  post(path: string, body?: object, headers?: Headers): Promise<Answer>;
  watch(topics: readonly Topic[], headers?: Headers): Promise<Watched>;
}

export interface Watched {
  readonly stream: SseStream;
  /** The first event of this topic that `which` accepts, from the beginning of the stream. */
  event(
    topic: Topic,
    which?: (event: SnapshotEvent & ChangeEvent) => boolean,
  ): Promise<SnapshotEvent & ChangeEvent>;
}

export const API = '/-/api/v1/';

/** Starts a gateway whose console key is known. Its state is in a folder of its own. */
export async function startAdmin(
  config: Parameters<typeof startGateway>[0],
  options: Parameters<typeof startGateway>[1] = {},
): Promise<AdminGateway> {
  const key = createConsoleKey();
  const env = { ...options.env, MCPSTEAD_CONSOLE_KEY: key };
  const running = await startGateway({ state: { dir: scratchFolder() }, ...config }, { ...options, env });
  return withAdmin(running, key);
}

export function withAdmin(running: RunningGateway, key: string): AdminGateway {
  const auth = { authorization: `Bearer ${key}` };
  const at = (path: string): string => running.base + API + path;
  const ask: AdminGateway['ask'] = (path, headers = auth) => send(at(path), undefined, { headers });
  return {
    ...running,
    key,
    auth,
    ask,
    async get<T>(path: string, headers: Headers = auth) {
      const answer = await ask(path, headers);
      if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.text}`);
      return answer.json<T>();
    },
    post: (path, body = {}, headers = auth) =>
      send(at(path), body, { headers: { 'content-type': 'application/json', ...headers } }),
    async watch(topics, headers = auth) {
      const stream = await openSse(at(`events?topics=${topics.join(',')}`), undefined, headers);
      const seen: (SnapshotEvent & ChangeEvent)[] = [];
      return {
        stream,
        async event(topic, which = () => true) {
          const fits = (event: SnapshotEvent & ChangeEvent): boolean => event.topic === topic && which(event);
          let found = seen.find(fits);
          while (!found) {
            const event = JSON.parse((await stream.next()).data) as SnapshotEvent & ChangeEvent;
            seen.push(event);
            if (fits(event)) found = event;
          }
          return found;
        },
      };
    },
  };
}
