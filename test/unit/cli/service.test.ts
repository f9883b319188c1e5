import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { defaultConfig, defaultState } from '../../../src/config/paths.js';
import { managerOf, serviceText } from '../../../src/cli/verbs/service.js';
import { tempDir } from '../../helpers/cli.js';

const service = {
  command: ['/opt/my node/node', '/m.js', '--config', '/100%/$x "q".yaml'],
  path: '/bin:/a & b',
  home: '/home/me',
};

describe('a service', () => {
  it('is a systemd user unit on Linux, with the PATH of the shell', () => {
    const manager = managerOf('linux', { HOME: '/home/me' });
    expect(manager.path).toBe('/home/me/.config/systemd/user/mcpstead.service');
    expect(managerOf('linux', { HOME: '/h', XDG_CONFIG_HOME: '/x' }).path).toBe(
      '/x/systemd/user/mcpstead.service',
    );
    const text = manager.text(service);
    expect(text).toContain(`ExecStart="/opt/my node/node" "/m.js" "--config" "/100%%/$$x \\"q\\".yaml"\n`);
    expect(text).toContain('Environment="PATH=/bin:/a & b"\n');
  });

  it.each<NodeJS.Platform>(['linux', 'darwin'])(
    'has no line that a PATH or a path brings along: %s',
    (platform) => {
      const manager = managerOf(platform, { HOME: '/home/me' });
      const hostile = '/bin\nExecStartPre=/bin/evil';
      expect(() => serviceText(manager, { ...service, path: hostile })).toThrow('control character');
      expect(() => serviceText(manager, { ...service, command: ['/node', hostile] })).toThrow(
        'control character',
      );
    },
  );

  it('keeps a dollar where systemd expands no variables', () => {
    const manager = managerOf('linux', { HOME: '/home/me' });
    const text = manager.text({ ...service, command: ['/a$b/node', '$HOME'], path: '/a$b/bin' });
    expect(text).toContain('ExecStart="/a$b/node" "$$HOME"\n');
    expect(text).toContain('Environment="PATH=/a$b/bin"\n');
  });

  it('is a launchd agent on macOS, which a parser of property lists reads', async () => {
    const manager = managerOf('darwin', { HOME: '/Users/me' });
    expect(manager.path).toBe('/Users/me/Library/LaunchAgents/mcpstead.plist');
    const file = join(await tempDir(), 'mcpstead.plist');
    await writeFile(file, manager.text(service));
    const script = 'import json,plistlib,sys; print(json.dumps(plistlib.load(open(sys.argv[1],"rb"))))';
    const { stdout } = spawnSync('python3', ['-c', script, file], { encoding: 'utf8' });
    expect(JSON.parse(stdout)).toMatchObject({
      Label: 'mcpstead',
      ProgramArguments: service.command,
      EnvironmentVariables: { PATH: service.path },
      KeepAlive: { SuccessfulExit: false },
    });
  });

  it('is refused on Windows, and without a home', () => {
    expect(() => managerOf('win32', {})).toThrow('no service on this platform');
    expect(() => managerOf('linux', {})).toThrow('HOME is not set');
  });
});

describe('the folders of a user', () => {
  it.each<[NodeJS.Platform, NodeJS.ProcessEnv, string | undefined, string | undefined]>([
    ['linux', { HOME: '/h' }, '/h/.config/mcpstead/config.yaml', '/h/.local/state/mcpstead'],
    ['darwin', { HOME: '/h' }, '/h/.config/mcpstead/config.yaml', '/h/.local/state/mcpstead'],
    [
      'linux',
      { HOME: '/h', XDG_CONFIG_HOME: '/c', XDG_STATE_HOME: '/s' },
      '/c/mcpstead/config.yaml',
      '/s/mcpstead',
    ],
    [
      'linux',
      { HOME: '/h', XDG_CONFIG_HOME: 'c', XDG_STATE_HOME: 's' },
      '/h/.config/mcpstead/config.yaml',
      '/h/.local/state/mcpstead',
    ],
    ['linux', { STATE_DIRECTORY: '/var/lib/a:/var/lib/b' }, undefined, '/var/lib/a'],
    ['win32', { APPDATA: 'C:\\R', LOCALAPPDATA: 'C:\\L' }, 'C:\\R\\mcpstead\\config.yaml', 'C:\\L\\mcpstead'],
    ['win32', {}, undefined, undefined],
  ])('on %s with %j', (platform, env, config, state) => {
    expect([defaultConfig({ env, platform }), defaultState({ env, platform })]).toEqual([config, state]);
  });
});
