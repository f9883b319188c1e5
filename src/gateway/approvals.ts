/** Calls that wait for a yes. The book of their records is loaded when a rule holds calls, or somebody asks for them. */
import type { ApprovalBook } from '../approvals/book.js';
import type { ApprovalEvent, ApprovalSummary } from '../approvals/desk.js';
import type { Stands } from '../approvals/record.js';
import type { Webhook, WebhookDeps } from '../approvals/webhook.js';
import type { ApprovalActions, ApprovalNews } from '../admin/source.js';
import type { Config, ServerConfig } from '../config/types.js';
import { APPROVAL_PATH } from '../downstream/http/approval-page.js';
import { sha256 } from '../lib/sha256.js';
import type { Logger } from '../observe/log.js';
import { ApprovalStats, type GatewayStats } from '../observe/stats.js';
import { isAtConsole } from '../policy/holds.js';
import type { ApprovalLine, Approvals, ApprovalView, VoteProblem } from '../protocol/approvals.js';
import { Approving, type ApprovingDeps } from '../proxy/approving.js';
import { HeldTasks, type HeldTasksDeps } from '../proxy/held-tasks.js';
import { personOf } from '../protocol/principal.js';
import type { Runtime } from '../proxy/runtime.js';
import type { State } from '../state/open.js';
import type { GatewayAudit } from './audit.js';

export interface GatewayApprovalsDeps extends Pick<
  ApprovingDeps,
  'boundary' | 'questions' | 'streams' | 'bridge' | 'hasPage'
> {
  readonly ids: HeldTasksDeps['ids'];
  readonly runtime: () => Runtime;
  readonly state: () => Promise<State>;
  /** Which login or key a server gets for a principal. */
  readonly loginOf: (server: ServerConfig, principal: string) => string | undefined;
  /** Names proxies and certificates, for the webhook. */
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
  readonly stats: GatewayStats;
  /** The origin of links for clients. */
  readonly origin: () => string;
  readonly audit: () => Pick<GatewayAudit, 'refusal' | 'approval'>;
}

const TIMER = {
  after(ms: number, run: () => void) {
    const timer = setTimeout(run, ms).unref();
    return {
      cancel() {
        clearTimeout(timer);
      },
    };
  },
};

/** What a key of the state makes of the names of records. */
const LABEL = 'approvals';

export class GatewayApprovals implements Approvals, ApprovalActions {
  readonly #deps: GatewayApprovalsDeps;
  readonly #approving: Approving;
  /** The tasks of held calls. */
  readonly tasks: HeldTasks;
  readonly #configs = new WeakMap<ServerConfig, string>();
  #book: Promise<ApprovalBook> | undefined;
  /** The one that `#book` has become. */
  #known: ApprovalBook | undefined;
  #makeHook: ((deps: Omit<WebhookDeps, 'fetch'>) => Webhook) | undefined;
  #webhook: Webhook | undefined;
  #changes = 0;
  #closed = false;

