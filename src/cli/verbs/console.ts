/** Opens the console of a running gateway in a browser, signed in: `mcpstead console`. */
import { Refusal } from '../../terminal/explain.js';
import { openInBrowser } from '../programs.js';
import { outputOf } from '../output.js';
import { actApi, gatewayOf, REFUSED } from '../target.js';
import type { Verb } from '../verb.js';

/** The ticket stands in the fragment, which no server gets, and works once. */
export const openConsole: Verb = async (written, terminal) => {
  if (written.flags.has('new-key'))
    return await (await import('./console-key.js')).renewKey(written, terminal);
  const output = outputOf(written, terminal);
  const gateway = gatewayOf(written, terminal);
  const { url } = await actApi<{ url: string }>(gateway, 'ticket/new').catch((error: unknown) => {
    if (error instanceof Refusal && error.status === REFUSED)
      throw new Refusal(`${error.message}; only an operator opens the console`, REFUSED);
    throw error;
  });
  if (output.json) {
    output.document({ url });
    return 0;
  }
  const opened = written.flags.has('print') || !terminal.tty.out ? false : await openInBrowser(url);
  output.line(opened ? `opened ${gateway.origin}/-/console/` : url);
  if (!opened) output.note('this address works once, for 2 minutes');
  return 0;
};
