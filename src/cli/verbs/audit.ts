import { verify } from '../../observe/audit/verify.js';
import { printable, Refusal } from '../../terminal/explain.js';
import type { Verb } from '../verb.js';

/** Checks the chain of an audit log. Returns 0 if it is whole, otherwise throws with the first line that is not. */
export const auditVerify: Verb = async ({ words, values }, terminal) => {
  const wanted = values['head'];
  const result = await verify(words, wanted).catch((error: unknown) => {
    throw new Refusal(`cannot read the audit log: ${(error as Error).message}`);
  });
  if (!result.ok) throw new Refusal(`broken: ${result.file}, line ${result.line}: ${result.why}`);
  const { lines, from, to, head, seen } = result;
  if (wanted !== undefined && !seen)
    throw new Refusal(`broken: no line has the hash ${wanted}: lines are missing, or the log was rewritten`);
  const shown = lines === 0 ? 'no lines' : `${lines} lines, seq ${from} to ${to}, head ${head ?? ''}`;
  terminal.out(printable(`ok: ${shown}\n`));
  return 0;
};
