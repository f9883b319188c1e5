/** Calls in rows: what, by whom, how it ended, how long it took. */
import type { JSX } from 'preact';
import type { Call, ServerStatus } from '../../../src/admin/schemas.js';
import { since } from '../data/live.js';
import { bytes, duration, timeOfDay, UNKNOWN } from '../format.js';
import { to } from '../router.js';
import { Status } from '../ui/basics.js';

const OUTCOMES: Readonly<Record<NonNullable<Call['outcome']>, readonly [ServerStatus['level'], string]>> = {
  ok: ['ok', 'ok'],
  tool_error: ['attention', 'tool error'],
  error: ['failed', 'failed'],
  cancelled: ['off', 'cancelled'],
};

export function OutcomeOf({ call }: { call: Call }): JSX.Element {
  const [level, word] = call.outcome === null ? (['wait', 'in flight'] as const) : OUTCOMES[call.outcome];
  return <Status level={level} word={word} />;
}

/** A call that somebody cancelled is none of them. */
export const hasFailed = ({ outcome }: Call): boolean => outcome === 'error' || outcome === 'tool_error';

/** The name of what was called, without that of its server where it is a prefix. */
export const nameOf = (call: Call): string => call.name ?? call.method;

/** Why it failed, where that says more than how it ended. */
export function reasonOf({ outcome, reason, detail }: Call): string {
  const word = outcome === null ? '' : OUTCOMES[outcome][1];
  return [reason, detail].filter((text) => text !== null && text !== word && text !== outcome).join(': ');
}

export function CallRows({ calls }: { calls: readonly Call[] }): JSX.Element {
  return (
    <ul class="rows">
      {calls.map((call) => (
        <li key={call.id} class="call-row" data-row>
          <time class="number dim" dateTime={call.started}>
            {timeOfDay(call.started)}
          </time>
          <a class="name" href={to(['activity', call.id])}>
            <bdi>{nameOf(call)}</bdi>
          </a>
          <span class="dim">
            <bdi>{call.server}</bdi>
          </span>
          <OutcomeOf call={call} />
          <span class="dim">
            <bdi>{call.client.name ?? 'unknown client'}</bdi>
          </span>
          <span class="number">{duration(call.ms ?? Math.max(0, since(call.started)))}</span>
          <span class="number dim">{call.bytes_out === null ? UNKNOWN : bytes(call.bytes_out)}</span>
          {reasonOf(call) === '' ? null : (
            <span class="cause">
              <bdi>{reasonOf(call)}</bdi>
            </span>
          )}
        </li>
      ))}
    </ul>
  );
}
