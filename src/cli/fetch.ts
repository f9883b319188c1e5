/** The requests of the MCP client by `node:http`: loading Node's `fetch` takes longer than a whole call. */
import { request as httpRequest } from 'node:http';
import type { BodyReader, Fetch } from '../client/types.js';

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** `own`: the certificate is that of this machine, which is asked by its address and not by the name in the certificate. */
export function fetchOf({ own }: { readonly own: boolean }): Fetch {
  return async (url, { method, headers, body, signal }) => {
    const send = url.startsWith('https:') ? (await import('node:https')).request : httpRequest;
    return await new Promise((resolve, reject) => {
      const options = { method, headers, signal, agent: false, rejectUnauthorized: !own };
      const request = send(url, options, (answer) => {
        const status = answer.statusCode ?? 0;
        if (REDIRECTS.includes(status)) {
          answer.destroy();
          reject(new Error(`it redirects to ${answer.headers.location ?? 'nowhere'}`));
          return;
        }
        resolve({
          ok: status >= 200 && status < 300,
          status,
          headers: { get: (name) => answer.headers[name]?.toString() ?? null },
          body: { getReader: () => readerOf(answer) },
        });
      });
      // Several addresses were tried: the error itself has no message.
      request.on('error', (error: NodeJS.ErrnoException) => {
        reject(error.message === '' ? new Error(error.code ?? 'no answer', { cause: error }) : error);
      });
      request.end(body);
    });
  };
}

function readerOf(answer: AsyncIterable<Buffer, undefined> & { destroy(): unknown }): BodyReader {
  const chunks = answer[Symbol.asyncIterator]();
  return {
    async read() {
      const next = await chunks.next();
      return next.done === true ? { done: true } : { done: false, value: next.value };
    },
    cancel() {
      answer.destroy();
      return Promise.resolve();
    },
  };
}
