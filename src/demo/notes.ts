// The example server over stdio: notes, kept in memory until the process ends.
import { createInterface } from 'node:readline';
import { Conversation, failure, ToolError, type Tool } from './tools.js';

interface Note {
  readonly id: number;
  readonly text: string;
  readonly tags: readonly string[];
}

const MOST_NOTES = 1000;
const notes = new Map<number, Note>();
let lastId = 0;

const tools: Tool[] = [
  {
    name: 'add',
    title: 'Add a note',
    description: 'Keeps a note, with tags if you like, and returns its number.',
    inputSchema: {
      type: 'object',
      properties: {
        text: { type: 'string', description: 'What to keep', maxLength: 10_000 },
        tags: { type: 'array', items: { type: 'string' }, description: 'Words to find it by' },
      },
      required: ['text'],
      additionalProperties: false,
    },
    readOnly: false,
    call({ text, tags = [] }) {
      if ((text as string).trim() === '') throw new ToolError('A note must not be empty.');
      if (notes.size >= MOST_NOTES) throw new ToolError(`There are ${MOST_NOTES} notes; delete some first.`);
      const note: Note = { id: ++lastId, text: text as string, tags: tags as string[] };
      notes.set(note.id, note);
      return `Kept as note ${note.id}.`;
    },
  },
  {
    name: 'list',
    title: 'List notes',
    description: 'Returns the notes, the latest first.',
    inputSchema: {
      type: 'object',
      properties: {
        limit: { type: 'integer', description: 'How many at most', minimum: 1, maximum: 100, default: 20 },
      },
      additionalProperties: false,
    },
    readOnly: true,
    call: ({ limit = 20 }) =>
      show([...notes.values()].reverse().slice(0, limit as number), 'There are no notes yet.'),
  },
  {
    name: 'search',
    title: 'Search notes',
    description: 'Returns the notes whose text or tags have all the given words.',
    inputSchema: {
      type: 'object',
      properties: { query: { type: 'string', description: 'Words to look for', maxLength: 1000 } },
      required: ['query'],
      additionalProperties: false,
    },
    readOnly: true,
    call({ query }) {
      const words = (query as string)
        .toLowerCase()
        .split(/\s+/)
        .filter((word) => word !== '');
      if (words.length === 0) throw new ToolError('Give at least one word to look for.');
      const found = [...notes.values()].filter((note) => {
        const content = [note.text, ...note.tags].join('\n').toLowerCase();
        return words.every((word) => content.includes(word));
      });
      return show(found, `No note has ${words.map((word) => `"${word}"`).join(' and ')}.`);
    },
  },
  {
    name: 'delete',
    title: 'Delete a note',
    description: 'Deletes the note with the given number.',
    inputSchema: {
      type: 'object',
      properties: { id: { type: 'integer', description: 'Its number', minimum: 1, maximum: 2 ** 31 } },
      required: ['id'],
      additionalProperties: false,
    },
    readOnly: false,
    call({ id }) {
      if (!notes.delete(id as number)) throw new ToolError(`There is no note ${String(id)}.`);
      return `Deleted note ${String(id)}.`;
    },
  },
];

function show(found: readonly Note[], none: string): string {
  if (found.length === 0) return none;
  return found
    .map(({ id, text, tags }) => `${id}. ${text}${tags.length > 0 ? ` [${tags.join(', ')}]` : ''}`)
    .join('\n');
}

const conversation = new Conversation(
  {
    name: 'notes',
    title: 'Notes',
    version: '1.0.0',
    instructions: 'Keeps short notes until the server stops. Search before you add, to avoid doubles.',
  },
  tools,
);

const write = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

async function receive(line: string): Promise<void> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    write(failure(null, -32700, 'Parse error'));
    return;
  }
  const one = (message: unknown) => conversation.handle(message ?? {}, write);
  if (Array.isArray(parsed)) {
    const answers = (await Promise.all(parsed.map(one))).filter((answer) => answer !== undefined);
    if (answers.length > 0) write(answers);
  } else {
    const answer = await one(parsed);
    if (answer) write(answer);
  }
}

process.stdout.on('error', () => process.exit());
createInterface({ input: process.stdin, crlfDelay: Infinity })
  .on('line', (line) => {
    if (line.trim() !== '') void receive(line);
  })
  .on('close', () => conversation.close());
