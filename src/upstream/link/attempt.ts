/**
 * One attempt to connect to a server, and the events of the transports that it opened. Once an attempt was replaced by another, its
 * events concern its own calls alone.
 */
import type { HttpServerConfig, ServerConfig } from '../../config/types.js';
import type { GatewayError } from '../../errors.js';
import type { Slots } from '../../lib/slots.js';
import type { Credential } from '../../protocol/credential.js';
import type { Carrier, Transport, TransportEvents, UpstreamCall } from '../calls/calls.js';
import type { ChildLease } from '../../protocol/child-lease.js';
import type { PeerLink } from '../../protocol/peer-clients.js';
import type { Watcher } from '../stdio/watcher.js';
import type { ClosingTransports } from './closing-transports.js';
import { dialHttp, probeAgain } from './dial-http.js';
import { credentialReady } from './credential-ready.js';
import { dialStdio } from './dial-stdio.js';
import type { DialDeps, Dialled } from './dialled.js';
import type { EraWatch } from './era-watch.js';
import type { Losses } from './losses.js';
import type { LinkCalls } from './link-calls.js';
import type { OwnRequests } from './own-requests.js';
import type { Verdict } from './probe.js';

/** What an attempt reports to its link. */
export interface AttemptEvents {
  /** Whether the link is up, on this carrier. */
  isCurrent(carrier: Carrier | undefined): boolean;
  /** The server sent something. */
  seen(): void;
  /** The lists may have changed. */
  listChanged(): void;
  /** The server may be gone: check now. */
  doubtHealth(): void;
  /** The server does not answer as one of its era does. */
  doubtEra(): void;
  /** A request was refused, and only a login of a person gives something else to show. */
  unauthorized(error: GatewayError): void;
  /** The server turned out to be a modern one after it had been dialled as a legacy one. */
  outgrown(): void;
  /** The handshake turned out to have failed after it had resolved. */
  failedLate(carrier: Carrier, error: GatewayError): void;
  /** The channel of the transport is gone. `stderr`: the last line of a child. */
  lost(carrier: Carrier | undefined, error: GatewayError, more: LostDetails): void;
}

export interface LostDetails {
  readonly retryAfterMs?: number | undefined;
  readonly stderr?: string;
}

export interface AttemptDeps {
  readonly config: () => ServerConfig;
  /** What is shown to a server over HTTP, or what a child gets in its environment; undefined: what the configuration has. */
  readonly credential: Credential | undefined;
  /** See PeerLink. */
  readonly connect?: PeerLink['connect'] | undefined;
  /** See StdioDeps. */
  readonly lease?: ChildLease | undefined;
  readonly calls: LinkCalls;
  readonly own: OwnRequests;
  readonly losses: Losses;
  readonly era: EraWatch;
  readonly closing: ClosingTransports;
  readonly starts: Slots;
  readonly watcher: Watcher;
  readonly clientInfo: { readonly name: string; readonly version: string };
  /** The client capabilities that a legacy server is told at `initialize`. */
  readonly capabilities: () => object;
  readonly link: AttemptEvents;
}

export class Attempt implements TransportEvents {
  readonly #deps: AttemptDeps;
  /** The transport that was opened last. */
  #carrier: Carrier | undefined;
  /** `stamp` of the credential that a child process was started with; undefined: there is none. */
  childStamp: number | undefined;

  constructor(deps: AttemptDeps) {
    this.#deps = deps;
  }

  get carrier(): Carrier | undefined {
    return this.#carrier;
  }

  /**
   * Connects, up to and including the handshake. Rejects with a GatewayError, or with the reason of `signal`; what it opened is closed
   * then.
   */
  async connect(signal: AbortSignal): Promise<Dialled> {
    const { calls, closing, credential } = this.#deps;
    calls.order = { seen: 'unknown' };
    // The process before may hold what this one needs: a port, a file.
    if (this.#deps.config().kind === 'stdio') await closing.ended();
    if (credential) await credentialReady(credential, calls.server, signal);
    const config = this.#deps.config();
    const deps = this.#dialDeps();
    if (config.kind === 'stdio') this.childStamp = credential?.stamp;
    return config.kind === 'stdio' ? dialStdio(config, deps, signal) : dialHttp(config, deps, signal);
  }

  /** Asks a server for its era once more, beside the connection that is up. */
  probe(): Promise<Verdict> {
    return probeAgain(this.#deps.config() as HttpServerConfig, this.#dialDeps());
  }

  #dialDeps(): DialDeps {
    const { calls, credential, own, losses, era, closing, starts, watcher, clientInfo, capabilities, link } =
      this.#deps;
    return {
      owner: calls,
      credential,
      connect: this.#deps.connect,
      lease: this.#deps.lease,
      events: this,
      starts,
      watcher,
      opened: (transport: Transport, modern?: string) => {
        this.#carrier = { transport, calls: 0, retired: false, modern, probing: false };
        return this.#carrier;
      },
      own,
      clientInfo,
      capabilities: capabilities(),
      known: era.known,
      patience: era.patience,
      late: () => {
        era.late();
        if (link.isCurrent(this.#carrier)) link.outgrown();
      },
      losses,
      failedLate: (carrier, error) => {
        link.failedLate(carrier, error);
      },
      close: (transport) => {
        closing.close(transport);
      },
    };
  }

  // TransportEvents

  message(bytes: Buffer): void {
    this.#deps.calls.shared(bytes, this.#carrier);
  }

  callFor(id: number): UpstreamCall | undefined {
    return this.#deps.calls.table.get(id);
  }

  seen(): void {
    this.#deps.link.seen();
  }

  reopened(): void {
    const { link } = this.#deps;
    if (link.isCurrent(this.#carrier)) link.listChanged();
  }

  doubt(): void {
    const { link } = this.#deps;
    if (link.isCurrent(this.#carrier)) link.doubtHealth();
  }

  wrongEra(): void {
    const { link } = this.#deps;
    if (link.isCurrent(this.#carrier)) link.doubtEra();
  }

  unauthorized(error: GatewayError): void {
    const { link } = this.#deps;
    if (link.isCurrent(this.#carrier)) link.unauthorized(error);
  }

  lost(error: GatewayError, more: LostDetails = {}): void {
    const carrier = this.#carrier;
    if (carrier) this.#deps.calls.fail(error, carrier);
    // The dial goes on in another way, with another process or transport.
    if (!carrier?.probing) this.#deps.link.lost(carrier, error, more);
  }
}
