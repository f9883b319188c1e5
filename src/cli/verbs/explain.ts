/** The page of an error, without a network: `mcpstead explain CODE`. */
import { Refusal } from '../../terminal/explain.js';
import { errorPages, type ErrorPage } from '../error-pages.js';
import { outputOf, type Output } from '../output.js';
import type { Verb } from '../verb.js';

const LINE_CHARS = 78;

export const explainCode: Verb = (written, terminal) => {
  const [code = ''] = written.words;
  const output = outputOf(written, terminal);
  const pages = errorPages();
  const named = pages.find((page) => page.code === code);
  const found = named ? [named] : pages.filter(({ rpc, modern_rpc }) => rpc === code || modern_rpc === code);
  if (found.length === 0)
    throw new Refusal(
      `there is no error '${code}'; there is: ${pages.map((each) => each.code).join(', ')}`,
      2,
    );
  const [page] = found as [ErrorPage];
  if (output.json) output.document(found.length === 1 ? page : found);
  else if (found.length === 1) show(output, page);
  else {
    output.line(`${found.length} errors have the number ${code}; the message tells them apart:`);
    for (const each of found) output.line(`  mcpstead explain ${each.code}`);
  }
  return Promise.resolve(0);
};

function show(output: Output, page: ErrorPage): void {
  const { code, rpc, http, modern_rpc, modern_http, cause, action } = page;
  output.line(code);
  output.line(`  JSON-RPC ${rpc}, HTTP ${http}; for 2026-07-28: JSON-RPC ${modern_rpc}, HTTP ${modern_http}`);
  for (const [title, text] of [
    ['Cause', cause],
    ['What to do', action],
  ] as const) {
    output.line(`\n${title}`);
    for (const line of wrapped(text)) output.line(`  ${line}`);
  }
}

/** Lines of at most 78 characters, broken at spaces. */
function wrapped(text: string): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= LINE_CHARS)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
