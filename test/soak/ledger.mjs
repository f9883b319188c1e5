// Accounts for every call: what it gave, and which fault excuses one that failed. Times are of performance.now().

/** What must not happen, however much is broken. */
export class Broken extends Error {
  constructor(invariant, text, details = {}) {
    super(`${invariant}: ${text}`);
    this.invariant = invariant;
    this.details = details;
  }
}

const MAX_RECENT = 2000;
/** So many times what a call takes, by the median of the last ones, is added to each time that a recovery may take. */
const SLOW_TIMES = 20;
const SLOW_CALLS = 200;

export class Ledger {
  /** All faults: {kind, servers, from, to, graceMs, calls}; `servers`: names, or null for all; `to` undefined: it lasts. */
  faults = [];
  /** By kind of operation: {ok, failed, ms: []}. */
  operations = new Map();
  /** The last calls, for who looks into what broke. */
  recent = [];
  /** Texts of errors that were excused, and how often. */
  excused = new Map();
  sessionsLost = 0;
  /** By client: {user, began, ended} of the last call that gave what it should. */
  #good = new Map();
  #broken;

  /** `broken`: called with the first Broken. */
  constructor(broken) {
    this.#broken = broken;
  }

  /**
   * A fault begins. `servers`: whose calls may fail; null: those of all. `graceMs`: how long it may take to recover after its end. `users`: of
   * which keys, and which operations, if not of all. `once`: one call of any other operation may fail with such an error. `losesSessions`:
   * whether sessions may end.
   */
  begin(kind, servers, { graceMs = 0, users, operations, once, losesSessions = false } = {}) {
    const from = performance.now();
    const whose = { kind, servers, users, operations, once };
    const fault = { ...whose, from, to: undefined, graceMs, calls: 0, losesSessions };
    this.faults.push(fault);
    return fault;
  }

  end(fault) {
    fault.to = performance.now();
  }

  /** The fault that may be the cause of what went wrong with a server in this time; undefined: there is none. */
  excuse({ operation, server, user, began, ended, error }, fits = () => true) {
    const slowMs = this.#slowMs();
    return this.faults.find(
      (fault) =>
        fits(fault) &&
        fault.from <= ended &&
        began <= (fault.to ?? Infinity) + fault.graceMs + slowMs &&
        (fault.servers === null || fault.servers.includes(server)) &&
        (fault.operations === undefined || fault.operations.includes(operation) || fault.once?.test(error)) &&
        (fault.users === undefined || fault.users.includes(user)),
    );
  }

  /** How much longer all takes on a machine that has too much to do: nothing to speak of while a call takes some milliseconds. */
  #slowMs() {
    const took = this.recent
      .filter(({ operation, error }) => operation === 'call' && error === undefined)
      .slice(-SLOW_CALLS)
      .map(({ began, ended }) => ended - began);
    return took.length === 0 ? 0 : SLOW_TIMES * quantile(took, 0.5);
  }

  /** A call is over: {operation, client, user, server, began, ended, error, lost}. `lost`: the client was told that it has no session. `error` undefined: it gave what it should. */
  over(call) {
    const { operation, client, user, server, began, ended, error, lost } = call;
    let row = this.operations.get(operation);
    if (!row) this.operations.set(operation, (row = { ok: 0, failed: 0, ms: [] }));
    this.recent.push({ ...call, error: error && String(error.message ?? error).slice(0, 500) });
    if (this.recent.length > MAX_RECENT) this.recent.shift();
    if (!error) {
      // A call that its client cancels has no answer, whether there is a session or not.
      if (operation !== 'cancel') this.#good.set(client, { user, began, ended });
      row.ok++;
      row.ms.push(ended - began);
      if (row.ms.length > 20_000) row.ms.splice(0, 10_000);
      return;
    }
    if (error instanceof Broken) return this.broken(error);
    row.failed++;
    const text = String(error.message ?? error);
    // A session may have ended long before its client notices.
    const since = { ...call, server: null, began: this.#good.get(client)?.ended ?? began };
    if (lost) this.sessionsLost++;
    const fault = lost ? this.excuse(since, ({ losesSessions }) => losesSessions) : this.excuse(call);
    if (lost && !fault)
      return this.broken(new Broken('no session is lost', `${client} was told that it has none`, { since }));
    if (!fault) {
      const what = `${operation} of ${server} failed, and no fault explains it: ${text.slice(0, 300)}`;
      return this.broken(new Broken('every failed call has a cause', what, { call: this.recent.at(-1) }));
    }
    fault.calls++;
    if (fault.once?.test(text)) fault.once = undefined;
    const known = `${fault.kind}: ${shortened(text)}`;
    if (this.excused.size < 500 || this.excused.has(known))
      this.excused.set(known, (this.excused.get(known) ?? 0) + 1);
  }

  /** Whether all clients, or all of a user, have asked something, and got it, since then. */
  haveAsked(since, user) {
    return [...this.#good.values()].every(
      (each) => (user !== undefined && each.user !== user) || each.began >= since,
    );
  }

  /** Other clients come. */
  forgetClients() {
    this.#good.clear();
  }

  broken(error) {
    this.#broken(error);
  }
}

/** Without what differs from call to call. */
function shortened(text) {
  return text
    .replace(/[0-9a-f-]{16,}/g, '#')
    .replace(/\d+/g, 'N')
    .slice(0, 120);
}

/** A figure of sorted numbers: 0.5, 0.99. */
export function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