  constructor(deps: GatewayApprovalsDeps) {
    this.#deps = deps;
    this.tasks = new HeldTasks(deps);
    this.#approving = new Approving({
      ...deps,
      tasks: this.tasks,
      approvals: this,
      waitMs: (client) => {
        const { wait_seconds: waits } = this.#config.approvals;
        return (Object.hasOwn(waits, client) ? (waits[client] ?? waits.default) : waits.default) * 1000;
      },
      configOf: (server) => this.#configOf(server),
      loginOf: (server, principal) => this.#loginOf(server, principal),
    });
  }

  get isOn(): boolean {
    return (this.#deps.runtime().access.policy?.holds.size ?? 0) > 0;
  }

  /** undefined: no rule holds calls. */
  get approving(): Approving | undefined {
    return this.isOn ? this.#approving : undefined;
  }

  get isAtConsole(): boolean {
    const { host, http, mcp, admin } = this.#config;
    return isAtConsole({ host, admin, publicUrl: http.public_url, proxy: mcp.auth.proxy });
  }

  /** Asking for it loads the book, which looks at the state. */
  get news(): ApprovalNews {
    if (!this.isOn) return { changes: this.#changes, open: 0 };
    if (!this.#book && !this.#closed)
      this.#deps.boundary.detach(
        'detached',
        this.#load().then(() => undefined),
      );
    return { changes: this.#changes, open: this.#known?.figures().open ?? 0 };
  }

  async ask(...args: Parameters<Approvals['ask']>): ReturnType<Approvals['ask']> {
    return (await this.#load()).ask(...args);
  }

  async vote(...args: Parameters<Approvals['vote']>): Promise<ApprovalView | VoteProblem> {
    if (this.#deps.audit().refusal) return 'unavailable';
    return (await this.#load()).vote(...args);
  }

  async withdraw(...args: Parameters<Approvals['withdraw']>): Promise<ApprovalView | VoteProblem> {
    if (this.#deps.audit().refusal) return 'unavailable';
    return (await this.#load()).withdraw(...args);
  }

  async list(...args: Parameters<Approvals['list']>): ReturnType<Approvals['list']> {
    return (await this.#load()).list(...args);
  }

  async see(...args: Parameters<Approvals['see']>): ReturnType<Approvals['see']> {
    return (await this.#load()).see(...args);
  }

  async find(id: string): Promise<ApprovalView | undefined> {
    return (await this.#load()).find(id);
  }

  /** Calls that wait are answered with an error, and can be repeated at another time or replica. */
  drain(): void {
    this.#approving.drain();
  }

  /** Another configuration is in force. */
  reloaded(): void {
    this.#webhook?.close();
    this.#webhook = undefined;
  }

  /** Updates the gauges. */
  measure(): void {
    const { approvals } = this.#deps.stats;
    if (!approvals || !this.#known) return;
    const { open, waiting, oldestMs } = this.#known.figures();
    approvals.open = open;
    approvals.waiting = waiting;
    approvals.oldestSeconds = oldestMs / 1000;
  }

  /** Resolves once what has happened is stored. Never rejects. */
  async idle(): Promise<void> {
    await this.#known?.idle();
  }

  close(): void {
    this.#closed = true;
    this.#approving.drain();
    this.#webhook?.close();
    this.#known?.close();
  }

  get #config(): Config {
    return this.#deps.runtime().config;
  }

  #load(): Promise<ApprovalBook> {
    return (this.#book ??= this.#create().catch((error: unknown) => {
      this.#book = undefined;
      throw error;
    }));
  }

  async #create(): Promise<ApprovalBook> {
    const { state, boundary, stats, origin, runtime, env, log } = this.#deps;
    const [{ ApprovalBook: Book }, { Webhook: Hook }, { createGuardedFetch }] = await Promise.all([
      import('../approvals/book.js'),
      import('../approvals/webhook.js'),
      import('../upstream/http/guarded-fetch.js'),
    ]);
    const fetch = createGuardedFetch(env, log);
    this.#makeHook = (deps) => new Hook({ ...deps, fetch });
    const counts = (stats.approvals ??= new ApprovalStats());
    const book = new Book({
      boundary,
      store: async () => (await state()).store,
      hmacKey: async () => (await state()).keyFor(LABEL),
      config: () => {
        const { approvals } = this.#config;
        return {
          ignoreMeta: approvals.ignore_meta,
          useMs: approvals.use_seconds * 1000,
          open: approvals.open,
          perPrincipal: approvals.per_principal,
          perMinute: approvals.per_minute,
        };
      },
      redact: () => this.#config.audit.redact,
      entryOf: (digest) => runtime().access.policy?.holds.get(digest),
      stands: (...args) => this.#stands(...args),
      urlOf: (id) => origin() + APPROVAL_PATH + id,
      now: Date.now,
      timer: TIMER,
      happened: (event) => {
        this.#happened(event, counts);
      },
    });
    if (this.#closed) book.close();
    this.#known = book;
    return book;
  }

  /** Whether a voter is still admitted with what he has shown; with a key also as the same person, and whether the entries still ask him. */
  #stands(...[{ by, voter }, digests]: Parameters<Stands>): boolean {
    const { way, principal, credential } = voter;
    if (way !== 'key' && way !== 'sign_in') return true;
    const { auth, access } = this.#deps.runtime();
    const current = auth.current({
      ...{ id: principal, kind: way === 'key' ? 'key' : 'token', name: '', groups: [], scopes: [] },
      ...{ claims: {}, credential, expires: undefined },
    });
    if (!current || (current.expires !== undefined && Date.now() >= current.expires)) return false;
    if (way === 'sign_in') return true;
    // What a token said of its groups is not known any more.
    const asks = digests.every((digest) => {
      const by = access.policy?.holds.get(digest)?.by;
      return by === undefined || by === 'caller' || by.fits(current);
    });
    return asks && current.approves === true && personOf(current) === by;
  }

  #happened(event: ApprovalEvent, counts: ApprovalStats): void {
    const { kind, approval } = event;
    this.#changes++;
    const line = lineOf(approval);
    if (kind === 'asked') this.#deps.audit().approval({ event: 'asked', ...line });
    else if (kind === 'voted') {
      const decision = event.yes ? 'approve' : 'deny';
      this.#deps.audit().approval({ event: 'voted', ...line, by: event.by, decision, note: event.note });
    } else if (kind === 'ended') {
      const reason = event.result === 'sent' ? 'sent' : (approval.reason ?? 'denied');
      counts.ended(line.rule, reason, event.waitMs / 1000);
      this.#deps.audit().approval({ event: 'ended', ...line, reason });
    }
    this.#hook(counts)?.happened(event);
  }

  /** The webhook of the configuration; undefined: it has none. */
  #hook(counts: ApprovalStats): Webhook | undefined {
    const { webhook } = this.#config.approvals;
    if (!webhook || this.#closed || !this.#makeHook) return undefined;
    return (this.#webhook ??= this.#makeHook({
      ...webhook,
      ...{ boundary: this.#deps.boundary, now: Date.now, timer: TIMER },
      counted: (result) => {
        counts.webhook.add(result === 'sent' ? 'delivered' : result);
      },
    }));
  }

  #loginOf(name: string, principal: string): string | undefined {
    const server = this.#serverOf(name);
    const login = server && this.#deps.loginOf(server, principal);
    return login === undefined ? undefined : sha256(login);
  }

  #serverOf(name: string): ServerConfig | undefined {
    return this.#config.servers.find((each) => each.name === name);
  }

  #configOf(name: string): string {
    const server = this.#serverOf(name);
    if (!server) return '';
    let digest = this.#configs.get(server);
    if (digest === undefined) {
      const { timeouts: _timeouts, where: _where, ...rest } = server;
      this.#configs.set(server, (digest = sha256(JSON.stringify(rest))));
    }
    return digest;
  }
}

/** What every line about a record has. */
function lineOf({
  entries,
  ...approval
}: ApprovalSummary): Pick<ApprovalLine, 'id' | 'principal' | 'server' | 'tool' | 'rule' | 'digest'> {
  const { id, principal, server, tool, digest } = approval;
  return { id, principal, server, tool, rule: entries[0]?.rule ?? '', digest };
}
