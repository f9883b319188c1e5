/** Where the config and the state of this user are, by the platform's rules. */
import { posix, win32 } from 'node:path';

/** What decides: the environment, and the platform (`process.platform`). */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly platform: NodeJS.Platform;
}

/** The config file that is used if none is named; undefined: the user has no home. */
export function defaultConfig({ env, platform }: Surroundings): string | undefined {
  const paths = pathsOf(platform);
  const { APPDATA, XDG_CONFIG_HOME, HOME } = env;
  const home =
    platform === 'win32'
      ? APPDATA
      : absolute(XDG_CONFIG_HOME, platform) || (HOME && paths.join(HOME, '.config'));
  return home ? paths.join(home, 'mcpstead', 'config.yaml') : undefined;
}

/** The folder for state if the config names none; undefined: there is none. */
export function defaultState({ env, platform }: Surroundings): string | undefined {
  const { STATE_DIRECTORY, XDG_STATE_HOME, LOCALAPPDATA, HOME } = env;
  const paths = pathsOf(platform);
  // systemd separates several directories by colons.
  const own = STATE_DIRECTORY?.split(':')[0];
  if (own) return absolute(own, platform);
  const home =
    platform === 'win32'
      ? LOCALAPPDATA
      : absolute(XDG_STATE_HOME, platform) || (HOME && paths.join(HOME, '.local', 'state'));
  const base = absolute(home, platform);
  return base && paths.join(base, 'mcpstead');
}

export function pathsOf(platform: NodeJS.Platform): typeof posix {
  return platform === 'win32' ? win32 : posix;
}

/** A relative path is ignored (XDG Base Directory Specification). */
function absolute(path: string | undefined, platform: NodeJS.Platform): string | undefined {
  return path && pathsOf(platform).isAbsolute(path) ? path : undefined;
}
