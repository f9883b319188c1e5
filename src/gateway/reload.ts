/** Applies another configuration. What did not change is not touched. */
import { diffConfig, discoveryProblem, keepFixed, loginProblem, type LoadedConfig } from '../config/index.js';
import type { Config, ServerConfig } from '../config/types.js';
import type { ReloadResult } from '../downstream/http/admin.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats } from '../observe/stats.js';
import type { GatewayAudit } from './audit.js';
import type { Links } from './links.js';

export interface ReloadDeps {
  readonly log: Logger;
  readonly links: Links;
  /** Makes a configuration the current one: from here on nothing can fail. */
  readonly use: (config: Config) => void;
}

/** Throws an Error, and changes nothing, if the new configuration cannot be used. */
export function applyConfig(deps: ReloadDeps, old: Config, loaded: LoadedConfig): ReloadResult {
  const { config: next, warnings, namesServers } = loaded;
  if (!namesServers && old.servers.length > 0)
    throw new Error(
      'the configuration names no servers, as an empty or truncated file does: write servers: [] to remove them all',
    );
  const diff = diffConfig(old, next);
  const kept = keepFixed(old, next);
  // What it needs may be in the new configuration, but only a restart applies it.
  const problem = loginProblem(kept) ?? discoveryProblem(kept);
  if (problem !== undefined)
    throw new Error(
      `${problem}; http.public_url and state.dir change only with a restart: restart the gateway`,
    );
  deps.use(kept);
  for (const warning of warnings) deps.log.warn(warning);
  for (const key of diff.restartRequired)
    deps.log.warn(`${key} changed: restart required, the old value stays`);
  const byName = new Map(kept.servers.map((server) => [server.name, server]));
  const at = (name: string): ServerConfig => byName.get(name) as ServerConfig;
  const { links } = deps;
  for (const name of diff.removed) links.remove(name);
  for (const name of diff.added) links.shared.add(at(name));
  for (const name of diff.restarted) links.restart(at(name));
  for (const name of [...diff.updated, ...diff.unchanged]) links.update(at(name));
  return {
    added: diff.added.length,
    removed: diff.removed.length,
    restarted: diff.restarted.length,
    updated: diff.updated.length,
    unchanged: diff.unchanged.length,
    servers: { added: diff.added, removed: diff.removed, restarted: diff.restarted, updated: diff.updated },
    restart_required: diff.restartRequired,
  };
}

export interface RecordDeps {
  readonly log: Logger;
  readonly stats: GatewayStats;
  readonly audit: GatewayAudit;
}

/** Runs a reload, and records how it went. Rejects with the Error that `reload` threw. */
export function recordReload(
  { log, stats, audit }: RecordDeps,
  reload: () => ReloadResult,
): Promise<ReloadResult> {
  try {
    const result = reload();
    stats.reloads.add('success');
    stats.lastReload = Date.now() / 1000;
    audit.reloaded();
    const { added, removed, restarted, updated, unchanged } = result;
    log.info('configuration reloaded', { added, removed, restarted, updated, unchanged });
    return Promise.resolve(result);
  } catch (error) {
    const failure = error instanceof Error ? error : new Error(String(error));
    stats.reloads.add('error');
    audit.reloaded(failure);
    log.error('reload refused, the running configuration is kept', { error: failure.message });
    return Promise.reject(failure);
  }
}
