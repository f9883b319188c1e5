/**
 * Tells a URL of calls that wait for a yes, so that somebody looks at the page: signed as Standard Webhooks has it. What it answers decides
 * nothing.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { backoffMs } from '../lib/backoff.js';
import { Queue } from '../lib/queue.js';
import { decodedSecret } from '../lib/webhook-secret.js';
import type { Boundary } from '../observe/boundary.js';
import type { Guard, GuardedFetch } from '../protocol/small-request.js';
import type { ApprovalEvent } from './desk.js';

/** How a message ended; `dropped`: too many waited, and this one was the oldest. */
export type WebhookResult = 'sent' | 'failed' | 'dropped';

export interface WebhookDeps {
  /** https, or http to a loopback address. */
  readonly url: string;
  /** `whsec_` and base64. */
  readonly secret: string;
  /** `masked`: what those see who vote, without the members of `audit.redact`. */
  readonly arguments: 'none' | 'masked';
  readonly fetch: GuardedFetch;
  /** Unix time in milliseconds. */
  readonly now: () => number;
  readonly timer: { after(ms: number, run: () => void): { cancel(): void } };
  readonly random?: () => number;
  readonly counted: (result: WebhookResult) => void;
  readonly boundary: Boundary;
}

interface Message {
  /** The same for each try. */
  readonly id: string;
  readonly body: string;
}

const TRY_MS = 10_000;
const MAX_TRIES = 5;
const MAX_QUEUED = 1000;
/** Messages under way: one that is tried again does not hold up the others. */
const MAX_UNDER_WAY = 4;
const BACKOFF_MS = 2000;
const MAX_BACKOFF_MS = 60_000;
const MAX_ANSWER = 65_536;

export class Webhook {
  readonly #deps: WebhookDeps;
  readonly #guard: Guard;
  readonly #secret: Buffer;
  readonly #queue = new Queue<Message>();
  readonly #closing = new AbortController();
  #underWay = 0;

  /** Throws an Error if the URL or the secret cannot be used. */
  constructor(deps: WebhookDeps) {
    this.#deps = deps;
    this.#guard = guardOf(new URL(deps.url));
    this.#secret = secretOf(deps.secret);
  }

  /** Sends an event in the background. */
  happened(event: ApprovalEvent): void {
    if (this.#closing.signal.aborted || event.kind === 'given_back') return;
    if (this.#queue.length >= MAX_QUEUED) {
      this.#queue.shift();
      this.#deps.counted('dropped');
    }
    const id = `msg_${randomBytes(18).toString('base64url')}`;
    this.#queue.push({ id, body: JSON.stringify(this.#messageOf(event)) });
    this.#next();
  }

  /** Ends what is under way; what waits is not sent. */
  close(): void {
    this.#queue.clear();
    this.#closing.abort();
  }

  #messageOf(event: ApprovalEvent): object {
    const { approval } = event;
    return {
      type: `approval.${event.kind}`,
      timestamp: new Date(this.#deps.now()).toISOString(),
      data: {
        id: approval.id,
        server: approval.server,
        tool: approval.tool,
        rules: approval.entries.map(({ rule }) => rule),
        digest: approval.digest,
        url: approval.url,
        state: approval.state,
        expires: new Date(approval.expires).toISOString(),
        ...(event.kind === 'asked' && this.#deps.arguments === 'masked' && { arguments: event.shown }),
        ...(event.kind === 'voted' && { by: event.by, yes: event.yes }),
        ...(event.kind === 'ended' && { result: event.result, reason: approval.reason }),
      },
    };
  }

  #next(): void {
    while (this.#underWay < MAX_UNDER_WAY) {
      const message = this.#queue.shift();
      if (!message) return;
      this.#underWay++;
      const sent = this.#send(message).finally(() => {
        this.#underWay--;
        this.#next();
      });
      this.#deps.boundary.detach('detached', sent);
    }
  }

  async #send(message: Message): Promise<void> {
    const { counted, random } = this.#deps;
    for (let tries = 1; ; tries++) {
      const isTaken = await this.#try(message);
      if (this.#closing.signal.aborted) return;
      if (isTaken) return counted('sent');
      if (tries >= MAX_TRIES) return counted('failed');
      await this.#pause(BACKOFF_MS / 2 + backoffMs(tries, BACKOFF_MS, MAX_BACKOFF_MS, random));
    }
  }

  async #try({ id, body }: Message): Promise<boolean> {
    const { url, fetch, now } = this.#deps;
    const timestamp = Math.floor(now() / 1000).toString();
    const signature = createHmac('sha256', this.#secret)
      .update(`${id}.${timestamp}.${body}`)
      .digest('base64');
    const headers = {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${signature}`,
    };
    try {
      const request = {
        url,
        method: 'POST',
        headers,
        body,
        timeoutMs: TRY_MS,
        maxBytes: MAX_ANSWER,
      } as const;
      const { status } = await fetch(request, this.#guard, this.#closing.signal);
      return status >= 200 && status < 300;
    } catch {
      // Not reached, refused or too slow: tried again.
      return false;
    }
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#closing;
    await new Promise<void>((resolve) => {
      const over = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', over);
        resolve();
      };
      const timer = this.#deps.timer.after(ms, over);
      signal.addEventListener('abort', over, { once: true });
      if (signal.aborted) over();
    });
  }
}

/** The configuration names where it is over https; over http it must be on this machine, whatever its name resolves to. */
function guardOf({ protocol, origin }: URL): Guard {
  const isLoopback = protocol === 'http:';
  return {
    origins: new Set(isLoopback ? [] : [origin]),
    allowHosts: [],
    isLoopback,
    caFile: undefined,
    redirects: 0,
  };
}

function secretOf(secret: string): Buffer {
  const bytes = decodedSecret(secret);
  if (!bytes) throw new Error('the secret of the webhook is not whsec_ and base64 of 24 to 64 bytes');
  return bytes;
}
