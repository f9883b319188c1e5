/** The audit log of a gateway, if one is configured. */
import { createHmac, randomBytes } from 'node:crypto';
import type { Config } from '../config/types.js';
import type { GatewayError } from '../errors.js';
import { Audit, type Act } from '../observe/audit.js';
import type { Boundary } from '../observe/boundary.js';
import type { Calls } from '../observe/calls.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats } from '../observe/stats.js';
import type { ApprovalLine } from '../protocol/approvals.js';
import type { SignInEvent } from '../protocol/authorization-server.js';
import type { Principal } from '../protocol/ports.js';
import type { State } from '../state/open.js';

export interface OpenAuditDeps {
  readonly config: () => Config;
  readonly calls: Calls;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly stats: GatewayStats;
  readonly build: { readonly version: string };
  readonly state: () => Promise<Pick<State, 'keyFor'>>;
}

/** What the gateway itself needs of its audit log. Without one, all of this does nothing. */
export interface GatewayAudit {
  /** Why requests are refused at the moment; undefined: they are not. */
  readonly refusal: GatewayError | undefined;
  /** Why the gateway is not ready; empty: not because of the log. */
  readonly troubles: readonly string[];
  /** An operator did something, other than to pins. */
  acted(what: Act): void;
  /** The configuration was read again. `error`: it cannot be used. */
  reloaded(error?: Error): void;
  /** A definition changed, or was approved by a principal. */
  pinned(act: string, server: string, subject: string, principal: Principal | undefined): void;
  /** Somebody signed in at the gateway, was refused, or a grant has ended. */
  signIn(event: SignInEvent): void;
  /** Something happened to a call that waits for a yes. */
  approval(event: ApprovalLine): void;
  /** Writes the last lines. */
  close(): Promise<void>;
  destroy(): void;
}

/** Opens the file, and subscribes to the calls. Throws an Error if the file cannot be used. */
export function openAudit({ config, calls, build, state, ...deps }: OpenAuditDeps): GatewayAudit {
  const { audit } = config();
  if (audit.file === undefined) return NONE;
  const log = new Audit({
    ...deps,
    version: build.version,
    file: audit.file,
    config: () => config().audit,
    hmac: () => hmacBy(state, deps.log),
  });
  calls.add(log);
  return {
    get refusal() {
      return log.refusal;
    },
    get troubles() {
      const { trouble } = log;
      return trouble === undefined ? [] : [`audit log: ${trouble}`];
    },
    reloaded(error) {
      if (!error) log.reopen();
      log.acted('reload', error ? { outcome: 'error', error: error.message } : {});
    },
    pinned(act, server, subject, principal) {
      log.acted('pin', { act, server, subject, principal });
    },
    acted(what) {
      log.acted('admin', what);
    },
    signIn(event) {
      log.signIn(event);
    },
    approval(event) {
      log.approval(event);
    },
    close: () => log.close(),
    destroy() {
      log.destroy();
    },
  };
}

const NONE: GatewayAudit = {
  refusal: undefined,
  troubles: [],
  acted: () => undefined,
  reloaded: () => undefined,
  pinned: () => undefined,
  signIn: () => undefined,
  approval: () => undefined,
  close: () => Promise.resolve(),
  destroy: () => undefined,
};

/** An HMAC by a key of the state, which serves for nothing else. */
async function hmacBy(state: OpenAuditDeps['state'], log: Logger): Promise<(bytes: Buffer) => string> {
  const key = await state()
    .then((opened) => opened.keyFor('audit arguments'))
    .catch((error: unknown) => {
      log.error(
        'the state key cannot be read: the audit log hashes arguments by another one until the restart',
        {
          error: String(error),
        },
      );
      return randomBytes(32);
    });
  return (bytes) => createHmac('sha256', key).update(bytes).digest('hex');
}
