import { parseArgs } from 'node:util';
import type { ConfigError } from '../config/index.js';
import { readPackageFile } from '../lib/package-files.js';
import { explain, printable, Refusal } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';
import { configNamed, defaultConfigText } from './config-path.js';
import type { Named } from './table.js';

const help = (all: readonly Named[]): string => `mcpstead: one MCP endpoint in front of many MCP servers

Usage:
  mcpstead [serve] --config PATH      run the gateway
  mcpstead stdio --config PATH        run the gateway for the one client that starts it: MCP over stdin and stdout, no port
  mcpstead stdio --url URL            connect a stdio client to a running gateway
  mcpstead health [--url URL]         exit with status 0 if the gateway is ready, otherwise 1
  mcpstead demo [--port N]            run a gateway with two example servers

${verbs(all)}
mcpstead <command> --help prints the options of a command.

Options:
  -c, --config PATH   the config file, YAML or JSON (comments allowed) [env: MCPSTEAD_CONFIG];
                      defaults to ${defaultConfigText()}
      --url URL       the gateway to ask; defaults to that of the config, or http://127.0.0.1:8766.
                      For stdio, its endpoint, such as http://127.0.0.1:8766/mcp
      --profile NAME  for stdio: a profile of the config instead of all servers
      --port N        the port of the demo; defaults to 8766 or the next free one
  -V, --version       print the version
  -h, --help          print this

Environment: MCPSTEAD_HOST, MCPSTEAD_PORT and MCPSTEAD_LOG_LEVEL override the config;
MCPSTEAD_BEARER_TOKEN, or MCPSTEAD_BEARER_TOKEN_FILE with one token a line, for mcp.auth.mode: bearer
and for stdio --url.
SIGHUP reloads the config. SIGTERM and SIGINT stop after calls in flight have finished; a second signal stops at once.
`;

/** The lines of the commands; a long one has a line of its own. */
function verbs(all: readonly Named[]): string {
  const column = 36;
  return all
    .map(({ name, row }) => {
      const start = `  mcpstead ${name} ${row.usage}`.trimEnd();
      return start.length + 2 > column
        ? `${start}\n${' '.repeat(column + 2)}${row.help}\n`
        : `${start.padEnd(column + 2)}${row.help}\n`;
    })
    .join('');
}

/** The options of each command; `serve` is the default command. */
const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  serve: ['config'],
  health: ['config', 'url'],
  demo: ['port'],
  stdio: ['config', 'url', 'profile'],
};

interface Call {
  readonly command: string;
  readonly config: string | undefined;
  readonly url: string | undefined;
  readonly port: string | undefined;
  readonly profile: string | undefined;
}

/** Whether it is one of the commands of the table, which a gateway does not load to start. */
async function isVerb([first]: readonly string[]): Promise<boolean> {
  if (first === undefined || first.startsWith('-') || Object.hasOwn(OPTIONS, first)) return false;
  const { TABLE } = await import('./table.js');
  return Object.hasOwn(TABLE, first);
}

/** Runs a command line. Resolves with the exit status. */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    if (await isVerb(argv)) {
      const { runVerb } = await import('./app.js');
      return await runVerb(argv, terminal);
    }
    if (argv[0] === '__complete') {
      const { complete } = await import('./complete.js');
      return await complete(argv.slice(1), terminal);
    }
    const call = understand(argv, terminal.env);
    switch (call.command) {
      case 'help': {
        const { allVerbs } = await import('./table.js');
        terminal.out(help(allVerbs()));
        return 0;
      }
      case 'version':
        terminal.out(`mcpstead ${version()}\n`);
        return 0;
      case 'health': {
        const { health } = await import('./health.js');
        return await health(call.url, call.config, terminal);
      }
      case 'stdio': {
        if (call.url !== undefined) {
          const { join } = await import('./join.js');
          return await join(call.url, terminal);
        }
        const { stdio } = await import('./stdio.js');
        return await stdio(required(call.config), call.profile, terminal);
      }
      case 'demo': {
        const { demo } = await import('../demo/demo.js');
        return await demo(call.port, version(), terminal);
      }
      default: {
        const config = required(call.config);
        const { serve } = await import('./serve.js');
        return await serve(config, version(), terminal);
      }
    }
  } catch (error) {
    for (const warning of (error as Partial<ConfigError>).warnings ?? [])
      terminal.err(printable(`warning: ${warning}\n`));
    const status = error instanceof Refusal ? error.status : 1;
    const text = printable(explain(error, terminal.env));
    terminal.err(
      argv.includes('--json') ? `${JSON.stringify({ error: { message: text, status } })}\n` : `${text}\n`,
    );
    return status;
  }
}

function understand(argv: readonly string[], env: NodeJS.ProcessEnv): Call {
  const { values, positionals } = parsed(argv);
  const [command = 'serve', ...more] = positionals;
  const { url, port, profile } = values;
  const config = configNamed(values.config, env);
  const call = { command, config, url, port, profile };
  if (values.help === true) return { ...call, command: 'help' };
  if (values.version === true) return { ...call, command: 'version' };
  const takes = OPTIONS[command];
  if (takes === undefined) throw new Refusal(`unknown command '${command}'; ${meant(command)}`, 2);
  if (values.url !== undefined && values.config !== undefined && takes.includes('url'))
    throw new Refusal('--url and --config name different gateways: use one of them; see mcpstead --help', 2);
  if (values.url !== undefined && values.profile !== undefined)
    throw new Refusal('--url names an endpoint: write the profile into it, as in /profiles/NAME/mcp', 2);
  const [extra] = more;
  if (extra !== undefined) {
    const way = takes.includes('config') ? meant(extra) : meant('');
    throw new Refusal(`unexpected argument '${extra}'; ${way}`, 2);
  }
  const strange = Object.keys(values).find((option) => !takes.includes(option));
  if (strange !== undefined) {
    const name = command === 'serve' ? 'mcpstead' : `mcpstead ${command}`;
    throw new Refusal(`${name} takes no --${strange}; see mcpstead --help`, 2);
  }
  return call;
}

/** Suggests a correction for an unknown command. */
function meant(word: string): string {
  if (/\.(ya?ml|jsonc?|toml)$/i.test(word) || /[\\/]/.test(word)) return `did you mean --config ${word}?`;
  if (/^(start|run|up)$/.test(word)) return 'mcpstead serve runs the gateway';
  if (/^(version|help)$/.test(word)) return `did you mean --${word}?`;
  return 'see mcpstead --help';
}

function parsed(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        url: { type: 'string' },
        port: { type: 'string' },
        profile: { type: 'string' },
        version: { type: 'boolean', short: 'V' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    const [sentence = ''] = (error as Error).message.split(/\. |\n/);
    throw new Refusal(`${sentence}; see mcpstead --help`, 2);
  }
}

function required(config: string | undefined): string {
  if (!config)
    throw new Refusal(
      [
        'mcpstead requires --config <path> or MCPSTEAD_CONFIG=<path>',
        '  mcpstead init   take over the servers of Claude, Cursor, ...    mcpstead demo   two example servers',
      ].join('\n'),
    );
  return config;
}

function version(): string {
  const info = readPackageFile('build-info.json').toString();
  return (JSON.parse(info) as { version: string }).version;
}
