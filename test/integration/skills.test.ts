/** Skills of real files, through the endpoint of several servers: digests and sizes hold for what is read there. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { atEnd } from '../helpers/cleanup.js';
import { startGateway } from '../helpers/gateway.js';
import type { JsonRpc } from '../helpers/http.js';
import { connect } from '../helpers/legacy.js';
import { answerTo } from '../helpers/modern.js';

interface File {
  readonly uri: string;
  readonly digest: string;
  readonly size: number;
}
interface Skill {
  readonly uri: string;
  readonly frontmatter: { readonly name: string };
  readonly resources: readonly File[];
}
interface Content {
  readonly uri: string;
  readonly text?: string;
  readonly blob?: string;
}

const SERVER = fileURLToPath(new URL('../fixtures/servers/skills.mjs', import.meta.url));

async function serve(...args: string[]): Promise<string> {
  const child = spawn(process.execPath, [SERVER, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  atEnd(() => void child.kill());
  const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  return line.trim();
}

it.each(['legacy', 'modern'])('the files of two servers with the same skills: a %s client', async (era) => {
  const [first, second] = await Promise.all([serve(), serve('--directories')]);
  const gateway = await startGateway({
    servers: [
      { name: 'a', url: first },
      { name: 'b', url: second },
    ],
  });
  const client = await connect(gateway.url);
  const ask = (method: string, params: Record<string, unknown> = {}): Promise<JsonRpc> =>
    era === 'legacy' ? client.request(method, params) : answerTo(gateway.url, method, params);
  const skills = (await ask('skills/list')).result?.['skills'] as Skill[];
  expect(skills.map(({ uri }) => uri)).toEqual([
    'skill://a+/refunds/SKILL.md',
    'skill://a+/labels/SKILL.md',
    'skill://b+/refunds/SKILL.md',
    'skill://b+/labels/SKILL.md',
  ]);
  let read = 0;
  for (const skill of skills) {
    expect((await ask('skills/get', { uri: skill.uri })).result?.['skill']).toEqual(skill);
    for (const { uri, digest, size } of skill.resources) {
      const { result } = await ask('resources/read', { uri });
      const [content] = result?.['contents'] as [Content];
      const { text, blob = '' } = content;
      const bytes = text === undefined ? Buffer.from(blob, 'base64') : Buffer.from(text);
      expect(content.uri).toBe(uri);
      expect(`sha256:${createHash('sha256').update(bytes).digest('hex')}`).toBe(digest);
      expect(bytes).toHaveLength(size);
      read++;
    }
    const { result } = await ask('resources/directory/read', { uri: skill.uri.replace('/SKILL.md', '') });
    const names = (result?.['resources'] as { name: string }[]).map(({ name }) => name);
    expect(names.sort()).toEqual(
      skill.frontmatter.name === 'labels' ? ['SKILL.md', 'logo.png'] : ['SKILL.md', 'rules'],
    );
  }
  expect(read).toBe(10);
});
