/** The page of an error, without a network: `mcpstead explain CODE`. */
import { Refusal } from '../../terminal/explain.js';
import { errorPages } from '../error-pages.js';
import { outputOf } from '../output.js';
import type { Verb } from '../verb.js';

export const explainCode: Verb = (written, terminal) => {
  const [code = ''] = written.words;
  const output = outputOf(written, terminal);
  const pages = errorPages();
  const found = pages.find((page) => page.code === code) ?? pages.find((page) => page.rpc === code);
  if (!found)
    throw new Refusal(
      `there is no error '${code}'; there is: ${pages.map((each) => each.code).join(', ')}`,
      2,
    );
  if (output.json) output.document(found);
  else {
    output.line(`${found.code}   JSON-RPC ${found.rpc}, HTTP ${found.http}`);
    output.line(`\n  ${found.cause}.\n`);
    output.line(`  What to do: ${found.action}.`);
  }
  return Promise.resolve(0);
};
