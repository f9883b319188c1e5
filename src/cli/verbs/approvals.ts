/** Calls that wait for a yes: `mcpstead approvals list | show | approve | deny`. */
import type { Approval, ApprovalList } from '../../admin/approval-schemas.js';
import { Refusal } from '../../terminal/explain.js';
import type { Terminal } from '../../terminal/terminal.js';
import { outputOf, type Cell, type Output } from '../output.js';
import { agrees } from '../prompts.js';
import { askApi, gatewayOf, parsed, readApi, REFUSED, type Gateway } from '../target.js';
import type { Verb, Written } from '../verb.js';

const API = '/-/api/v1/approvals';
/** The key of somebody who votes: `approver: true` in the configuration. */
const KEY = 'MCPSTEAD_APPROVER_KEY';
const VOTE_MS = 15_000;

export const listApprovals: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const gateway = voterOf(written, terminal);
  const { approvals, holds } = await named(readApi<ApprovalList>(gateway, 'approvals'), gateway);
  const shown = written.flags.has('all') ? approvals : approvals.filter(({ state }) => state === 'open');
  if (output.json) output.document(shown);
  else if (!holds) output.note('no rule of the policy holds calls: docs/approvals.md');
  else if (shown.length === 0) output.note('no call waits for a yes');
  else output.table([HEADINGS, ...shown.map(rowOf)]);
  return 0;
};

export const showApproval: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const found = await find(voterOf(written, terminal), written);
  if (output.json) output.document(found);
  else describe(output, found);
  return 0;
};

export const approve: Verb = (written, terminal) => vote('approve', written, terminal);
export const deny: Verb = (written, terminal) => vote('deny', written, terminal);

async function vote(decision: 'approve' | 'deny', written: Written, terminal: Terminal): Promise<number> {
  const { values, flags } = written;
  const output = outputOf(written, terminal);
  const gateway = voterOf(written, terminal);
  const isSeen = terminal.tty.in && terminal.tty.out && !output.json;
  if (decision === 'approve' && !isSeen && (terminal.env[KEY] ?? '') === '')
    throw new Refusal(
      `a yes without a terminal needs a key of its own: set ${KEY} to a key with approver: true`,
      REFUSED,
    );
  if (!isSeen && values['digest'] === undefined)
    throw new Refusal(
      `without a terminal, name what was read: --digest D, as 'mcpstead approvals show ${written.words[0] ?? 'ID'}' prints it`,
      2,
    );
  const found = await find(gateway, written);
  const digest = values['digest'] ?? found.digest;
  if (digest === null) throw new Refusal('you may not vote on this call', REFUSED);
  if (isSeen && values['digest'] === undefined) {
    describe(output, found);
    const refusal = refusalOf(decision, found);
    if (refusal !== undefined) throw new Refusal(refusal, REFUSED);
    const question = decision === 'approve' ? 'Send this call?' : 'Refuse this call?';
    if (!(await agrees(question, `approvals ${decision}`, written, terminal))) {
      output.note('nothing was decided');
      return 0;
    }
  }
  const note = values['note'];
  const body = JSON.stringify({
    decision,
    digest,
    ...(note !== undefined && { note }),
    ...(flags.has('repeat') && { repeat: true }),
  });
  const path = `${API}/${encodeURIComponent(found.id)}`;
  const asked = askApi(gateway, path, { body, timeoutMs: VOTE_MS });
  const done = await named(
    asked.then((answer) => parsed<Approval>(gateway, answer)),
    gateway,
  );
  if (output.json) output.document(done);
  else output.line(`${done.tool} of ${done.server}: ${WORDS[done.state]}`);
  return 0;
}

/** Why nobody needs to be asked: the vote would not count; undefined: it may. */
function refusalOf(decision: 'approve' | 'deny', found: Approval): string | undefined {
  const { state, own, entries } = found;
  if (decision === 'approve' ? found.may_vote : found.may_deny) return undefined;
  if (state !== 'open') return `nothing to decide: the call ${WORDS[state]}`;
  if (own && entries.every(({ by }) => by !== 'caller'))
    return 'nobody votes on a call of his own: ask somebody else';
  const others = entries
    .filter(({ met, need }) => met < need)
    .map(({ by }) => (by === 'caller' ? 'its caller' : by));
  return `this call waits for ${others.join(' and ')}: set ${KEY} to the key of one who votes, or sign in to the console`;
}

/** The gateway, asked with the key for votes if there is one. */
function voterOf(written: Written, terminal: Terminal): Gateway {
  const gateway = gatewayOf(written, terminal);
  const secret = terminal.env[KEY] ?? '';
  return secret === '' ? gateway : { ...gateway, credentials: [{ kind: 'approver', secret }] };
}

async function find(gateway: Gateway, { words }: Written): Promise<Approval> {
  return await named(readApi<Approval>(gateway, `approvals/${encodeURIComponent(words[0] ?? '')}`), gateway);
}

/** How a refusal begins that is about the call or its voter: neither is of use to who reads it. */
const BEFORE = /^\S+?(?: refused)?: HTTP (?:403|404|409|503): (?:[a-z]+(?:_[a-z]+)*: )?/;

/** Says what was wrong, in words alone; and which key, if one was. */
async function named<T>(answer: Promise<T>, { credentials }: Gateway): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { message, status } = error;
    if (BEFORE.test(message)) throw new Refusal(message.replace(BEFORE, ''), status);
    const isWrong = status === REFUSED && message.includes('HTTP 401');
    if (!isWrong || credentials[0]?.kind !== 'approver') throw error;
    throw new Refusal(`${message}: ${KEY} is no key of this gateway`, REFUSED);
  }
}

const WORDS: Readonly<Record<Approval['state'], string>> = {
  open: 'waits for a yes',
  approved: 'has its yes, and is sent with the next call',
  sent: 'was sent',
  denied: 'was refused',
  expired: 'got no answer in time',
  void: 'has changed since it was asked for',
};

function describe(output: Output, found: Approval): void {
  // Who has chosen a name makes no lines of his own with it.
  const line = (text: string): void => {
    output.line(text.replace(/[^\S ]+/g, ' '));
  };
  const { id, state, name, person, client, server, tool, entries, votes, expires, digest } = found;
  const caller = [person !== null && person !== name ? `${name} (${person})` : name, client].filter(Boolean);
  line(`${tool} of ${server}: ${WORDS[state]}`);
  line(`  id       ${id}`);
  line(`  caller   ${caller.join(', with ')}`);
  for (const { rule, by, need, met } of entries) line(`  rule     ${rule}: ${by}, ${met} of ${need}`);
  for (const { by, decision, note } of votes)
    line(`  vote     ${decision} by ${by}${note === null ? '' : `: ${note}`}`);
  line(`  until    ${expires}`);
  if (digest !== null) line(`  digest   ${digest}`);
  if (found.arguments !== null) output.line(`\n${found.arguments}`);
  if (found.ignored !== null) output.line(`\nnot part of the yes:\n${found.ignored}`);
  if (found.changes !== null)
    output.line(`\nsince the last call that got a yes:\n${found.changes.join('\n')}`);
}

const HEADINGS: readonly Cell[] = ['ID', 'TOOL', 'SERVER', 'CALLER', 'WAITS FOR', 'UNTIL', 'STATE'].map(
  (text) => [text, 'dim'] as const,
);

function rowOf({ id, tool, server, name, entries, expires, state }: Approval): Cell[] {
  const waits = entries.filter(({ met, need }) => met < need).map(({ by }) => by);
  return [id, tool, server, name, waits.join(', ') || '-', `${expires.slice(11, 19)}Z`, state];
}
