/** Profiles as the API shows them. */
import { toolsOf } from './items.js';
import type { Profile } from './schemas.js';
import type { AdminSource } from './source.js';

export async function profilesOf(source: AdminSource): Promise<Profile[]> {
  const rows: Profile[] = [];
  for (const { name, description, prefix } of source.profiles()) {
    const tools = await toolsOf(source, { profile: name, full: false });
    rows.push({
      name,
      description: description ?? null,
      path: `/profiles/${name}/mcp`,
      prefix,
      tools: tools.length,
      tokens: tools.reduce((sum, { tokens }) => sum + tokens, 0),
    });
  }
  return rows;
}
