import { mayPass } from '../../lib/may-pass.js';
import { askAgain, type AfterRefusal, type Shown } from './credential-refusal.js';
import { explain, staleSocket, type Dispatcher } from './dispatcher.js';
import { Unread } from './http.js';

/** Why a message was not accepted. */
export interface Unaccepted {
  readonly reason: string;
  /** It did not reach the server, as far as one can tell: the connection failed, or something in front of the server refused it. */
  readonly isLost: boolean;
}

/**
 * Sends a message that gets no answer; again, with another credential, if the server refuses the one that it had, and again if it is lost on
 * a socket that the server was closing: all such messages may come twice. `place` says where to and with which headers; `done` is called once
 * it has ended, with the reason if it was not accepted. Returns how to abort it.
 */
export function postMessage(
  http: Shown & { readonly dispatcher: Dispatcher },
  place: () => { readonly origin: string; readonly path: string; readonly headers: string[] },
  body: Buffer,
  done: (failure?: Unaccepted) => void,
): () => void {
  let isAborted = false;
  let current: Unread;
  let isAgain = false;
  /** `times`: how often its credential was refused. */
  const send = (times: number): void => {
    const { origin, path, headers } = place();
    const stamp = http.credential?.stamp ?? 0;
    current = new Unread((error) => {
      const { status } = current;
      if (error && status === 0) return lost(error, times);
      const after: AfterRefusal = {
        isOver: () => isAborted,
        again: () => {
          send(times + 1);
        },
        failed: ({ message }) => {
          done({ reason: message, isLost: false });
        },
        usual: () => {
          done(refused(status));
        },
      };
      if (!askAgain(http, { status, headers: current.headers, stamp, times }, after)) after.usual();
    });
    http.dispatcher.dispatch({ method: 'POST', origin, path, headers, body }, current);
  };
  const lost = (error: Error, times: number): void => {
    const { reused, silent } = staleSocket(error);
    if (!reused || !silent || isAborted || isAgain) return done({ reason: explain(error), isLost: true });
    isAgain = true;
    http.dispatcher.lowerKeepAlive();
    send(times);
  };
  send(0);
  return () => {
    isAborted = true;
    current.abort();
  };
}

/** undefined: it was accepted. */
function refused(status: number): Unaccepted | undefined {
  if (status < 400) return undefined;
  return { reason: `HTTP ${status}`, isLost: mayPass(status) };
}
