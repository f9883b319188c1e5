/**
 * The audit log: a line of JSON for each call that has ended, refused credential, act of an operator, reload and pin. docs/audit.md
 * describes the lines.
 */
import type { Config } from '../config/types.js';
import { GatewayError } from '../errors.js';
import type { ApprovalLine } from '../protocol/approvals.js';
import type { SignInEvent } from '../protocol/authorization-server.js';
import type { Principal } from '../protocol/ports.js';
import { AuditFile, type Text } from './audit/file.js';
import { CallMembers, type Arguments } from './audit/calls.js';
import { keptArguments, Members } from './audit/record.js';
import type { Boundary } from './boundary.js';
import type { CallObserver, EndedCall, RefusedCredential } from './calls.js';
import type { Logger } from './log.js';

/** How often the head of the chain goes to the log. */
const HEAD_MS = 600_000;
/** Refused credentials that get a line of their own in a second; the others are counted. */
const REFUSED_A_SECOND = 10;
const SECOND_MS = 1000;
/** Arguments that may wait for the key; lines beyond are written without them. */
const WAITING_BYTES = 8 * 1024 * 1024;

export interface AuditDeps {
  /** An absolute path. */
  readonly file: string;
  /** The current configuration; `file` is not read again. */
  readonly config: () => Omit<Config['audit'], 'file'>;
  /** An HMAC in hexadecimal digits, by a key that outlives the process. Asked for once, if arguments are hashed. Never rejects. */
  readonly hmac: () => Promise<(bytes: Buffer) => string>;
  readonly log: Logger;
  readonly boundary: Boundary;
  /** Lost lines are counted here. */
  readonly stats: { auditDropped: number };
  readonly version: string;
}

/** Something other than a call. */
export interface Act {
  /** What was done: `keys.create`. */
  readonly act?: string | undefined;
  /** What it was done to: the name of a key, a tool. */
  readonly subject?: string | undefined;
  readonly server?: string | undefined;
  readonly principal?: Principal | undefined;
  readonly address?: string | undefined;
  readonly outcome?: 'ok' | 'error' | undefined;
  /** What went wrong. It must not contain a secret. */
  readonly error?: string | undefined;
}

export class Audit implements CallObserver {
  readonly detailed = true;
  readonly #deps: AuditDeps;
  readonly #file: AuditFile;
  readonly #timer: NodeJS.Timeout;
  readonly #callMembers = new CallMembers();
  readonly #refusal = new GatewayError('unavailable', 'the audit log of the gateway cannot be written');
  /** Lines that were lost and are not reported in the log yet. */
  #lost = 0;
  /** Calls that were refused because of `block`, and are not reported in the log yet. */
  #stopped = 0;
  /** The last head in the log. */
  #shown = 0;
  #since = -Infinity;
  #refused = 0;
  #more: { readonly timer: NodeJS.Timeout; count: number } | undefined;
  #over = false;
  #hmac: ((bytes: Buffer) => string) | undefined;
  #loading: Promise<void> | undefined;
  /** Calls whose arguments wait for the key. */
  #waiting: { readonly members: string; readonly bytes: Buffer }[] = [];
  #waitingBytes = 0;
  #redact: { readonly of: readonly string[]; readonly names: ReadonlySet<string> } | undefined;

