/** What callers are told. */
import { GatewayError } from '../errors.js';
import type { RefusedReason } from '../protocol/approvals.js';
import { openPlaces, type ApprovalRecord } from './record.js';
import { visible } from './shown.js';

/** Of a note, in characters. */
export const MAX_NOTE = 500;
/** Seconds after which a call is worth repeating. */
const RETRY_AFTER = 10;

/** A call that waits, or has its yes already. */
export function pendingError(record: ApprovalRecord, url: string, now: number): GatewayError {
  const expires = record.until ?? record.expires;
  const before = new Date(expires).toISOString();
  const time =
    before.slice(0, 10) === new Date(now).toISOString().slice(0, 10)
      ? before.slice(11, 16)
      : before.slice(0, 16);
  const again = `repeat exactly this call before ${time}Z`;
  const text =
    record.state === 'approved'
      ? `'${visible(record.tool)}' has its yes: ${again}`
      : `${waitingText(record, url)}; then ${again}`;
  const data = { reason: 'pending', id: record.id, url, expires: before, retryAfter: RETRY_AFTER };
  return new GatewayError('approval_required', text, data, ruleOf(record));
}

/** A call that goes on by itself with its yes: nobody has to repeat it. */
export function waitingText(record: ApprovalRecord, url: string): string {
  return `'${visible(record.tool)}' waits for ${waitsFor(record)}: open ${url}`;
}

/** The yes of those whose turn it is, for people. */
function waitsFor({ entries, votes }: ApprovalRecord): string {
  const labels = openPlaces(entries, votes).map((at) => {
    const label = entries[at]?.label ?? null;
    return label === null ? 'you' : visible(label);
  });
  const those = [...new Set(labels)].join(' and ');
  return those === 'you' ? 'your yes' : `the yes of ${those}`;
}

/** Another call has taken the place of one, or its yes. */
export function supersededError(id: string, rule: string | undefined): GatewayError {
  const text = 'not sent: the same call was made again, and takes its place';
  return new GatewayError('approval_refused', text, { reason: 'superseded', id }, rule);
}

/** A call that is not sent. `reason`: instead of the record's. */
export function refusedError(record: ApprovalRecord, reason = record.reason ?? 'withdrawn'): GatewayError {
  const text = `not sent: ${whyOf(record, reason)}`;
  return new GatewayError('approval_refused', text, { reason, id: record.id }, ruleOf(record));
}

function whyOf(record: ApprovalRecord, reason: RefusedReason): string {
  switch (reason) {
    case 'denied': {
      const no = record.votes.findLast(({ yes }) => !yes);
      const who = no?.voter.way === 'form' ? 'the user' : 'somebody';
      const until = new Date(record.until ?? 0).toISOString().slice(11, 16);
      const text = `${who} said no; the same call is refused until ${until}Z`;
      return no?.note === undefined || no.note === '' ? text : `${visible(no.note)} (${text})`;
    }
    case 'expired': {
      const last = record.votes.at(-1)?.at ?? record.created;
      return record.ended !== undefined && record.ended < record.expires
        ? `its yes was not used within ${duration(record.ended - last)}`
        : `nobody answered in ${duration(record.expires - record.created)}`;
    }
    case 'superseded':
      return 'another call has used its yes';
    case 'policy_changed':
      return 'the policy has changed since: make the call again';
    case 'tool_changed':
      return 'the tool has changed since: make the call again';
    case 'server_changed':
      return 'the server has changed since: make the call again';
    case 'withdrawn':
      return 'the yes was taken back';
  }
}

/** Calls of a tool after several noes. `id`: of the record with the last one. */
export function tiredError(tool: string, id: string, until: number): GatewayError {
  const time = new Date(until).toISOString().slice(11, 16);
  return new GatewayError(
    'approval_refused',
    `not sent: '${visible(tool)}' was denied too often: all calls of it are refused until ${time}Z`,
    {
      reason: 'denied',
      id,
    },
  );
}

export function unavailableError(): GatewayError {
  return new GatewayError('unavailable', 'the records of approvals cannot be used now: nothing was sent');
}

/** A call that cannot be asked for. `why`: after the name of the rule. */
export function deniedError(rule: string, why: string): GatewayError {
  return new GatewayError('denied', `refused by policy: rule '${rule}': ${why}`, undefined, rule);
}

/** A later round of a call that nobody said yes to, or whose time is over. */
export function noRoundError(): GatewayError {
  const text =
    'this continues no call that has its yes: make a new call, without requestState and inputResponses';
  return new GatewayError('invalid_params', text, { reason: 'gone' });
}

export function busyError(why: string): GatewayError {
  return new GatewayError('busy', `too many calls wait for a yes: ${why}`, { retryAfter: 60 });
}

function ruleOf({ entries }: ApprovalRecord): string | undefined {
  return entries[0]?.rule;
}

function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
