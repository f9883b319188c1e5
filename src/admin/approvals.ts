/** The routes of the admin API for calls that wait for a yes. Who votes is narrower than who operates. */
import type { GatewayError } from '../errors.js';
import type { ApprovalView, ListedApproval, Voter, VoteProblem } from '../protocol/approvals.js';
import { personOf, type Principal } from '../protocol/principal.js';
import * as schemas from './approval-schemas.js';
import { Refused, route, type Asked, type RouteSpec } from './route.js';
import type { ApprovalActions } from './source.js';

const WHO = 'For those who vote, the caller himself and operators; viewers see no arguments.';

export const APPROVALS: readonly RouteSpec[] = [
  route({
    method: 'GET',
    path: 'approvals',
    who: 'self',
    summary: `The calls that wait for a yes, and those that did lately, the oldest first. ${WHO}`,
    answer: schemas.ApprovalList,
    async serve(asked) {
      if (!asked.source.approvals.isOn) return { approvals: [], holds: false };
      return { approvals: (await shownTo(asked)).map(({ row }) => row), holds: true };
    },
  }),
  route({
    method: 'GET',
    path: 'approvals/{id}',
    who: 'self',
    summary: `One of them. ${WHO}`,
    answer: schemas.Approval,
    serve: async (asked) => (await shown(asked)).row,
  }),
  route({
    method: 'POST',
    path: 'approvals/{id}',
    who: 'self',
    summary:
      'Votes. For those whom the rule names, by the sign-in of the console or a key with `approver: true`; operators may deny.',
    body: schemas.ApprovalVote,
    answer: schemas.Approval,
    async serve(asked) {
      const { view } = await shown(asked);
      const { decision, digest, note, repeat } = asked.body;
      const vote = { yes: decision === 'approve', digest, note, repeat };
      const voter = voterOf(asked);
      if (!vote.yes && isProgram(asked, voter)) return voted(asked, 'not_approver');
      let done = await present(asked).vote(view.id, voter, vote);
      // An operator may always stop a call.
      if (typeof done === 'string' && !vote.yes && isOperator(asked))
        done = await present(asked).vote(view.id, { ...voter, way: 'operator' }, vote);
      return voted(asked, done);
    },
  }),
  route({
    method: 'DELETE',
    path: 'approvals/{id}',
    who: 'self',
    summary: 'Takes back a yes that was not used. For those who gave it, and operators.',
    answer: schemas.Approval,
    async serve(asked) {
      const { view } = await shown(asked);
      const voter = voterOf(asked);
      if (isProgram(asked, voter)) return voted(asked, 'not_approver');
      let done = await present(asked).withdraw(view.id, voter);
      if (typeof done === 'string' && isOperator(asked))
        done = await present(asked).withdraw(view.id, { ...voter, way: 'operator' });
      return voted(asked, done);
    },
  }),
];

type By = Pick<Asked<unknown, unknown>, 'source' | 'asker' | 'path' | 'params'>;

function present({ source }: By): ApprovalActions {
  if (source.approvals.isOn) return source.approvals;
  throw new Refused('not_found', 'no call waits for a yes here: no rule of the policy has hold', {
    action: 'write hold: [...] into a rule: docs/approvals.md',
  });
}

function isOperator({ source, asker, path }: By): boolean {
  return source.permits(asker.principal, 'operator', path);
}

/** Whether somebody has neither shown a person nor operates the gateway: he sees calls at most, whatever he decides. */
function isProgram(by: By, { way }: Voter): boolean {
  return way === 'operator' && !isOperator(by);
}

function voterOf(by: By): Voter {
  const { principal } = by.asker;
  return { principal, way: wayOf(by, principal) };
}

/** What votes of the console key are recorded as. */
const CONSOLE = 'console';

/** How somebody has shown who he is. Everything but a sign-in, and a key for votes, shows a program. */
function wayOf(by: By, { kind, grant, approves }: Principal): Voter['way'] {
  if (grant?.isConsole === true) return 'sign_in';
  if (approves === true) return 'key';
  return kind === 'operator' && by.source.approvals.isAtConsole ? 'console_key' : 'operator';
}

interface Seen {
  readonly view: ApprovalView;
  readonly row: schemas.Approval;
}

/** What somebody sees: those who vote and the caller what is theirs, operators all, viewers all without arguments. Rejects with a Refused. */
async function shownTo(by: By): Promise<readonly Seen[]> {
  const { source, asker, path } = by;
  const approvals = present(by);
  const { principal } = asker;
  const seen = (each: ListedApproval): Seen => {
    const row = rowOf(by, each, each.mayVote);
    return { view: each, row: each.isShort ? withoutArguments(row) : row };
  };
  if (isOperator(by)) return (await readable(approvals.list(principal, true))).map(seen);
  const own = (await readable(approvals.list(principal))).map(seen);
  if (!source.permits(principal, 'viewer', path)) return own;
  const known = new Map(own.map((each) => [each.view.id, each]));
  return (await readable(approvals.list(principal, true))).map(
    (each) => known.get(each.id) ?? { view: each, row: withoutArguments(rowOf(by, each, false)) },
  );
}

