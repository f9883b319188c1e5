/**
 * The life of a link: connects, waits after failures, connects again, drains, closes. link-state.ts decides what follows from an event;
 * this class does it, and reports to the link.
 */
import type { ServerConfig } from '../../config/types.js';
import { GatewayError, needsLogin, type ErrorCode } from '../../errors.js';
import { backoffMs } from '../../lib/backoff.js';
import type { Credential } from '../../protocol/credential.js';
import type { Carrier } from '../calls/calls.js';
import type { Attempt, LostDetails } from './attempt.js';
import { CLOSE_GRACE_MS, type ClosingTransports } from './closing-transports.js';
import { wasRefused, type Dialled } from './dialled.js';
import { asGatewayError, disconnected, retryAfterOf } from './failures.js';
import { CredentialWatch } from './credential-watch.js';
import type { LinkCalls } from './link-calls.js';
import { OpeningLost } from './losses.js';
import { step, type LinkEvent, type LinkPhase } from './link-state.js';

/** The longest wait before an attempt, whatever the server asks for. */
export const MAX_WAIT_MS = 300_000;
/** Random extension of a wait that the server asked for, as a fraction of it, so that replicas do not reconnect in step. */
const WAIT_JITTER = 0.1;

/** What a life reports to its link, in the order of a life. */
export interface LifecycleEvents {
  /** The handshake is done. The link is up once this resolves. */
  prepare(dialled: Dialled): Promise<void>;
  up(): void;
  /** Called after each failed attempt as well. `carrier`: what was connected. */
  down(carrier: Carrier | undefined, wasUp: boolean): void;
  /** It stays down until a reload makes a new link. */
  gaveUp(error: GatewayError): void;
  /** It stays down until somebody has logged in. */
  awaitsLogin(): void;
  /** No new calls are taken. */
  draining(): void;
  closed(): void;
}

export interface LifecycleDeps {
  readonly config: () => ServerConfig;
  readonly calls: LinkCalls;
  readonly closing: ClosingTransports;
  readonly attempt: () => Attempt;
  readonly credential: Credential | undefined;
  /** A server that refuses `initialize` is given up. */
  readonly isOptional: boolean;
  /** Whether the last line of a child's stderr may be shown in `lastError`. */
  readonly showStderr: boolean;
  readonly link: LifecycleEvents;
  /** The phase has changed. */
  readonly moved: () => void;
}

export class Lifecycle {
  readonly #deps: LifecycleDeps;
  /** Resolves when the first attempt has ended, either way; never rejects. */
  readonly settled: Promise<void>;
  /** Whether the first attempt is still to end. */
  firstConnect = true;
  /** Resolves when the attempt after a login has ended; undefined: none is running. */
  afterLogin: Promise<void> | undefined;
  lastError: string | undefined;
  /** The code of that error. */
  lastCode: ErrorCode | undefined;
  retryAfter: number | undefined;
  #phase: LinkPhase = { at: 'dialing', failures: 0, attempts: 0 };
  #carrier: Carrier | undefined;
  /** The attempt that began last. */
  #attempt: Attempt | undefined;
  readonly #closed = new AbortController();
  #settle: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Counts attempts: one that was replaced by another has no say any more. */
  #attempts = 0;
  #dialing: Promise<void> = Promise.resolve();
  /** Up at the moment, or until the failure that is being handled. */
  #wasUp = false;
  /** The failure that was logged last. */
  #logged: string | undefined;
  /** The last line of a child that has just ended. */
  #stderr = '';
  #login = 'never';
  readonly #credential: CredentialWatch | undefined;

