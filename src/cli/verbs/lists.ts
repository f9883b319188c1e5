/** What clients get: `mcpstead tools | prompts | resources`. */
import type { Prompt, Resource, Tool } from '../../admin/schemas.js';
import { compileGlobs } from '../../lib/glob.js';
import { Refusal } from '../../terminal/explain.js';
import { counted, outputOf, type Output } from '../output.js';
import type { Verb, Written } from '../verb.js';
import { sourceOf } from '../source.js';

/** Matches names by a glob, and texts by what they contain. */
function chosenBy({
  words,
  values,
}: Written): (name: string, server: string, ...texts: (string | null)[]) => boolean {
  const [pattern] = words;
  const { server: only } = values;
  const globs = pattern === undefined ? undefined : compileGlobs([pattern]);
  const word = pattern?.toLowerCase();
  return (name, server, ...texts) => {
    if (only !== undefined && server !== only) return false;
    if (word === undefined || globs?.(name)) return true;
    return [name, ...texts].some((text) => text?.toLowerCase().includes(word));
  };
}

export const listTools: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const source = await sourceOf(written, terminal);
  try {
    const tools = await source.list<Tool>('tools', written.flags.has('schema'));
    const matches = chosenBy(written);
    const found = tools.filter((each) => matches(each.name, each.server, each.title, each.description));
    if (output.json) output.document(found);
    else if (written.flags.has('schema'))
      for (const { definition } of found) output.line(JSON.stringify(definition, null, 2));
    else {
      output.table(
        found.map(({ name, tokens, title, description }) => [
          [name, 'bold'],
          [`~${tokens}`, 'dim'],
          shorten(title ?? firstLine(description)),
        ]),
      );
      const tokens = found.reduce((sum, each) => sum + each.tokens, 0);
      if (found.length > 0)
        output.note(`${counted(found.length, 'tool')}, ~${tokens.toLocaleString('en')} tokens`);
    }
    return nothing(found, written, output);
  } finally {
    await source.close();
  }
};

export const listPrompts: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const source = await sourceOf(written, terminal);
  try {
    const matches = chosenBy(written);
    const found = (await source.list<Prompt>('prompts', false)).filter((each) =>
      matches(each.name, each.server, each.title, each.description),
    );
    if (output.json) output.document(found);
    else
      output.table(
        found.map((each) => [[each.name, 'bold'], shorten(each.title ?? firstLine(each.description))]),
      );
    return nothing(found, written, output);
  } finally {
    await source.close();
  }
};

export const listResources: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const source = await sourceOf(written, terminal);
  try {
    const matches = chosenBy(written);
    const found = (await source.list<Resource>('resources', false)).filter((each) =>
      matches(each.uri, each.server, each.name, each.title, each.description),
    );
    if (output.json) output.document(found);
    else
      output.table(
        found.map((each) => [
          [each.uri, 'bold'],
          each.mime_type ?? '',
          shorten(each.title ?? each.name ?? ''),
        ]),
      );
    return nothing(found, written, output);
  } finally {
    await source.close();
  }
};

/** An empty list is no failure; a pattern that matches nothing is one. */
function nothing(found: readonly unknown[], { words }: Written, output: Output): number {
  if (found.length > 0 || words.length === 0) return 0;
  if (output.json) return 1;
  throw new Refusal(`nothing matches '${words[0] ?? ''}'`);
}

function firstLine(text: string | null): string {
  return text?.trim().split('\n')[0] ?? '';
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 99)}…` : text;
}
