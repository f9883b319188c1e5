import type { CallObserver } from './calls.js';
import type { Logger } from './log.js';

/** A call that takes longer is logged even if only failures are logged. */
const SLOW_MS = 10_000;

/** Logs calls that were sent to a server. `which`: logging.calls. */
export function callLog(log: Logger, which: () => 'none' | 'failed' | 'all'): CallObserver {
  return {
    over(call) {
      if (!call.sent) return;
      const { reason, ms } = call;
      const calls = which();
      const failed = reason !== undefined;
      const shown = calls === 'all' || (calls === 'failed' && (failed || ms > SLOW_MS));
      if (!shown && !log.debugEnabled) return;
      const isTool = call.method === 'tools/call';
      log[shown ? 'info' : 'debug'](failed ? 'call failed' : ms > SLOW_MS ? 'slow call' : 'call', {
        request: call.id?.slice(0, 64),
        session: call.sessionId?.slice(0, 8),
        server: call.target?.link.server,
        method: isTool ? undefined : call.method,
        tool: isTool ? call.target?.label : undefined,
        ms: Math.round(ms * 10) / 10,
        outcome: call.outcome,
      });
    },
  };
}