  constructor(deps: LifecycleDeps) {
    this.#deps = deps;
    if (deps.credential) {
      const changed = deps.calls.boundary.guard('link', () => {
        this.#changed();
      });
      this.#credential = new CredentialWatch(deps.credential, changed);
    }
    this.settled = new Promise((resolve) => {
      this.#settle = () => {
        this.firstConnect = false;
        resolve();
      };
    });
  }

  get phase(): LinkPhase['at'] {
    return this.#phase.at;
  }

  /** Aborts when the link is closed. */
  get signal(): AbortSignal {
    return this.#closed.signal;
  }

  /** What is connected, also while it is being prepared; undefined: nothing is. */
  get carrier(): Carrier | undefined {
    return this.#carrier;
  }

  /** What calls are sent on; undefined: the link is not up. */
  get up(): Carrier | undefined {
    return this.#phase.at === 'up' ? this.#carrier : undefined;
  }

  /** Begins the first attempt. */
  start(): void {
    const { problem } = this.#deps.config();
    this.#deps.moved();
    if (problem === undefined) {
      this.#credential?.start();
      return this.#beginDial();
    }
    this.lastError = problem;
    this.#step({ type: 'hopeless' }, new GatewayError('upstream_disconnected', problem));
    this.#settle();
  }

  /** The connection, or the attempt to make it, failed. */
  failed(error: GatewayError, retryAfterMs?: number): void {
    // Somebody may have logged in since: then it is tried again, after the usual wait.
    const type = error.code === 'login_required' && !this.#credential?.isNew ? 'unauthorized' : 'failed';
    this.#step(error instanceof OpeningLost ? { type: 'reopen' } : { type }, error, retryAfterMs);
  }

  /** The server refuses calls until somebody has logged in. A link that was made without a login goes on without one. */
  unauthorized(error: GatewayError): void {
    if (this.#phase.at === 'up' && this.#credential?.wasShown) this.failed(error);
  }

  /** The error of a call while the link is not up. */
  get refusal(): GatewayError {
    const { server } = this.#deps.calls;
    return this.#phase.at === 'login' ? needsLogin(server, this.#login) : disconnected(server);
  }

  /** Why somebody has to log in: never, revoked, scopes, issuer_changed, unreadable; undefined: nobody has. */
  get login(): string | undefined {
    return this.#phase.at === 'login' ? this.#login : undefined;
  }

  /** The channel of a transport is gone. */
  lost(carrier: Carrier | undefined, error: GatewayError, { stderr, retryAfterMs }: LostDetails): void {
    if (carrier !== (this.#carrier ?? this.#attempt?.carrier)) return;
    this.#stderr = stderr ?? '';
    this.failed(error, retryAfterMs);
  }

  /** Takes no new calls, waits for those in flight, at the latest until `graceMs` have passed, then closes. */
  async drain(graceMs: number): Promise<void> {
    if (this.#phase.at === 'closed') return;
    this.#step({ type: 'drain' });
    clearTimeout(this.#timer);
    this.#deps.link.draining();
    await this.#deps.calls.drained(graceMs);
    await this.close();
  }

  /** Ends the session and the process in good order, within `graceMs`. */
  async close(graceMs = CLOSE_GRACE_MS): Promise<void> {
    const { closing } = this.#deps;
    const carrier = this.#carrier;
    this.#end();
    const ms = Math.min(graceMs, CLOSE_GRACE_MS);
    closing.hurry(ms);
    if (carrier) closing.close(carrier.transport, ms);
    // An attempt that is running fails now, and closes what it opened.
    await this.#dialing;
    await closing.ended();
  }

  /** Drops everything now. */
  destroy(): void {
    const carrier = this.#carrier;
    this.#deps.closing.destroy();
    this.#end();
    carrier?.transport.destroy();
  }

  #end(): void {
    const { calls, link } = this.#deps;
    this.#step({ type: 'close' });
    clearTimeout(this.#timer);
    this.#credential?.stop();
    this.#closed.abort(new Error('closed'));
    link.closed();
    this.#settle();
    this.#carrier = undefined;
    calls.observer.waited(0);
  }

  #step(event: LinkEvent, error?: GatewayError, retryAfterMs?: number): void {
    const before = this.#phase.at;
    const { next, effects } = step(this.#phase, event, this.#deps.config().reconnect.max_attempts);
    this.#phase = next;
    for (const effect of effects) {
      switch (effect.do) {
        case 'dial':
          this.#beginDial();
          break;
        case 'disconnect':
          this.#disconnected(error as GatewayError);
          break;
        case 'wait':
          this.#wait(effect.failures, retryAfterMs);
          break;
        case 'await_login':
          this.#deps.link.awaitsLogin();
          break;
        case 'give_up':
          this.#deps.link.gaveUp(error as GatewayError);
          break;
      }
    }
    if (next.at !== before && next.at === this.#phase.at && next.at !== 'closed') this.#deps.moved();
  }

  /** There is something else to show to the server. */
  #changed(): void {
    // Somebody has logged out: the session belongs to the login.
    if (this.#phase.at === 'up' && this.#credential?.isGone)
      return this.failed(needsLogin(this.#deps.calls.server, 'revoked'));
    if (this.#phase.at === 'up' && this.#credential?.isOutdated) {
      const text = `upstream '${this.#deps.calls.server}' is started again with another key`;
      this.failed(new GatewayError('upstream_disconnected', text));
    }
    if (this.#phase.at === 'waiting') {
      // The timer does it soon enough where changes bring nothing.
      if (this.#credential?.isHasty()) return;
      clearTimeout(this.#timer);
      this.#deps.calls.observer.waited(0);
    }
    const isLogin = this.#phase.at === 'login';
    this.#step({ type: 'credential' });
    if (!isLogin) return;
    const attempt = this.#dialing.then(() => {
      if (this.afterLogin === attempt) this.afterLogin = undefined;
    });
    this.afterLogin = attempt;
  }

  #beginDial(): void {
    this.#credential?.dialling();
    this.#dialing = this.#dial();
    this.#deps.calls.boundary.detach('link', this.#dialing, (error) => {
      this.failed(error);
    });
  }

  async #dial(): Promise<void> {
    const { calls, isOptional, link } = this.#deps;
    const { observer, server } = calls;
    const isAgain = this.#phase.at === 'dialing' && this.#phase.failures > 0;
    const since = performance.now();
    const number = ++this.#attempts;
    const attempt = this.#deps.attempt();
    this.#attempt = attempt;
    let isGreeted = false;
    try {
      const dialled = await attempt.connect(this.signal);
      isGreeted = true;
      observer.initialized('success', since);
      this.signal.throwIfAborted();
      this.#carrier = dialled.carrier;
      await link.prepare(dialled);
      if (isAgain) observer.reconnected('success');
      observer.checked(true);
      this.#connected(attempt);
    } catch (error) {
      const { carrier } = attempt;
      if (carrier) calls.discard(carrier);
      if (this.#carrier === carrier) this.#carrier = undefined;
      // Lost while it was being prepared: another attempt is running.
      if (this.signal.aborted || number !== this.#attempts) return;
      if (!isGreeted) observer.initialized('error', since);
      observer.reconnected('error');
      observer.checked(false);
      const failure = asGatewayError(error, server);
      if (isOptional && wasRefused(error)) this.#step({ type: 'hopeless' }, failure);
      else this.failed(failure, retryAfterOf(failure));
      // The attempt goes on with another session.
      if (failure instanceof OpeningLost && this.#phase.at === 'waiting') return;
    }
    this.#settle();
  }

  #connected({ childStamp }: Attempt): void {
    this.lastError = undefined;
    this.lastCode = undefined;
    this.retryAfter = undefined;
    this.#wasUp = true;
    this.#credential?.connected(childStamp);
    this.#step({ type: 'connected' });
    this.#settle();
    this.#deps.link.up();
    // Changed while it connected.
    if (this.#credential?.isOutdated) this.#changed();
  }

  #disconnected(error: GatewayError): void {
    const { calls, config, link, showStderr } = this.#deps;
    const { log, server } = calls;
    clearTimeout(this.#timer);
    const wasUp = this.#wasUp;
    const stderr = this.#stderr;
    const carrier = this.#carrier;
    this.#wasUp = false;
    this.#stderr = '';
    this.#carrier = undefined;
    const { message } = calls.shown(error);
    this.lastCode = error.code;
    this.lastError = stderr !== '' && showStderr ? `${message} (stderr: ${stderr})` : message;
    if (this.#phase.at === 'login') {
      this.#login = reasonOf(error);
      this.retryAfter = undefined;
      this.lastError = `needs a login: mcpstead login ${server}`;
    }
    calls.observer.down();
    const isRepeated = !wasUp && this.lastError === this.#logged;
    this.#logged = this.lastError;
    // A problem of the configuration was logged when that was read, and each further attempt fails alike.
    if (config().problem === undefined)
      log[wasUp ? 'warn' : isRepeated ? 'debug' : 'info']('upstream down', {
        server,
        error: this.#phase.at === 'login' ? this.lastError : message,
        stderr: stderr === '' ? undefined : stderr,
      });
    link.down(carrier, wasUp);
  }

  #wait(failures: number, retryAfterMs: number | undefined): void {
    if (this.#phase.at !== 'waiting') return;
    const { calls, config } = this.#deps;
    const { boundary, log, observer, server } = calls;
    const { backoff_base_ms, backoff_max_ms } = config().reconnect;
    const requested = (retryAfterMs ?? 0) * (1 + Math.random() * WAIT_JITTER);
    const backoff = backoffMs(failures, backoff_base_ms, backoff_max_ms);
    const ms = Math.min(Math.max(backoff, requested), MAX_WAIT_MS);
    this.retryAfter = retryAfterMs ? Math.ceil(retryAfterMs / 1000) : undefined;
    observer.waits(ms);
    log.debug('waiting before the next attempt', { server, ms: Math.round(ms), failures });
    const due = (): void => {
      observer.waited(ms);
      this.#step({ type: 'due' });
    };
    this.#timer = setTimeout(boundary.guard('link', due), ms);
  }
}

function reasonOf({ data }: GatewayError): string {
  const reason = (data as { reason?: unknown } | null | undefined)?.reason;
  return typeof reason === 'string' ? reason : 'never';
}
