/** A gateway that starts with the user's session: `mcpstead service install | remove | status`. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { resolve } from 'node:path';
import { commandOf } from '../../lib/package-files.js';
import { Refusal } from '../../terminal/explain.js';
import { configOf } from '../config-path.js';
import { outputOf } from '../output.js';
import { runProgram, type Ran } from '../programs.js';
import type { Verb } from '../verb.js';

const LABEL = 'mcpstead';

/** How a platform starts something with the user's session. */
export interface Manager {
  readonly path: string;
  readonly text: (service: Service) => string;
  /** Command lines, run one after the other. */
  readonly install: readonly (readonly string[])[];
  readonly remove: readonly (readonly string[])[];
  readonly runs: readonly string[];
}

export interface Service {
  /** Absolute: program, and its arguments. */
  readonly command: readonly string[];
  readonly path: string;
  /** Of the user's home. */
  readonly home: string;
}

/** Throws a Refusal for a platform without one. */
export function managerOf(platform: NodeJS.Platform, env: NodeJS.ProcessEnv): Manager {
  const { HOME: home, XDG_CONFIG_HOME } = env;
  if (platform !== 'darwin' && platform !== 'linux')
    throw new Refusal(
      'there is no service on this platform: start mcpstead from the task scheduler or at sign-in',
    );
  if (!home) throw new Refusal('HOME is not set: a service belongs to a user');
  if (platform === 'darwin') {
    const path = posix.join(home, 'Library', 'LaunchAgents', `${LABEL}.plist`);
    const domain = `gui/${process.getuid?.() ?? 501}`;
    return {
      path,
      text: plist,
      install: [['launchctl', 'bootstrap', domain, path]],
      remove: [['launchctl', 'bootout', `${domain}/${LABEL}`]],
      runs: ['launchctl', 'print', `${domain}/${LABEL}`],
    };
  }
  return {
    path: posix.join(XDG_CONFIG_HOME || posix.join(home, '.config'), 'systemd', 'user', `${LABEL}.service`),
    text: unit,
    install: [
      ['systemctl', '--user', 'daemon-reload'],
      ['systemctl', '--user', 'enable', '--now', `${LABEL}.service`],
    ],
    remove: [['systemctl', '--user', 'disable', '--now', `${LABEL}.service`]],
    runs: ['systemctl', '--user', 'is-active', '--quiet', `${LABEL}.service`],
  };
}

/** Servers find their commands by the PATH of the shell that installs the service: a session's own PATH is shorter. */
function unit({ command, path }: Service): string {
  return `# Written by mcpstead service install, which writes it anew: mcpstead service remove takes it out.
[Unit]
Description=mcpstead, an MCP gateway

[Service]
Type=exec
ExecStart=${command.map((word, index) => (index === 0 ? quoted(word) : quoted(word).replaceAll('$', '$$$$'))).join(' ')}
ExecReload=/bin/kill -HUP $MAINPID
Environment=${quoted(`PATH=${path}`)}
Restart=on-failure
RestartSec=2
KillMode=mixed
TimeoutStopSec=30

[Install]
WantedBy=default.target
`;
}

/** systemd.syntax(7): quotes, backslashes, and the specifiers that begin with %. Variables ($) are expanded in the arguments of a command alone. */
function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&').replaceAll('%', '%%')}"`;
}

function plist({ command, path, home }: Service): string {
  const strings = command.map((word) => `    <string>${escaped(word)}</string>`).join('\n');
  const log = escaped(posix.join(home, 'Library', 'Logs', 'mcpstead.log'));
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>${LABEL}</string>
  <key>ProgramArguments</key>
  <array>
${strings}
  </array>
  <key>EnvironmentVariables</key>
  <dict><key>PATH</key><string>${escaped(path)}</string></dict>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>StandardOutPath</key><string>${log}</string>
  <key>StandardErrorPath</key><string>${log}</string>
</dict>
</plist>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Throws a Refusal for what the file cannot hold: a line break would begin a setting of its own. */
export function serviceText(manager: Manager, service: Service): string {
  const { command, path, home } = service;
  for (const [what, value] of [...command.map((word) => ['path', word]), ['PATH', path], ['HOME', home]])
    if (/[\u0000-\u001f\u007f]/.test(value ?? ''))
      throw new Refusal(
        `the ${what} ${JSON.stringify(value)} has a control character: a service cannot have it`,
      );
  return manager.text(service);
}

export const installService: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const { env } = terminal;
  const manager = managerOf(process.platform, env);
  const config = configOf(written, env);
  if (config === undefined)
    throw new Refusal('there is no config: mcpstead init writes one, or name one with --config');
  const text = serviceText(manager, {
    command: [...commandOf('cli/main.js'), '--config', resolve(config)],
    path: env['PATH'] ?? '',
    home: env['HOME'] ?? '',
  });
  if (written.flags.has('dry-run')) {
    terminal.out(text);
    return 0;
  }
  try {
    mkdirSync(posix.dirname(manager.path), { recursive: true });
    writeFileSync(manager.path, text);
  } catch (error) {
    throw new Refusal(`cannot write ${manager.path}: ${(error as Error).message}`);
  }
  for (const line of manager.install) await must(line, `wrote ${manager.path}, but it does not start`);
  output.line(`installed ${manager.path}: the gateway runs, and starts with your session`);
  return 0;
};

export const removeService: Verb = async (written, terminal) => {
  const manager = managerOf(process.platform, terminal.env);
  if (!existsSync(manager.path)) throw new Refusal(`there is no service: ${manager.path} does not exist`);
  for (const [command = '', ...args] of manager.remove) await runProgram(command, args);
  rmSync(manager.path);
  outputOf(written, terminal).line(`removed ${manager.path}`);
  return 0;
};

export const serviceStatus: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const manager = managerOf(process.platform, terminal.env);
  const installed = existsSync(manager.path);
  const [command = '', ...args] = manager.runs;
  const running = installed && (await runProgram(command, args)).status === 0;
  if (output.json) output.document({ installed, running, path: manager.path });
  else if (!installed) output.line('not installed: mcpstead service install');
  else output.line(running ? `runs; ${manager.path}` : `installed, but does not run; ${manager.path}`);
  return running ? 0 : 1;
};

async function must([command = '', ...args]: readonly string[], done: string): Promise<Ran> {
  const ran = await runProgram(command, args);
  if (ran.status === 0) return ran;
  throw new Refusal(`${done}: ${command} ${args.join(' ')}: ${ran.text || `status ${String(ran.status)}`}`);
}