  /** Throws an Error if the file cannot be used. */
  constructor(deps: AuditDeps) {
    this.#deps = deps;
    const { file, log, boundary } = deps;
    this.#file = new AuditFile({
      path: file,
      limits: deps.config,
      boundary,
      failed: ({ message }) => {
        const { on_full } = deps.config();
        const effect = on_full === 'block' ? 'calls are refused until it can' : 'lines may get lost';
        log.error(`the audit log cannot be written: ${effect}`, { file, error: message });
      },
      recovered: () => {
        log.info('the audit log can be written again', { file });
        this.#reportGap();
      },
      warn: (text, { message }) => {
        log.warn(text, { file, error: message });
      },
    });
    const { clean, torn } = this.#file.found;
    if (!clean) {
      log.warn('the gateway did not stop cleanly: the audit log may lack its last lines', { file });
      this.#write(Members.event('unclean_end').text('torn', torn));
    }
    this.#write(Members.event('start').text('version', deps.version));
    const showHead = boundary.guard('timer', () => {
      this.#showHead();
    });
    this.#timer = setInterval(showHead, HEAD_MS).unref();
    if (deps.config().arguments === 'hash') this.#load();
  }

  /** Why calls are refused at the moment; undefined: they are not. */
  get refusal(): GatewayError | undefined {
    return this.#deps.config().on_full === 'block' && this.#file.trouble !== undefined
      ? this.#refusal
      : undefined;
  }

  /** Why the gateway is not ready; undefined: that is not because of this. */
  get trouble(): string | undefined {
    return this.#deps.config().on_full === 'block' ? this.#file.trouble : undefined;
  }

  over(call: EndedCall): void {
    const { details, method } = call;
    if (!details || method === 'ping') return;
    if (details.error === this.#refusal) this.#stopped++;
    else if (this.#deps.config().arguments === 'hash' && !this.#hmac && method === 'tools/call')
      this.#wait(String(this.#callMembers.of(call, details, undefined)), details.argumentBytes());
    else this.#write(this.#callMembers.of(call, details, this.#arguments()));
  }

  refused({ reason, address, route }: RefusedCredential): void {
    if (reason === 'missing_header') return;
    const now = performance.now();
    if (now - this.#since >= SECOND_MS) {
      this.#since = now;
      this.#refused = 0;
    }
    if (++this.#refused > REFUSED_A_SECOND) {
      this.#count(SECOND_MS - (now - this.#since));
      return;
    }
    this.#write(
      Members.event('refused')
        .text('route', route)
        .text('client.address', address)
        .text('error.type', reason),
    );
  }

  /** An act of an operator, a reload, or a change of a pin. */
  acted(event: 'admin' | 'reload' | 'pin', what: Act): void {
    this.#write(
      Members.event(event)
        .text('act', what.act)
        .text('subject', what.subject)
        .text('mcpstead.server', what.server)
        .principal(what.principal)
        .text('client.address', what.address)
        .text('outcome', what.outcome ?? 'ok')
        .text('error', what.error),
    );
  }

  /** Somebody signed in at the gateway, was refused, or a grant has ended. */
  signIn({ event, principal, client, host, grant, reason, address }: SignInEvent): void {
    this.#write(
      Members.event(event)
        .text('user.id', principal)
        .text('client', client)
        .text('host', host)
        .text('grant', grant)
        .text('reason', reason)
        .text('client.address', address),
    );
  }

  /** Something happened to a call that waits for a yes. */
  approval({
    event,
    id,
    principal,
    server,
    tool,
    rule,
    digest,
    by,
    decision,
    note,
    reason,
  }: ApprovalLine): void {
    this.#write(
      Members.event(`approval_${event}`)
        .text('approval', id)
        .text('user.id', principal)
        .text('mcpstead.server', server)
        .text('gen_ai.tool.name', tool)
        .text('rule', rule)
        .text('digest', digest)
        .text('by', by)
        .text('decision', decision)
        .text('note', note)
        .text('reason', reason),
    );
  }

  /** Opens the file anew: it may have been moved away. */
  reopen(): void {
    this.#file.reopen();
  }

  /** Writes all lines, for at most five seconds. */
  async close(): Promise<void> {
    await this.#loading;
    this.#stop();
    await this.#file.close();
    this.#showHead();
  }

  destroy(): void {
    this.#stop();
    this.#file.destroy();
  }

  #stop(): void {
    if (this.#over) return;
    clearInterval(this.#timer);
    this.#release(undefined);
    this.#reportMore();
    this.#reportGap();
    this.#write(Members.event('stop'));
    this.#over = true;
  }

  #load(): void {
    if (this.#loading) return;
    this.#loading = this.#deps.hmac().then((hmac) => {
      this.#hmac = hmac;
      this.#release(hmac);
    });
    this.#deps.boundary.detach('detached', this.#loading);
  }

  /** Writes a line once its arguments can be hashed. */
  #wait(members: string, bytes: Buffer | undefined): void {
    this.#load();
    if (!bytes || this.#waitingBytes + bytes.length > WAITING_BYTES) return this.#write(members);
    this.#waitingBytes += bytes.length;
    // A copy: the rest of the request is not kept.
    this.#waiting.push({ members, bytes: Buffer.from(bytes) });
  }

  #release(hmac: ((bytes: Buffer) => string) | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const { members, bytes } of waiting)
      this.#write(hmac ? `${members},"args":"${hmac(bytes)}"` : members);
  }

  #write(members: Text): void {
    const { config, stats } = this.#deps;
    if (this.#over) return;
    if (this.#lost > 0 || (this.#stopped > 0 && this.#file.trouble === undefined)) this.#reportGap();
    if (this.#file.append(members, config().on_full === 'block' ? 'hard' : 'soft')) return;
    stats.auditDropped++;
    this.#lost++;
  }

  /** A line about calls that have none. */
  #reportGap(): void {
    if (this.#lost === 0 && this.#stopped === 0) return;
    const members = Members.event('gap').number('lost', this.#lost).number('refused', this.#stopped);
    if (!this.#file.append(members, 'soft')) return;
    this.#lost = 0;
    this.#stopped = 0;
  }

  /** Counts a refused credential; its line comes when the second is over. */
  #count(ms: number): void {
    const report = this.#deps.boundary.guard('timer', () => {
      this.#reportMore();
    });
    this.#more ??= { timer: setTimeout(report, ms).unref(), count: 0 };
    this.#more.count++;
  }

  #reportMore(): void {
    if (!this.#more) return;
    const { timer, count } = this.#more;
    clearTimeout(timer);
    this.#more = undefined;
    this.#write(Members.event('refused').number('count', count));
  }

  #showHead(): void {
    const { seq, hash } = this.#file.head;
    if (seq === this.#shown) return;
    this.#shown = seq;
    this.#deps.log.info('head of the audit log', { file: this.#deps.file, seq, head: hash });
  }

  #arguments(): Arguments | undefined {
    const { arguments: kept, redact } = this.#deps.config();
    if (kept === 'none') return undefined;
    const hmac = this.#hmac;
    if (kept === 'hash') return hmac && ((bytes) => `"${hmac(bytes)}"`);
    if (this.#redact?.of !== redact)
      this.#redact = { of: redact, names: new Set(redact.map((name) => name.toLowerCase())) };
    const { names } = this.#redact;
    return (bytes) => keptArguments(bytes, names);
  }
}
