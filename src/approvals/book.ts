/** The records of calls that wait for a yes: finds and makes them, and takes votes. */
import { GatewayError } from '../errors.js';
import { compileGlobs } from '../lib/glob.js';
import type {
  Approvals,
  ApprovalView,
  Asked,
  HeldCall,
  ListedApproval,
  Round,
  SeenApproval,
  Vote,
  Voter,
  VoteProblem,
} from '../protocol/approvals.js';
import { MACHINE, personOf, type Principal } from '../protocol/principal.js';
import { MANY_NOES, NOES_MS } from './bounds.js';
import { JoinedCall, type CallDeps } from './call.js';
import { readParams, Unclear, type Params } from './canonical.js';
import { changedSince, Desk, digestsOf, type ApprovalBookDeps } from './desk.js';
import { Ballots } from './ballots.js';
import { areMet, isLive, isRound, standingOf, type ApprovalRecord, type EntryRecord } from './record.js';
import { Unavailable, type Repeat, type Texts } from './records.js';
import { changesBetween, showParams, type Shown } from './shown.js';
import { mayVote, sees } from './voters.js';
import { deniedError, noRoundError, refusedError, tiredError, unavailableError } from './words.js';

/** How often another process is given time to write what a server has asked for. */
const ROUND_LOOKS = 3;
const ROUND_LOOK_MS = 1000;
/** How often a record is looked for while others make and end it. */
const MAX_TRIES = 8;
/** Characters of what is shown in a list. */
const MAX_LISTED = 8 * 1024 * 1024;
const NOTHING_SHOWN: Texts = { shown: '', ignored: undefined, changes: undefined };

type Admit = () => GatewayError | undefined | Promise<GatewayError | undefined>;

/** A call with what is known of it. */
interface Candidate {
  readonly call: HeldCall;
  readonly params: Params;
  readonly key: string;
  /** Of the tool, for this principal. */
  readonly toolKey: string;
}

export class ApprovalBook implements Approvals {
  readonly #deps: ApprovalBookDeps;
  readonly #desk: Desk;
  readonly #ballots: Ballots;
  readonly #callDeps: CallDeps;

