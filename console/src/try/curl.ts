/** The same request as a command line. The credential stays in the environment. */
import { REVISIONS, type Era } from '../../../src/client/types.js';
import { nameHeaders, paramHeaders } from '../../../src/client/headers.js';
import type { Asked } from './run.js';

const PREFIX = 'io.modelcontextprotocol/';
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

export function curlOf(asked: Asked, era: Era, endpoint: string, authenticated: boolean): string {
  const named = asked.method === 'resources/read' ? { uri: asked.name } : { name: asked.name };
  const params = [JSON.stringify(named).slice(1, -1)];
  if ('json' in asked) params.push(`"arguments":${asked.json}`);
  if (era === 'modern')
    params.push(
      `"_meta":${JSON.stringify({
        [`${PREFIX}protocolVersion`]: REVISIONS.modern,
        [`${PREFIX}clientInfo`]: { name: 'curl', version: '0' },
        [`${PREFIX}clientCapabilities`]: {},
      })}`,
    );
  const body = `{"jsonrpc":"2.0","id":1,"method":"${asked.method}","params":{${params.join(',')}}}`;
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...(era === 'modern'
      ? {
          'mcp-protocol-version': REVISIONS.modern,
          ...nameHeaders(asked.method, named),
          ...('schema' in asked ? paramHeaders(asked.schema, JSON.parse(asked.json)) : {}),
        }
      : {}),
  };
  return [
    `curl -sS ${quoted(endpoint)}`,
    ...(authenticated ? ['-H "Authorization: Bearer $MCPSTEAD_BEARER_TOKEN"'] : []),
    ...Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    `--data-binary ${quoted(body)}`,
  ].join(' \\\n  ');
}
