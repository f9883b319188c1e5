/** What operators ask a gateway: its health, its metrics, what its policy decides, what is pinned. */
import type { ServerStatus } from '../admin/schemas.js';
import { isPerUser } from '../config/credentials.js';
import type { Config, ServerConfig } from '../config/types.js';
import type {
  Admin,
  Health,
  ServerHealth,
  Ready,
  ReloadResult,
  ReplicaReload,
} from '../downstream/http/admin.js';
import { GatewayError } from '../errors.js';
import type { GatewayStats } from '../observe/stats.js';
import type { Principal } from '../protocol/ports.js';
import type { Runtime } from '../proxy/runtime.js';
import type { Upstream } from '../upstream/link/pool.js';
import { isObject, textOf } from '../wire/json.js';
import type { GatewayAudit } from './audit.js';
import { explain, textsIn } from './explain.js';
import { healthOf, serverStatus } from './health.js';
import type { GatewayFleet } from './fleet.js';
import type { Links } from './links.js';
import type { PinBook } from './pins.js';
import type { Readiness } from './readiness.js';

export interface OperatorsDeps {
  readonly runtime: () => Runtime;
  readonly links: () => Links;
  readonly readiness: Readiness;
  readonly stats: GatewayStats;
  readonly build: { readonly version: string; readonly git_sha: string };
  readonly pins: PinBook;
  /** Why the gateway is not ready besides its servers. */
  readonly troubles: () => readonly string[];
  /** What the configuration takes out of lists, by endpoint. */
  readonly problems: () => Readonly<Record<string, readonly string[]>>;
  /** Updates gauges that are not kept up to date all the time. */
  readonly measure: () => void;
  /** Updates what tools take of a context. */
  readonly measureTokens: () => Promise<void>;
  readonly reload: () => Promise<ReloadResult>;
  /** For the audit log. */
  readonly acted: GatewayAudit['acted'];
  /** undefined: the gateway is alone. */
  readonly fleet: GatewayFleet | undefined;
}

export class Operators implements Admin {
  readonly #deps: OperatorsDeps;

  constructor(deps: OperatorsDeps) {
    this.#deps = deps;
  }

  get #config(): Config {
    return this.#deps.runtime().config;
  }

  health(): Health {
    const links = this.#deps.links();
    const servers = links.shared
      .all()
      .map((each) =>
        healthOf(each, links.seconds.get(each.config.name), this.#users(each.config), this.status(each)),
      );
    const problems = this.#deps.problems();
    const { fleet } = this.#deps;
    return {
      // A server where each user logs in for himself needs no login of the gateway.
      status: servers.every((server) => server.connected || isForUsers(server)) ? 'ok' : 'degraded',
      uptime_seconds: Date.now() / 1000 - this.#deps.stats.startedAt,
      servers,
      ...(Object.keys(problems).length > 0 && { problems }),
      ...(fleet?.health && { fleet: fleet.health }),
    };
  }

  status(upstream: Upstream): ServerStatus {
    const { pins, stats } = this.#deps;
    const { name } = upstream.config;
    const pending = pins.mode(name) === 'enforce' ? (stats.pins.get(name)?.pending ?? 0) : 0;
    return serverStatus(upstream, pending, this.#users(upstream.config), stats.startedAt * 1000);
  }

  /** How many users are connected to a server where each has a login of his own. */
  #users(config: ServerConfig): number | undefined {
    return isPerUser(config) ? this.#deps.links().users.connected(config.name) : undefined;
  }

  ready(named: boolean): Ready {
    const { stopping, waitingFor } = this.#deps.readiness;
    if (stopping) return { ready: false, waiting_for: ['shutting down'] };
    const servers = named || waitingFor.length === 0 ? waitingFor : ['required servers'];
    const waiting = [...servers, ...this.#deps.troubles()];
    return { ready: waiting.length === 0, waiting_for: waiting };
  }

  metrics(): ReturnType<Admin['metrics']> {
    if (!this.#config.metrics.enabled) return undefined;
    this.#deps.measure();
    return { contentType: 'text/plain; version=0.0.4; charset=utf-8', chunks: this.#renderMetrics() };
  }

  async *#renderMetrics(): AsyncGenerator<string> {
    const { stats, build } = this.#deps;
    await this.#deps.measureTokens();
    const { renderMetrics } = await import('../observe/metrics.js');
    yield* renderMetrics(stats, { ...build, node_version: process.version });
  }

  async reloadFleet(principal: Principal, address: string | undefined): Promise<readonly ReplicaReload[]> {
    const { fleet, acted } = this.#deps;
    if (!fleet) throw new GatewayError('invalid_request', 'this gateway is alone: fleet.store is not set');
    acted({ act: 'reload', principal, address });
    return await fleet.reloadAll();
  }

  reload(principal: Principal, address: string | undefined): Promise<ReloadResult> {
    this.#deps.acted({ act: 'reload', principal, address });
    return this.#deps.reload();
  }

  explain(question: unknown): object {
    const { views } = this.#deps.links();
    const { access } = this.#deps.runtime();
    return explain({ views, access: () => access, config: () => this.#config }, question);
  }

  pins(server: string | undefined): object {
    return { servers: this.#deps.pins.shown(server) };
  }

  async approvePins(question: unknown, principal: Principal): Promise<object> {
    const server = isObject(question) ? textOf(question['server']) : undefined;
    if (!isObject(question) || server === undefined)
      throw new GatewayError(
        'invalid_params',
        'the body must be JSON: {"server": "name", "names": ["tool"]}',
      );
    const approved = await this.#deps.pins.approve(server, textsIn(question, 'names'), principal);
    return { server, approved };
  }
}

function isForUsers({ state, login }: ServerHealth): boolean {
  return state === 'login_required' && login?.per === 'user';
}
