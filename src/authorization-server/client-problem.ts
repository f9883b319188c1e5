/** Why a client cannot be used. */

/**
 * - `unknown`: nobody registered it here, or its kind of registration is off.
 * - `unreachable`: its metadata document cannot be fetched now.
 * - `refused`: its metadata document, or the URL of it, is not acceptable.
 * - `limited`: too many documents are fetched; `retryAfter` says when to try again.
 */
export type ClientProblemKind = 'unknown' | 'unreachable' | 'refused' | 'limited';

export class ClientProblem extends Error {
  readonly kind: ClientProblemKind;
  /** For the person in front of the browser. */
  readonly text: string;
  /** In seconds; with `limited` only. */
  readonly retryAfter: number | undefined;

  /** `message`: for the operator, where it may say more than `text`. */
  constructor(
    kind: ClientProblemKind,
    text: string,
    { message = text, retryAfter }: { message?: string; retryAfter?: number } = {},
  ) {
    super(message);
    this.name = 'ClientProblem';
    this.kind = kind;
    this.text = text;
    this.retryAfter = retryAfter;
  }
}

/** The client is not registered here. */
export function unknownClient(): ClientProblem {
  return new ClientProblem(
    'unknown',
    'This application is not registered here. Remove its saved sign-in and connect again.',
  );
}

/** `seconds`: how long to wait. */
export function tooMany(seconds: number): ClientProblem {
  const wait = seconds === 1 ? '1 second' : `${seconds} seconds`;
  return new ClientProblem('limited', `Too many sign-ins. Wait ${wait}.`, { retryAfter: seconds });
}
