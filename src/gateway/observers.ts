/** What is told about calls: metrics, the log, and, if they are configured, traces and the audit log. */
import type { Config } from '../config/types.js';
import type { Boundary } from '../observe/boundary.js';
import { callLog } from '../observe/call-log.js';
import { callMetrics } from '../observe/call-metrics.js';
import { Calls } from '../observe/calls.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats } from '../observe/stats.js';
import { Tracing } from '../observe/tracing.js';
import { openAudit, type GatewayAudit, type OpenAuditDeps } from './audit.js';

export interface ObserversDeps {
  readonly config: () => Config;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly stats: GatewayStats;
  readonly build: { readonly version: string };
  readonly state: OpenAuditDeps['state'];
}

export interface Observers {
  readonly calls: Calls;
  readonly audit: GatewayAudit;
  /** Writes and sends what is left. */
  close(): Promise<void>;
  destroy(): void;
}

/** Throws an Error if the audit log cannot be written, or a package is missing. */
export function createObservers(deps: ObserversDeps): Observers {
  const { config, log, stats, build } = deps;
  const calls = new Calls();
  const { endpoint, ...more } = config().tracing;
  const tracing =
    endpoint === undefined
      ? undefined
      : new Tracing({ config: { ...more, endpoint }, log, version: build.version });
  if (tracing) calls.trace(tracing);
  calls.add(callMetrics(stats));
  calls.add(callLog(log, () => config().logging.calls));
  const audit = openAudit({ ...deps, calls });
  return {
    calls,
    audit,
    async close() {
      await Promise.all([audit.close(), tracing?.close()]);
    },
    destroy() {
      audit.destroy();
      void tracing?.close();
    },
  };
}
