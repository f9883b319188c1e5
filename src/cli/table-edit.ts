/** The rows of commands that edit files: the config, and those of clients. */
import type { Rows } from './verb.js';

const CONFIG = ['PATH', 'the config file [env: MCPSTEAD_CONFIG]'] as const;
const URL_OPTION = ['URL', 'the running gateway, to be reloaded; defaults to that of the config'] as const;
const EDITED = { config: CONFIG, url: URL_OPTION } as const;
const ASKING = { yes: 'ask nothing', json: 'one JSON document' } as const;
const DRY = { 'dry-run': 'write nothing, and show what would be written' } as const;
const PROJECT = { project: 'the files of the project in this folder, not those of the user' } as const;
const REGISTRY = ['URL', 'a registry other than registry.modelcontextprotocol.io'] as const;

export const EDITING: Rows = {
  init: {
    usage: '',
    help: 'write a config with the servers of Claude, Cursor and other clients on this machine',
    words: [0, 0],
    values: { from: ['A,B', 'only from these clients'], ...EDITED },
    flags: { ...ASKING, ...DRY, ...PROJECT },
    load: async () => (await import('./verbs/init.js')).init,
  },
  import: {
    usage: 'FILE|CLIENT',
    help: 'take over the servers of one client, or of one file',
    words: [1, 1],
    values: { only: ['A,B', 'only these servers'], ...EDITED },
    flags: { ...ASKING, ...DRY, ...PROJECT },
    completes: 'client',
    load: async () => (await import('./verbs/import.js')).importServers,
  },
  install: {
    usage: 'CLIENT...',
    help: 'write the gateway into the files of clients',
    words: [1, Infinity],
    values: { config: CONFIG, url: ['URL', 'the endpoint; defaults to that of the running gateway'] },
    flags: { replace: 'take out the servers that the gateway has', ...ASKING, ...DRY, ...PROJECT },
    completes: 'client',
    load: async () => (await import('./verbs/install.js')).install,
  },
  uninstall: {
    usage: 'CLIENT...',
    help: 'take the gateway out of the files of clients, as they were before install',
    words: [1, Infinity],
    values: { config: CONFIG },
    flags: { ...ASKING, ...DRY, ...PROJECT },
    completes: 'client',
    load: async () => (await import('./verbs/uninstall.js')).uninstall,
  },
  add: {
    usage: '[NAME] [URL]',
    help: 'add a server to the config: a command after --, a URL, or one of the registry by its name',
    words: [0, 2],
    values: {
      file: ['PATH', 'a server.json, as in the registry'],
      name: ['NAME', 'how a server of the registry is called'],
      inherit: ['A,B', 'variables of the gateway that the command gets'],
      'token-env': ['NAME', 'the variable of the gateway with the token for a URL'],
      registry: REGISTRY,
      ...EDITED,
    },
    flags: ASKING,
    takesProgram: true,
    load: async () => (await import('./verbs/edit-config.js')).add,
  },
  remove: {
    usage: 'NAME...',
    help: 'remove servers from the config',
    words: [1, Infinity],
    values: EDITED,
    flags: { json: 'one JSON document' },
    completes: 'server',
    load: async () => (await import('./verbs/edit-config.js')).remove,
  },
  enable: {
    usage: 'NAME...',
    help: 'use servers again that were disabled in the config',
    words: [1, Infinity],
    values: EDITED,
    flags: { json: 'one JSON document' },
    completes: 'server',
    load: async () => (await import('./verbs/edit-config.js')).enable,
  },
  disable: {
    usage: 'NAME...',
    help: 'keep servers in the config without using them',
    words: [1, Infinity],
    values: EDITED,
    flags: { json: 'one JSON document' },
    completes: 'server',
    load: async () => (await import('./verbs/edit-config.js')).disable,
  },
  search: {
    usage: 'WORD...',
    help: 'look for servers in a registry',
    words: [1, Infinity],
    values: { registry: REGISTRY },
    flags: { json: 'one JSON document' },
    load: async () => (await import('./verbs/search.js')).search,
  },
};
