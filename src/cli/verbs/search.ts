/** Looks for servers in a registry: `mcpstead search WORD`. */
import { isMapping } from '../../config/client-files.js';
import { Refusal } from '../../terminal/explain.js';
import { outputOf, type Cell } from '../output.js';
import { searchServers } from '../registry/fetch.js';
import { publishedFrom, type Published } from '../registry/server-json.js';
import type { Verb } from '../verb.js';

export const search: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const word = written.words.join(' ');
  const answer = await searchServers(word, written.values['registry'], terminal);
  const list: readonly unknown[] =
    isMapping(answer) && Array.isArray(answer['servers']) ? answer['servers'] : [];
  const found = list.flatMap(readable);
  if (output.json)
    output.document(
      found.map(({ name, version, description, ways }) => ({
        name,
        version,
        description,
        ways: ways.map(wayText),
      })),
    );
  else if (found.length === 0) output.note(`the registry has nothing for '${word}'`);
  else {
    output.table(found.map(row));
    output.note('mcpstead add NAME adds one; it shows what runs, and asks first');
  }
  return 0;
};

/** One entry that is not understood must not hide the others. */
function readable(value: unknown): readonly Published[] {
  try {
    return [publishedFrom(value)];
  } catch (error) {
    if (error instanceof Refusal) return [];
    throw error;
  }
}

function row({ name, version, description, ways, others }: Published): readonly Cell[] {
  const how = [...new Set([...ways.map(wayText), ...others])].join(', ');
  return [[name, 'bold'], version, how, description.slice(0, 100)];
}

function wayText(way: Published['ways'][number]): string {
  return way.kind === 'package' ? `${way.registry} ${way.identifier}` : way.url;
}
