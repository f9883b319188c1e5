// Why a client may see something else through the gateway. A difference that fits none of these is a fault.
//
// {id, verdict: 'better' | 'differs', source, text, fits(difference, pair)}; a difference is {way, step, path, straight,
// through}; a pair {server, transport, client, era}.

const said = (value) => JSON.stringify(value ?? null);
/** A connection that is gone, as each client says it. */
const LOST = /closed|not connected|terminated|no answer|driver ended|404|session|broken|EOF|refused|timed out/i;

export const reasons = [
  {
    id: 'restart',
    verdict: 'better',
    source: '2025-11-25, basic/transports, "Session Management"',
    text: 'A client that is connected straight loses its session, or its child, when the server is restarted. The gateway connects anew, and the session of the client goes on.',
    fits: ({ step, path, straight, through }) =>
      step === 'call after restart' && ['', '/ok', '/error', '/silent'].includes(path) && (path === '/ok' ? straight === undefined : through === undefined || through.ok),
  },
];

export const isLost = (value) => LOST.test(said(value));
