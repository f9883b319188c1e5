/** Acts on a running gateway: `mcpstead restart SERVER`, and `mcpstead reload`. */
import type { Reloaded, ServerStatus } from '../../admin/schemas.js';
import { Refusal } from '../../terminal/explain.js';
import { refusalText } from '../gateway-request.js';
import { counted, outputOf } from '../output.js';
import { actApi, askApi, gatewayOf } from '../target.js';
import type { Verb } from '../verb.js';

export const restart: Verb = async (written, terminal) => {
  const [name = ''] = written.words;
  const output = outputOf(written, terminal);
  const state = await actApi<ServerStatus>(
    gatewayOf(written, terminal),
    `servers/${encodeURIComponent(name)}/restart`,
  );
  if (output.json) output.document(state);
  else output.line(`${name} is restarted: mcpstead status shows how it goes`);
  return 0;
};

export const reload: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const gateway = gatewayOf(written, terminal);
  const answer = await askApi(gateway, '/-/reload', { body: '', timeoutMs: 60_000 });
  if (answer.status !== 200)
    throw new Refusal(`not reloaded, the old config stays in force: ${refusalText(answer)}`);
  const result = JSON.parse(answer.body) as Reloaded;
  if (output.json) output.document(result);
  else output.line(reloadText(result));
  return 0;
};

/** `reloaded: added files; updated github; 3 servers unchanged`. */
export function reloadText({ servers, unchanged, restart_required }: Reloaded): string {
  const parts = (['added', 'removed', 'restarted', 'updated'] as const).flatMap((what) =>
    servers[what].length > 0 ? [`${what} ${servers[what].join(', ')}`] : [],
  );
  parts.push(`${counted(unchanged, 'server')} unchanged`);
  if (restart_required.length > 0)
    parts.push(`after a restart of the gateway only: ${restart_required.join(', ')}`);
  return `reloaded: ${parts.join('; ')}`;
}
