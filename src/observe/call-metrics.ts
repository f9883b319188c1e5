import type { CallObserver } from './calls.js';
import type { GatewayStats } from './stats.js';

/** Counts calls by method, and calls of tools by server and tool. */
export function callMetrics(stats: GatewayStats): CallObserver {
  return {
    over({ method, target, sent, result, reason, ms }) {
      const counted = stats.method(method);
      counted[result]++;
      counted.duration.observe(ms / 1000);
      if (method !== 'tools/call' || !target || !(sent || reason)) return;
      const tool = (target.stats ??= target.link.stats.tool(target.label));
      tool.calls++;
      tool.duration.observe(sent ? ms / 1000 : 0);
      if (reason !== undefined) tool.errors.add(reason);
    },
  };
}
