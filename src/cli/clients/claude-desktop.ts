import { pathsOf } from '../../config/paths.js';
import { namedServers, ofUser, removal, settingsFolder, type Client } from './client.js';

/** Starts programs alone: the gateway is one that connects to it. */
export const claudeDesktop: Client = {
  name: 'claude-desktop',
  find: ofUser((place) => [
    {
      path: pathsOf(place.platform).join(settingsFolder(place), 'Claude', 'claude_desktop_config.json'),
      format: 'json',
    },
  ]),
  read: (value) => namedServers(value, ['mcpServers']),
  write({ name, token, bridge }) {
    const env = token && 'key' in token && { env: { MCPSTEAD_BEARER_TOKEN: token.key } };
    return [
      {
        op: 'set',
        path: ['mcpServers', name],
        value: { command: bridge.command, args: bridge.args, ...env },
      },
    ];
  },
  clear: (name, value) => removal(['mcpServers'], name, value),
};
