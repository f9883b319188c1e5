// Measures how well find_tools finds the tools of a task: `node scripts/build.mjs && node scripts/recall.mjs FOLDER`. FOLDER is a copy of
// LiveMCPBench (github.com/icip-cas/LiveMCPBench): annotated_data/all_annotations.json and tools/LiveMCPTool/tools.json.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SearchIndex, serverTerms } from '../build/catalog/search-index.js';
import { readListPage } from '../build/protocol/lists.js';

const AT = [1, 5, 10];
const [folder] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write('usage: node scripts/recall.mjs FOLDER (a copy of LiveMCPBench)\n');
  process.exit(2);
}
const read = (path) => JSON.parse(readFileSync(join(folder, path), 'utf8'));

/** Lines such as `1. create_document`, without their numbers. */
const lines = (text) =>
  text
    .split('\n')
    .map((line) => line.replace(/^\s*\d+[.)]\s*/, '').trim())
    .filter((line) => line !== '');

const tools = [];
for (const { name, description, tools: servers } of read('tools/LiveMCPTool/tools.json')) {
  const server = serverTerms(name, description);
  for (const listed of Object.values(servers)) {
    const { definitions, problems } = readListPage(
      'tools',
      Buffer.from(JSON.stringify({ tools: listed.tools })),
    );
    for (const problem of problems) process.stderr.write(`${name}: ${problem}\n`);
    for (const definition of definitions)
      tools.push({ name: `${name}__${definition.key}`, definition, server });
  }
}
const building = SearchIndex.build(tools);
const before = performance.now();
let built = building.next();
while (!built.done) built = building.next();
const index = built.value;
const buildMs = performance.now() - before;

const known = new Set(tools.map(({ definition }) => definition.key));
const tasks = read('annotated_data/all_annotations.json')
  .map((task) => {
    const { Steps: steps, Tools: needed } = task['Annotator Metadata'];
    return {
      question: task.Question,
      steps: lines(steps),
      needed: lines(needed).filter((name) => known.has(name)),
    };
  })
  .filter(({ needed }) => needed.length > 0);

let queries = 0;
let queryMs = 0;
const names = (query, limit) => {
  const start = performance.now();
  const hits = index.search(query, limit);
  queryMs += performance.now() - start;
  queries++;
  return hits.map(({ tool }) => tool.definition.key);
};

/** The part of the needed tools that the searches of a task find, the mean of all tasks, in percent. */
function recall(searches, limit) {
  let sum = 0;
  for (const task of tasks) {
    const found = new Set(searches(task).flatMap((query) => names(query, limit)));
    sum += task.needed.filter((name) => found.has(name)).length / task.needed.length;
  }
  return (100 * sum) / tasks.length;
}

const row = (searches) => AT.map((limit) => `${recall(searches, limit).toFixed(1)} @${limit}`).join('  ');
process.stdout.write(`${tasks.length} tasks, ${known.size} names, ${tools.length} tools\n`);
process.stdout.write(`whole question  ${row(({ question }) => [question])}\n`);
process.stdout.write(`a search a step ${row(({ steps }) => steps)}\n`);
process.stdout.write(`${buildMs.toFixed(1)} ms an index, ${(queryMs / queries).toFixed(3)} ms a query\n`);
