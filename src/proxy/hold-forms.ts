/** How the caller of a held call is asked: the form, the page, and what his client answers. */
import { refusalOf } from '../bridge/asked.js';
import type { HoldRetry } from '../bridge/index.js';
import { GatewayError } from '../errors.js';
import type { Asked } from '../protocol/approvals.js';
import type { Caller } from '../protocol/ports.js';
import { foldWide } from '../wire/fold.js';
import { objectOf, readObject } from '../wire/json.js';
import { doubtAbout, isSafeNumber } from '../wire/unambiguous.js';

const READING = { fold: foldWide, isExact: isSafeNumber };
/** Characters of the form; longer arguments are shown on the page. */
const MAX_FORM = 2000;
/** The key of the input request. */
export const KEY = 'hold';

/** Whether a client can ask its user, or open a page for him. */
export function takes({ capabilities, revision }: Caller, mode: 'form' | 'url'): boolean {
  if (mode === 'url' && revision < '2025-11-25') return false;
  return refusalOf('elicitation/create', { mode }, capabilities) === undefined;
}

/** The words of the form; undefined: they are too long for one. */
export function formText({ view }: Asked): string | undefined {
  const besides = view.ignored === undefined ? '' : `\nsent too, and not part of the yes:\n${view.ignored}`;
  const text = `[mcpstead] Send this call?\nserver: ${view.server}\ntool: ${view.tool}\narguments: ${view.shown}${besides}`;
  return text.length > MAX_FORM ? undefined : text;
}

export function formOf(message: string): object {
  const send = { type: 'boolean', title: 'Send', description: 'Send the call exactly as it is shown' };
  return { message, requestedSchema: { type: 'object', properties: { send }, required: ['send'] } };
}

/** What a user said: yes or no; undefined: he did not say. `answer`: JSON of an elicitation's result. */
export function readAnswer(answer: Buffer): boolean | undefined {
  // What can be read in two ways is no answer.
  if (doubtAbout(answer.toString('utf8'), READING) !== undefined) return undefined;
  const read = readObject(answer);
  if (read?.['action'] === 'decline') return false;
  if (read?.['action'] !== 'accept') return undefined;
  const send = objectOf(read['content'])?.['send'];
  return typeof send === 'boolean' ? send : undefined;
}

/** The same of a modern client. */
export function answerIn(answers: HoldRetry['answers']): boolean | undefined {
  const own = answers.get(KEY);
  return own && readAnswer(own);
}

export function urlError({ view, url, pending }: Asked): GatewayError {
  const elicitations = [{ mode: 'url', message: pending.message, url, elicitationId: view.id }];
  return new GatewayError('url_elicitation_required', pending.message, { elicitations });
}

/** The error where nobody can be asked: the client takes no form that fits, and the gateway has no port. */
export function noPage({ view }: Asked): GatewayError {
  const text = `'${view.tool}' needs a yes, and nobody can give it here: use a client that takes forms (elicitation), or a gateway with a port`;
  return new GatewayError('approval_required', text, { reason: 'no_page', id: view.id });
}

/** Whether a form has nothing to ask any more. A call that another one took the place of leaves it to that one. */
export function isDecided(now: 'approved' | 'open' | GatewayError): boolean {
  if (!(now instanceof GatewayError)) return now === 'approved';
  return objectOf(now.data)?.['reason'] !== 'superseded';
}

export function changedError({ view }: Asked): GatewayError {
  const data = { reason: 'policy_changed', id: view.id };
  return new GatewayError(
    'approval_refused',
    'not sent: the policy has changed since: make the call again',
    data,
    view.entries[0]?.rule,
  );
}
