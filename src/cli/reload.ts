/** Has a running gateway read the config that a command has changed. */
import type { Reloaded } from '../admin/schemas.js';
import { Refusal } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';
import { refusalText } from './gateway-request.js';
import type { Output } from './output.js';
import { answersAt, askApi, gatewayOf, NO_GATEWAY } from './target.js';
import type { Written } from './verb.js';

const RELOAD_MS = 60_000;

/** What became of a running gateway. */
export type ReloadOutcome =
  | { readonly state: 'reloaded'; readonly origin: string; readonly result: Reloaded }
  | { readonly state: 'none' }
  /** Something answers at the config's port, which may run another config. */
  | { readonly state: 'other'; readonly origin: string }
  | { readonly state: 'refused'; readonly why: string };

/** Never rejects: what was written stays. */
export async function reloadRunning(
  written: Pick<Written, 'values'>,
  terminal: Pick<Terminal, 'env'>,
): Promise<ReloadOutcome> {
  try {
    const gateway = gatewayOf(written, terminal);
    if (!gateway.known)
      return (await answersAt(gateway.origin))
        ? { state: 'other', origin: gateway.origin }
        : { state: 'none' };
    const answer = await askApi(gateway, '/-/reload', { body: '', timeoutMs: RELOAD_MS });
    // Another program has the port.
    if (answer.status === 404) return { state: 'none' };
    if (answer.status !== 200)
      return {
        state: 'refused',
        why: `the gateway at ${gateway.origin} did not reload: ${refusalText(answer)}`,
      };
    return { state: 'reloaded', origin: gateway.origin, result: JSON.parse(answer.body) as Reloaded };
  } catch (error) {
    if (error instanceof Refusal && error.status === NO_GATEWAY) return { state: 'none' };
    return {
      state: 'refused',
      why: `the gateway did not reload (${(error as Error).message}): send it SIGHUP`,
    };
  }
}

/** Says what became of it. Returns the exit status: 1 if a running gateway keeps its old config. */
export function reloadStatus(outcome: ReloadOutcome, output: Output): number {
  if (outcome.state === 'reloaded') output.note(`the gateway at ${outcome.origin} has reloaded`);
  else if (outcome.state === 'none') output.note('no gateway runs: the change takes effect when one starts');
  else if (outcome.state === 'other')
    output.note(
      `a gateway answers at ${outcome.origin}, but is not known to run this config: if it does, mcpstead reload`,
    );
  else output.note(outcome.why);
  return outcome.state === 'refused' ? 1 : 0;
}
