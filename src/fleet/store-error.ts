/** What a store does not do, in words of this program alone: what a store says may hold a password or a value, so it is never repeated. */

/**
 * The store did not do it. `message` has no address and no value.
 * `away`: it is not connected, did not answer in time, or cannot answer now; whether it did what was asked is not known.
 * `refused`: it answered that it does not do this.
 */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly why: 'away' | 'refused';

  constructor(why: 'away' | 'refused', message: string) {
    super(message);
    this.why = why;
  }
}

export const WRONG_DATABASE = 'it does not have the database that fleet.store names';

/** By the code of an error of the system. */
const SYSTEM: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens at its address',
  ECONNRESET: 'it closed the connection',
  EPIPE: 'it closed the connection',
  ETIMEDOUT: 'it does not answer',
  EHOSTUNREACH: 'its address cannot be reached',
  ENETUNREACH: 'its address cannot be reached',
  ENOTFOUND: 'its host name is unknown',
  EAI_AGAIN: 'its host name cannot be looked up',
};

/** By the first word of an answer: whether it may be otherwise soon, and what it means. */
const ANSWERS: Readonly<Record<string, readonly [why: 'away' | 'refused', cause: string]>> = {
  READONLY: ['away', 'it is a replica, which takes no writes'],
  LOADING: ['away', 'it loads its data'],
  MASTERDOWN: ['away', 'it has lost its primary'],
  CLUSTERDOWN: ['away', 'the cluster does not serve all slots'],
  TRYAGAIN: ['away', 'the cluster moves slots'],
  MOVED: ['away', 'the cluster moves slots'],
  ASK: ['away', 'the cluster moves slots'],
  BUSY: ['away', 'it runs a script that does not end'],
  NOREPLICAS: ['away', 'it has fewer replicas than its min-replicas-to-write'],
  WRONGPASS: ['away', 'it does not accept the user and password of fleet.store'],
  NOAUTH: ['away', 'it asks for a password: name it in fleet.store'],
  NOPERM: ['refused', 'its user may not do this: see the commands and keys in docs/fleet.md'],
  OOM: ['refused', 'its memory is full: raise its maxmemory'],
  MISCONF: ['refused', 'it cannot save its data, and takes no writes'],
  WRONGTYPE: ['refused', 'a key has a value of another type'],
};

/** The error of a command that failed with `error`. */
export function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { name, message } = error as Error;
  if (message === 'Command timed out') return new StoreError('away', 'the store did not answer in time');
  if (name !== 'ReplyError') return new StoreError('away', `the store is away: ${causeOf(error)}`);
  const [why, cause] = ANSWERS[firstWord(message)] ?? ['refused', 'it answered with an error'];
  return new StoreError(why, `the store refused: ${cause}`);
}

/** Why there is no connection, in words of this program. */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'the connection ended';
  const { code } = error as NodeJS.ErrnoException;
  if (error.name === 'ReplyError') {
    if (/DB index/.test(error.message)) return WRONG_DATABASE;
    if (/invalid password|without any password/i.test(error.message)) return ANSWERS['WRONGPASS']?.[1] ?? '';
    return ANSWERS[firstWord(error.message)]?.[1] ?? 'it answered with an error';
  }
  if (code !== undefined && Object.hasOwn(SYSTEM, code)) return SYSTEM[code] ?? '';
  if (code !== undefined && /^(?:CERT_|ERR_TLS_|ERR_SSL_|[A-Z_]*_CERT|UNABLE_TO_|SELF_SIGNED_)/.test(code))
    return `its certificate or TLS is not accepted (${code.slice(0, 64)})`;
  if (error instanceof StoreError) return error.message;
  return 'the connection ended';
}

function firstWord(message: string): string {
  const word = /^[A-Z]{2,16}/.exec(message)?.[0] ?? '';
  return Object.hasOwn(ANSWERS, word) ? word : '';
}
