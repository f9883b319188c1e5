/** What an error of a legacy upstream means for a modern client. */
import { GatewayError } from '../errors.js';
import type { AnswerHead, Caller, Link } from '../protocol/ports.js';
import { objectOf } from '../wire/json.js';
import type { Crossing } from './crossing.js';
import { errorAt, judge, readError, URL_ELICITATION_REQUIRED, withError } from './errors.js';
import { urlRequests } from './input.js';

const FIRST_DELAY_MS = 1000;
const LONGEST_DELAY_MS = 10_000;

export type ErrorStep =
  /** The client gets it, in the codes of its own era. */
  { readonly do: 'answer'; readonly head: Omit<AnswerHead, 'bytes'>; readonly bytes: Buffer } | UrlStep;

/** What to do about an error that asks for URLs to be opened (2025-11-25, client/elicitation). */
type UrlStep =
  | { readonly do: 'fail'; readonly error: GatewayError }
  /** The client has opened all of them: call the upstream again until it knows. */
  | { readonly do: 'repeat' }
  /** Ask the client to open them; its retry makes the call anew. `urls`: all that the client was asked to open for this call. */
  | {
      readonly do: 'ask';
      readonly requests: readonly (readonly [key: string, json: Buffer])[];
      readonly urls: readonly string[];
    };

/** `at`: offset of the error in `whole`. */
export interface UpstreamError {
  readonly whole: Buffer;
  readonly at: number;
}

/**
 * `caller`, `rawId`: of the request that is answered, which may be a later one than that of `crossing`. `mayRepeat`: that request has been
 * open since the upstream was called, so that its client had no chance to open what the error names.
 */
export function errorStep(
  { whole, at }: UpstreamError,
  crossing: Crossing,
  { caller, rawId }: { readonly caller: Caller; readonly rawId: string },
  mayRepeat: boolean,
): ErrorStep {
  const error = readError(whole, at);
  const detour =
    error.code === URL_ELICITATION_REQUIRED
      ? urlStep(error.data, crossing, caller.capabilities, mayRepeat)
      : undefined;
  if (detour) return detour;
  const { out, target } = crossing;
  const context = { upstream: 'legacy', caller, server: target.link.server, message: out.message } as const;
  const verdict = judge(error, context);
  const shown = typeof verdict === 'string' ? error : verdict;
  return {
    do: 'answer',
    head: { kind: 'error', value: errorAt(rawId), code: shown.code },
    bytes: withError(whole, at, error, shown, rawId),
  };
}

/** undefined: the error names no URL. `data`: JSON. */
function urlStep(
  data: Buffer | undefined,
  { target, opened, merged }: Crossing,
  capabilities: Caller['capabilities'],
  mayRepeat: boolean,
): UrlStep | undefined {
  const asked = urlRequests(data, merged ? target.link.server : undefined);
  if (asked.length === 0) return undefined;
  const url = objectOf(capabilities['elicitation'])?.['url'];
  if (url === undefined || url === null) {
    const error = new GatewayError('missing_capability', `the call needs a client that can open a URL`, {
      requiredCapabilities: { elicitation: { url: {} } },
    });
    return { do: 'fail', error };
  }
  if (mayRepeat && asked.every((each) => opened?.has(each.url))) return { do: 'repeat' };
  return {
    do: 'ask',
    requests: asked.map(({ json }, i) => [`u${i + 1}`, json] as const),
    urls: [...(opened ?? []), ...asked.map((each) => each.url)],
  };
}

/** How often an upstream is called again after its client has opened a URL: as long as a call may be silent. */
export class UrlDelays {
  #last = 0;
  #total = 0;

  /** Milliseconds until the next call, or the error that ends the attempts. */
  next({ server, timeouts }: Pick<Link, 'server' | 'timeouts'>): number | GatewayError {
    this.#last = Math.min(this.#last === 0 ? FIRST_DELAY_MS : this.#last * 2, LONGEST_DELAY_MS);
    this.#total += this.#last;
    const { request_ms } = timeouts;
    if (request_ms === 0 || this.#total <= request_ms) return this.#last;
    return new GatewayError(
      'upstream_timeout',
      `upstream '${server}' still asks to open a URL that was opened ${request_ms} ms ago (timeouts.request_ms)`,
    );
  }
}