  constructor(deps: ApprovalBookDeps) {
    this.#deps = deps;
    this.#desk = new Desk(deps);
    this.#ballots = new Ballots(this.#desk);
    this.#callDeps = {
      desk: this.#desk,
      keyOf: async (call) => {
        const found = await this.#identify(call);
        return found instanceof GatewayError ? undefined : found.key;
      },
      answer: (record, yes) => this.#ballots.answer(record, yes),
      sent: (record, call) => {
        this.#desk.inBackground(this.#keepLast(record, call));
      },
    };
  }

  async ask(call: HeldCall, round?: Round, admit?: Admit): Promise<Asked | GatewayError> {
    try {
      const nobody = refusalOfNobody(call);
      if (nobody) return nobody;
      const found = await this.#identify(call);
      if (found instanceof GatewayError) return found;
      return round ? await this.#continue(found, round) : await this.#find(found, admit);
    } catch (error) {
      if (error instanceof Unavailable) return unavailableError();
      return this.#deps.boundary.caught('detached', error);
    }
  }

  async #identify(call: HeldCall): Promise<Candidate | GatewayError> {
    const { principal, server, tool, passed = null } = call;
    // Who makes a call for somebody else from now on does not have the yes that the first one was given.
    const person = personOf(principal) ?? null;
    const params = readParams(call.params, compileGlobs(this.#deps.config().ignoreMeta));
    if (params instanceof Unclear) return unclear(call, params);
    const key = await this.#desk.name('call', principal.id, person, server, tool, params.digest, passed);
    return { call, params, key, toolKey: await this.#desk.name('tool', principal.id, server, tool) };
  }

  /** A later round of a call that was sent passes if its server has asked for it. */
  async #continue({ call, key }: Candidate, round: Round): Promise<Asked | GatewayError> {
    for (let looks = 0; ; looks++) {
      const record = await this.#desk.look(key);
      if (record && isRound(record, round, this.#deps.now())) {
        const reason = this.#changed(record, call);
        if (reason) return refusedError(record, reason);
        return await this.#join(record, undefined, round);
      }
      const mayCome = record?.state === 'sent' && record.isAnswered !== true && looks < ROUND_LOOKS;
      if (!mayCome) return noRoundError();
      await this.#desk.pause(ROUND_LOOK_MS);
    }
  }

  async #find(found: Candidate, admit: Admit | undefined): Promise<Asked | GatewayError> {
    const { call, key } = found;
    const admits = once(admit);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const record = await this.#desk.look(key);
      const reason = record && isLive(record) ? this.#changed(record, call) : undefined;
      if (record && reason) await this.#desk.step(key, record.id, { kind: 'void', reason });
      else if (record && isKeptNo(record, this.#deps.now())) return refusedError(record);
      else if (record?.state === 'approved') return await this.#join(record);
      const tired = await this.#tired(found);
      if (tired) return tired;
      if (record?.state === 'open' && !reason) return await this.#join(record);
      const made = await this.#make(found, admits);
      if (made) return made;
    }
    throw new Unavailable('others make and end this record all the time');
  }

  #changed(record: ApprovalRecord, call: HeldCall): ReturnType<typeof changedSince> {
    return changedSince({ ...record, entries: digestsOf(record) }, call, this.#deps.entryOf);
  }

  async #tired({ call, toolKey }: Candidate): Promise<GatewayError | undefined> {
    const noes = await this.#desk.records.noes(toolKey);
    const [first, last] = [noes.at(-MANY_NOES), noes.at(-1)];
    if (!first || !last || last.at - first.at > NOES_MS) return undefined;
    const until = last.at + NOES_MS;
    return this.#deps.now() < until ? tiredError(call.tool, last.id, until) : undefined;
  }

  /** undefined: another process has made one meanwhile. */
  async #make(found: Candidate, admits: Admit): Promise<Asked | GatewayError | undefined> {
    const { call, params, toolKey } = found;
    const texts = showParams(params, this.#deps.redact(), await this.#desk.hmacKey());
    if (texts instanceof Unclear) return unclear(call, texts);
    const last = await this.#desk.records.last(toolKey);
    const changes = last === undefined ? undefined : changesBetween(last, texts.shown);
    await this.#desk.survey();
    const place = this.#desk.bounds.reserve(call.principal.id, this.#deps.config());
    if (place instanceof GatewayError) return place;
    try {
      const refused = await admits();
      if (refused) return refused;
      const { record, repeat } = await this.#recordOf(found);
      return await this.#store(record, { ...texts, changes }, repeat !== undefined);
    } finally {
      place();
    }
  }

  async #store(record: ApprovalRecord, texts: Texts & Shown, isRepeat: boolean): Promise<Asked | undefined> {
    const { key, id } = record;
    const { records } = this.#desk;
    const { now, config } = this.#deps;
    await records.keepTexts(id, texts, record.expires - record.created + config().useMs);
    const isMade = await records.change(key, (old) => {
      const isTaken = old && (isLive(old) || isKeptNo(old, now()));
      return { value: isTaken ? undefined : record, result: !isTaken };
    });
    if (!isMade) {
      this.#desk.inBackground(records.dropTexts(id));
      return undefined;
    }
    this.#desk.made(record, isRepeat ? undefined : texts.shown);
    return this.#joined(record, texts);
  }

  async #recordOf({ call, params, key }: Candidate): Promise<{
    readonly record: ApprovalRecord;
    readonly repeat: Repeat | undefined;
  }> {
    const { now, config } = this.#deps;
    const { principal, client, server, tool, definition, passed = null } = call;
    const created = now();
    const entries = entriesOf(call);
    const of = [principal.id, personOf(principal) ?? null, server, tool, passed];
    const repeats = [
      await this.#desk.name('arguments', ...of, params.digest),
      await this.#desk.name('tool', ...of),
    ] as const;
    const record: ApprovalRecord = {
      id: this.#desk.newId(key),
      key,
      principal: principal.id,
      name: principal.name,
      person: personOf(principal),
      client,
      server,
      tool,
      digest: params.digest,
      definition,
      config: call.config,
      login: call.login ?? undefined,
      entries,
      asksClient: call.entries.every(({ by, confirm }) => by !== 'caller' || confirm === 'client'),
      created,
      expires: created + Math.min(...call.entries.map(({ expiresMs }) => expiresMs)),
      votes: [],
      state: 'open',
      repeats,
    };
    for (const name of repeats) {
      const repeat = await this.#desk.records.useRepeat(name, (each) => this.#covers(each, call, entries));
      if (!repeat) continue;
      const until = Math.min(created + config().useMs, repeat.until);
      const wide = { from: repeat.id, wideUntil: repeat.until };
      return { record: { ...record, ...wide, state: 'approved', votes: repeat.votes, until }, repeat };
    }
    return { record, repeat: undefined };
  }

  /** Whether a yes for further calls still is one for this call. */
  #covers(repeat: Repeat, call: HeldCall, entries: readonly EntryRecord[]): boolean {
    const { stands, entryOf } = this.#deps;
    if (changedSince(repeat, call, entryOf)) return false;
    // Votes name entries by their places.
    if (entries.some(({ digest }, at) => repeat.entries[at] !== digest)) return false;
    const { votes } = repeat;
    return standingOf({ entries, votes }, stands).length === votes.length && areMet(entries, votes);
  }

  async #join(record: ApprovalRecord, texts?: Texts, round?: Round): Promise<Asked> {
    const read = texts ?? (await this.#desk.records.texts(record.id));
    // Nobody can say yes to what he cannot see.
    if (!read && record.state === 'open') throw new Unavailable('the text of a record is missing');
    return this.#joined(record, read ?? { shown: '' }, round);
  }

  #joined(record: ApprovalRecord, texts: Texts, round?: Round): Asked {
    return new JoinedCall(this.#callDeps, record, this.#desk.view(record, texts), round);
  }

  async #keepLast(record: ApprovalRecord, call: HeldCall): Promise<void> {
    const texts = await this.#desk.records.texts(record.id);
    const { principal, server, tool } = call;
    if (texts)
      await this.#desk.records.keepLast(
        await this.#desk.name('tool', principal.id, server, tool),
        texts.shown,
      );
  }

  async vote(id: string, voter: Voter, vote: Vote): Promise<ApprovalView | VoteProblem> {
    return await this.#ballots.vote(id, voter, vote);
  }

  async withdraw(id: string, voter: Voter): Promise<ApprovalView | VoteProblem> {
    return await this.#ballots.withdraw(id, voter);
  }

  async list(reader: Principal, all = false): Promise<readonly ListedApproval[]> {
    const records = (await this.#desk.all()).filter(
      (record) => all || sees(record, reader, this.#deps.entryOf),
    );
    records.sort((a, b) => a.created - b.created);
    const views = new Map<ApprovalRecord, ListedApproval>();
    let left = MAX_LISTED;
    // Nobody makes so many calls that others are not seen.
    for (const record of [...records.filter(isLive), ...records.filter((each) => !isLive(each))]) {
      const whole = await this.#seen(record, reader);
      const isShort = sizeOf(whole) > left;
      const view = { ...(isShort ? { ...whole, ...NOTHING_SHOWN } : whole), isShort };
      left -= sizeOf(view);
      if (left >= 0 || isLive(record)) views.set(record, view);
    }
    return records.flatMap((record) => views.get(record) ?? []);
  }

  async see(id: string, reader: Principal, all = false): Promise<SeenApproval | undefined> {
    const record = await this.#desk.find(id);
    if (!record || (!all && !sees(record, reader, this.#deps.entryOf))) return undefined;
    return await this.#seen(record, reader);
  }

  async find(id: string): Promise<ApprovalView | undefined> {
    const record = await this.#desk.find(id);
    return record && this.#desk.view(record, (await this.#desk.records.texts(id)) ?? NOTHING_SHOWN);
  }

  async #seen(record: ApprovalRecord, reader: Principal): Promise<SeenApproval> {
    const texts = (await this.#desk.records.texts(record.id)) ?? NOTHING_SHOWN;
    return { ...this.#desk.view(record, texts), mayVote: mayVote(record, reader, this.#deps.entryOf) };
  }

  /** For metrics: how many are open and for how long, as of the last look, and how many calls of this process wait. */
  figures(): { readonly open: number; readonly waiting: number; readonly oldestMs: number } {
    return {
      ...this.#desk.bounds.figures(),
      waiting: this.#desk.waits.keys.filter((key) => key !== '').length,
    };
  }

  /** Resolves once what has happened so far is stored, such as a yes that is given back: for the end of the process. Never rejects. */
  async idle(): Promise<void> {
    await this.#desk.idle();
  }

  close(): void {
    this.#desk.close();
  }
}

/** In characters, about. */
function sizeOf(view: ApprovalView): number {
  return JSON.stringify(view).length;
}

/** Under a list the caller has to be somebody who can be told from those who vote. */
function refusalOfNobody({ principal, entries }: HeldCall): GatewayError | undefined {
  const list = entries.find(({ by }) => by !== 'caller');
  if (!list || principal.owner === MACHINE || personOf(principal) !== undefined) return undefined;
  return deniedError(
    list.rule,
    `it needs the yes of others, and nobody is known to be behind '${principal.name}': its key needs an owner`,
  );
}

function unclear({ entries }: HeldCall, { why }: Unclear): GatewayError {
  return deniedError(entries[0]?.rule ?? '', `the call has ${why}`);
}

/** Each entry once. */
function entriesOf({ entries }: HeldCall): readonly EntryRecord[] {
  const byDigest = new Map(entries.map((entry) => [entry.digest, entry]));
  return [...byDigest.values()].map(({ rule, digest, by, need, repeat }) => ({
    rule,
    digest,
    label: by === 'caller' ? null : by.label,
    need: by === 'caller' ? 1 : need,
    repeat,
  }));
}

function isKeptNo({ state, until = 0 }: ApprovalRecord, now: number): boolean {
  return state === 'denied' && now < until;
}

/** A call counts once for its limits, however often a record is tried. */
function once(admit: Admit = () => undefined): Admit {
  let answer: ReturnType<Admit> | undefined;
  let isAsked = false;
  return () => {
    if (!isAsked) answer = admit();
    isAsked = true;
    return answer;
  };
}
