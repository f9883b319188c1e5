/** Who asks, and what this gateway is. */
import { takesLogin } from '../config/credentials.js';
import type { Me } from './schemas.js';
import type { AdminSource, Asker } from './source.js';

export function meOf(source: AdminSource, { principal }: Asker, path: string): Me {
  const { build, replica, stats } = source;
  const config = source.config();
  const isOperator = source.permits(principal, 'operator', path);
  return {
    principal: { id: principal.id, name: principal.name },
    role: isOperator ? 'operator' : 'viewer',
    version: build.version,
    git_sha: build.git_sha,
    started: new Date(stats.startedAt * 1000).toISOString(),
    now: new Date().toISOString(),
    replica,
    state: source.state(),
    endpoint: source.endpoint(),
    auth: config.mcp.auth.mode,
    has: {
      explain: config.policy !== undefined,
      pins: config.servers.some(({ pin }) => pin !== 'off'),
      connections: config.servers.some(takesLogin),
      fleet: source.fleet() !== undefined,
      sign_ins: source.signIns.isOn,
      approvals: source.approvals.isOn,
      edit: isOperator && config.console.edit && source.file !== undefined,
      logs: isOperator,
    },
    capture: source.capture.shown,
  };
}
