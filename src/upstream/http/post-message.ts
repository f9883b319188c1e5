import { askAgain, type Shown } from './credential-refusal.js';
import type { Dispatcher } from './dispatcher.js';
import { Unread } from './http.js';

/**
 * Sends a message that gets no answer; again, with another credential, if the server refuses the one that it had. `place` says where to and
 * with which headers; `done` is called once it has ended, with the reason if it failed. Returns how to abort it.
 */
export function postMessage(
  http: Shown & { readonly dispatcher: Dispatcher },
  place: () => { readonly origin: string; readonly path: string; readonly headers: string[] },
  body: Buffer,
  done: (error?: string) => void,
): () => void {
  let isAborted = false;
  let current: Unread;
  const send = (times: number): void => {
    const { origin, path, headers } = place();
    const stamp = http.credential?.stamp ?? 0;
    current = new Unread((error) => {
      const sent = { status: current.status, headers: current.headers, stamp, times };
      const isAsked =
        error === undefined &&
        askAgain(http, sent, {
          isOver: () => isAborted,
          again: () => {
            send(times + 1);
          },
          failed: ({ message }) => {
            done(message);
          },
          usual: () => {
            done(`HTTP ${sent.status}`);
          },
        });
      if (!isAsked) done(error);
    });
    http.dispatcher.dispatch({ method: 'POST', origin, path, headers, body }, current);
  };
  send(0);
  return () => {
    isAborted = true;
    current.abort();
  };
}
