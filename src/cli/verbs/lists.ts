/** What clients get: `mcpstead tools | prompts | resources`. */
import type { Prompt, Resource, Tool } from '../../admin/schemas.js';
import { compileGlobs } from '../../lib/glob.js';
import { printableJson, Refusal } from '../../terminal/explain.js';
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

interface Listing<T> {
  readonly kind: 'tools' | 'prompts' | 'resources';
  /** What a pattern is compared with: name, server, and texts. */
  readonly searched: (item: T) => Parameters<ReturnType<typeof chosenBy>>;
  readonly show: (found: readonly T[], written: Written, output: Output) => void;
}

function listing<T>({ kind, searched, show }: Listing<T>): Verb {
  return async (written, terminal) => {
    const output = outputOf(written, terminal);
    const source = await sourceOf(written, terminal);
    try {
      const matches = chosenBy(written);
      const items = await source.list<T>(kind, {
        full: written.flags.has('schema'),
        profile: written.values['profile'],
      });
      const found = items.filter((item) => matches(...searched(item)));
      if (output.json) output.document(found);
      else show(found, written, output);
      return nothing(found, written, output);
    } finally {
      await source.close();
    }
  };
}

export const listTools = listing<Tool>({
  kind: 'tools',
  searched: ({ name, server, title, description }) => [name, server, title, description],
  show(found, { flags }, output) {
    if (flags.has('schema')) {
      for (const { definition } of found) output.line(printableJson(definition, 2));
      return;
    }
    output.table(
      found.map(({ name, tokens, title, description }) => [
        [name, 'bold'],
        [`~${tokens}`, 'dim'],
        shorten(title ?? firstLine(description)),
      ]),
    );
    if (found.length === 0) return;
    const tokens = found.reduce((sum, each) => sum + each.tokens, 0);
    output.note(`${counted(found.length, 'tool')}, ~${tokens.toLocaleString('en')} tokens`);
  },
});

export const listPrompts = listing<Prompt>({
  kind: 'prompts',
  searched: ({ name, server, title, description }) => [name, server, title, description],
  show(found, _written, output) {
    output.table(
      found.map(({ name, title, description }) => [[name, 'bold'], shorten(title ?? firstLine(description))]),
    );
  },
});

export const listResources = listing<Resource>({
  kind: 'resources',
  searched: ({ uri, server, name, title, description }) => [uri, server, name, title, description],
  show(found, _written, output) {
    output.table(
      found.map(({ uri, mime_type, title, name }) => [
        [uri, 'bold'],
        mime_type ?? '',
        shorten(title ?? name ?? ''),
      ]),
    );
  },
});

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
