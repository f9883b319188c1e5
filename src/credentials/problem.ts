/** Why there is no token. */

/**
 * `config`: it stays so until the configuration, or what the server says, changes. `temporary`: it may work in a moment. `login`: somebody
 * has to log in again.
 */
export type ProblemKind = 'config' | 'temporary' | 'login';

/** The message says what is wrong and what helps, for operators; it holds no secret and no body. */
export class CredentialProblem extends Error {
  readonly kind: ProblemKind;
  /** OAuth's `error`, if that is it. */
  readonly code: string | undefined;
  /** What the authorization server asked to wait, in ms. */
  readonly retryAfterMs: number | undefined;
  /** When what it depends on is looked at again, without a request, in ms; undefined: nothing else changes. */
  readonly lookMs: number | undefined;

  constructor(
    kind: ProblemKind,
    message: string,
    more: {
      code?: string | undefined;
      retryAfterMs?: number | undefined;
      lookMs?: number | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(message, { cause: more.cause });
    this.name = 'CredentialProblem';
    this.kind = kind;
    this.code = more.code;
    this.retryAfterMs = more.retryAfterMs;
    this.lookMs = more.lookMs;
  }
}

const MOST_CHARS = 200;

/** A text of somebody else as it may be shown: one line, short, in quotes if it is not a word. */
export function shown(text: string): string {
  const line = text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
    .slice(0, MOST_CHARS);
  return line;
}
