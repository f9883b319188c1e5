// A server that costs little, for measurements: one tool, whose text is as long as the caller asks.
import { createServer } from 'node:http';

const TOOL = {
  name: 'text',
  description: 'Returns a text of a length.',
  inputSchema: { type: 'object', properties: { bytes: { type: 'integer' } } },
};

/** Resolves with `{url, close}`. */
export function startBenchServer() {
  const texts = new Map();
  const textOf = (bytes) => {
    if (!texts.has(bytes)) texts.set(bytes, 'x'.repeat(bytes));
    return texts.get(bytes);
  };
  const resultOf = ({ method, params }) => {
    switch (method) {
      case 'initialize':
        return {
          protocolVersion: '2025-11-25',
          capabilities: { tools: {} },
          serverInfo: { name: 'bench', version: '0' },
        };
      case 'tools/list':
        return { tools: [TOOL] };
      case 'tools/call':
        return { content: [{ type: 'text', text: textOf(params.arguments?.bytes ?? 0) }] };
      default:
        return undefined;
    }
  };
  const server = createServer((req, res) => {
    if (req.method !== 'POST') return void res.writeHead(405).end();
    const chunks = [];
    req.on('data', (chunk) => chunks.push(chunk));
    req.on('end', () => {
      const message = JSON.parse(Buffer.concat(chunks).toString());
      if (message.id === undefined) return void res.writeHead(202).end();
      const result = resultOf(message);
      const error = { code: -32601, message: 'not here' };
      const body = JSON.stringify({
        ...{ jsonrpc: '2.0', id: message.id },
        ...(result ? { result } : { error }),
      });
      res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
      res.end(body);
    });
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve({
        url: `http://127.0.0.1:${server.address().port}/mcp`,
        close: () => {
          server.close();
          server.closeAllConnections();
        },
      });
    });
  });
}
