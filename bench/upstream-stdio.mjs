// A fast MCP server over stdio, with the results of results.mjs: one line in, one line out.
import { SIZES } from './cases.mjs';
import { initialized, results, textResult, toolList } from './results.mjs';

results.set('json-10m', textResult(SIZES['10m']));
const tools = toolList(1000);

function answer(id, result) {
  const [head, tail] = [`{"jsonrpc":"2.0","id":${id},"result":`, '}\n'];
  process.stdout.write(Buffer.concat([Buffer.from(head), Buffer.from(result), Buffer.from(tail)]));
}

function serve(line) {
  const id = /"id":\s*([^,}\s]+)/.exec(line)?.[1];
  const method = /"method":\s*"([^"]+)"/.exec(line)?.[1];
  if (id === undefined || method === undefined) return;
  if (method === 'tools/call') answer(id, results.get(/"name":\s*"(?:bench__)?([^"]+)"/.exec(line)[1]));
  else if (method === 'initialize') answer(id, initialized);
  else if (method === 'tools/list') answer(id, `{"tools":${tools}}`);
  else if (method === 'ping') answer(id, '{}');
  else {
    const error = '{"code":-32601,"message":"Method not found"}';
    process.stdout.write(`{"jsonrpc":"2.0","id":${id},"error":${error}}\n`);
  }
}

let rest = '';
process.stdin.setEncoding('latin1');
process.stdin.on('data', (chunk) => {
  const whole = (rest + chunk).split('\n');
  rest = whole.pop();
  for (const line of whole) serve(line);
});
process.stdin.on('end', () => process.exit(0));
