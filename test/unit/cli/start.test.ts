/** What a gateway loads to start. */
import { expect, it } from 'vitest';
import { loadedBy, modulesIn, scripts, scriptWith } from '../../helpers/built-modules.js';

it('loads nothing of the commands, the prompts and the admin API for serve and stdio', () => {
  const loaded = [...loadedBy('cli/main.js', scriptWith('cli/serve.ts'), scriptWith('cli/stdio.ts'))];
  const modules = loaded.flatMap((name) => (name.endsWith('.js') ? modulesIn(name) : [name]));
  expect(modules).toContain('gateway.ts');
  expect(modules).toContain('yaml');
  const unwanted =
    /stricli|clack|smol-toml|cli\/(?:app|table|verbs|clients|edit|registry)|admin\/(?:api|routes|schemas)/;
  expect(modules.filter((name) => unwanted.test(name))).toEqual([]);
});

it('reads few files', () => {
  const own = [...loadedBy('cli/main.js', scriptWith('cli/serve.ts'))].filter((name) => name.endsWith('.js'));
  expect(own.length).toBeLessThan(40);
});

it('runs a command once: no script imports the one that runs it', () => {
  expect(scripts().filter((name) => name !== 'cli/main.js' && loadedBy(name).has('cli/main.js'))).toEqual([]);
});