function withoutArguments(row: schemas.Approval): schemas.Approval {
  return { ...row, digest: null, arguments: null, ignored: null, changes: null };
}

/** The record that the path names, for who may see it. Rejects with a Refused. */
async function shown(asked: By): Promise<Seen> {
  const { source, asker, path } = asked;
  const { principal } = asker;
  const id = asked.params['id'] as string;
  const approvals = present(asked);
  const own = await readable(approvals.see(id, principal, isOperator(asked)));
  if (own) return { view: own, row: rowOf(asked, own, own.mayVote) };
  const any = source.permits(principal, 'viewer', path)
    ? await readable(approvals.see(id, principal, true))
    : undefined;
  if (!any) throw unknown();
  return { view: any, row: withoutArguments(rowOf(asked, any, false)) };
}

/** `counts`: whether the yes of his person would count, had he shown it in a way that counts. */
function rowOf(by: By, view: ApprovalView, counts: boolean): schemas.Approval {
  const { id, state, principal, name, server, tool, digest, waiting, wideUntil = 0 } = view;
  const isWide = state === 'sent' && Date.now() < wideUntil;
  const asking = by.asker.principal;
  const person = personOf(asking);
  const way = wayOf(by, asking);
  const voter = way === 'console_key' ? CONSOLE : (person ?? asking.id);
  const mayVote = counts && way !== 'operator';
  return {
    ...{ id, state, principal, name, server, tool, digest, waiting },
    reason: view.reason ?? null,
    person: view.person ?? null,
    client: view.client ?? null,
    arguments: view.shown,
    ignored: view.ignored ?? null,
    changes: view.changes ? [...view.changes] : null,
    entries: view.entries.map(({ rule, by: label, need, met, repeat }) => ({
      ...{ rule, by: label, need, met },
      repeat: repeat ? { minutes: repeat.ms / 60_000, covers: repeat.covers } : null,
    })),
    votes: view.votes.map(({ by: name, at, yes, note }) => ({
      by: name,
      at: new Date(at).toISOString(),
      decision: yes ? 'approve' : 'deny',
      note: note ?? null,
    })),
    created: new Date(view.created).toISOString(),
    expires: new Date(view.expires).toISOString(),
    may_vote: mayVote,
    own: asking.id === principal || (person !== undefined && person === view.person),
    may_deny: state === 'open' && (mayVote || isOperator(by)),
    may_take_back:
      (state === 'open' || state === 'approved' || isWide) &&
      view.votes.some(({ by: name, yes }) => yes && (name === voter || isOperator(by))),
  };
}

const PROBLEMS: Readonly<
  Record<VoteProblem, { readonly status: number; readonly text: string; readonly action: string }>
> = {
  not_found: { status: 404, text: 'there is no such call', action: 'list them: mcpstead approvals list' },
  decided: {
    status: 409,
    text: 'this call was decided already',
    action: 'look at it again: mcpstead approvals show ID',
  },
  expired: { status: 409, text: 'nobody answered in time', action: 'the caller can call again' },
  other_digest: {
    status: 409,
    text: 'this is not the call that was shown',
    action: 'look at it again, and vote with its digest',
  },
  own_call: { status: 403, text: 'nobody votes on a call of his own', action: 'ask somebody else' },
  not_approver: {
    status: 403,
    text: 'the rule asks others, or you have shown no person',
    action: 'sign in to the console, or use a key with approver: true',
  },
  no_repeat: {
    status: 409,
    text: 'the rule does not let a yes be widened',
    action: 'vote without repeat',
  },
  unavailable: {
    status: 503,
    text: 'the vote cannot be stored',
    action: 'make the state and the audit log of the gateway writable, then vote again',
  },
};

function voted(by: By, done: ApprovalView | VoteProblem): schemas.Approval {
  if (typeof done !== 'string') return rowOf(by, done, false);
  const { status, text, action } = PROBLEMS[done];
  const code: GatewayError['code'] =
    status === 404
      ? 'not_found'
      : status === 403
        ? 'forbidden'
        : status === 503
          ? 'unavailable'
          : 'approval_refused';
  throw new Refused(code, `${done}: ${text}`, { status, action });
}

async function readable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused('unavailable', `the calls that wait cannot be read: ${(error as Error).message}`, {
      status: 503,
      action: 'make the state of the gateway usable (state.dir, fleet.store), then try again',
    });
  }
}

function unknown(): Refused {
  return new Refused('not_found', 'there is no such call, or it is not for you', {
    action: 'list them: mcpstead approvals list',
  });
}
