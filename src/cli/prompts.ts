/** Questions to the person at the terminal. The library for them is loaded when something asks. */
import { printable, Refusal } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';
import { REFUSED } from './target.js';
import type { Written } from './verb.js';

const CANCELLED = 130;

/** Whether somebody can be asked. */
export function canAsk({ flags }: Pick<Written, 'flags'>, { tty }: Pick<Terminal, 'tty'>): boolean {
  return tty.in && tty.out && !flags.has('yes') && !flags.has('json');
}

/**
 * Whether the person agrees; `--yes` does. Throws a Refusal of status 5 where nobody can be asked, and of status 130 on Ctrl-C. `what`: what it is
 * about: `init starts these servers`.
 */
export async function agrees(
  question: string,
  what: string,
  written: Pick<Written, 'flags'>,
  terminal: Terminal,
): Promise<boolean> {
  if (written.flags.has('yes')) return true;
  if (!canAsk(written, terminal))
    throw new Refusal(`${what}: that needs consent. Run it on a terminal, or add --yes`, REFUSED);
  const { confirm, isCancel } = await import('@clack/prompts');
  const answer = await confirm({
    message: printable(question),
    input: terminal.stdin,
    output: terminal.stdout,
  });
  if (isCancel(answer)) throw cancelled();
  return answer;
}

export interface Choice {
  readonly value: string;
  readonly hint: string;
}

/** Which of the choices the person takes. Throws a Refusal of status 130 on Ctrl-C. */
export async function chosen(
  question: string,
  choices: readonly Choice[],
  preset: readonly string[],
  terminal: Terminal,
): Promise<readonly string[]> {
  const { multiselect, isCancel } = await import('@clack/prompts');
  const answer = await multiselect({
    message: printable(question),
    options: choices.map(({ value, hint }) => ({ value, label: printable(value), hint: printable(hint) })),
    initialValues: [...preset],
    required: false,
    input: terminal.stdin,
    output: terminal.stdout,
  });
  if (isCancel(answer)) throw cancelled();
  return answer;
}

/** What the person types; a secret is not shown. Empty: nothing. Throws a Refusal of status 130 on Ctrl-C. */
export async function typed(question: string, isSecret: boolean, terminal: Terminal): Promise<string> {
  const { text, password, isCancel } = await import('@clack/prompts');
  const options = { message: printable(question), input: terminal.stdin, output: terminal.stdout };
  const answer = await (isSecret ? password(options) : text(options));
  if (isCancel(answer)) throw cancelled();
  return answer ?? '';
}

function cancelled(): Refusal {
  return new Refusal('cancelled: nothing was changed', CANCELLED);
}
