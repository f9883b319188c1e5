/** Metadata documents of clients, for a fetch that the test scripts. */
import type { Guard, GuardedAnswer, GuardedFetch, SmallRequest } from '../../src/protocol/small-request.js';

export const DOCUMENT_ID = 'https://app.example/client.json';

export function documentOf(more: object = {}, id = DOCUMENT_ID): object {
  return {
    client_id: id,
    client_name: 'App',
    redirect_uris: ['https://app.example/cb', 'http://localhost/cb'],
    token_endpoint_auth_method: 'none',
    ...more,
  };
}

export function documentAnswer(body: unknown, more: Partial<GuardedAnswer> = {}): GuardedAnswer {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return { status: 200, body: Buffer.from(text), headers: { 'content-type': 'application/json' }, ...more };
}

export interface Sent {
  readonly request: SmallRequest;
  readonly guard: Guard;
  readonly signal: AbortSignal;
}

/** A fetch whose answers a function gives; all requests are recorded. */
export function answering(answer: (url: string) => GuardedAnswer | Promise<GuardedAnswer>): {
  fetch: GuardedFetch;
  sent: Sent[];
} {
  const sent: Sent[] = [];
  return {
    sent,
    fetch: async (request, guard, signal) => {
      sent.push({ request, guard, signal });
      return answer(request.url);
    },
  };
}
