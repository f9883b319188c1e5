import type { JSX } from 'preact';
import { servers } from '../data/live.js';
import { Empty, Loading, Title } from '../ui/basics.js';
import { byUrgency, ServerRows } from './overview.js';

export function Servers(): JSX.Element {
  const list = servers.value;
  return (
    <>
      <Title>Servers</Title>
      {!list ? (
        <Loading what="the servers" />
      ) : list.length === 0 ? (
        <Empty
          commands={['mcpstead add files -- npx -y @modelcontextprotocol/server-filesystem ~/Documents']}
        >
          No servers are configured.
        </Empty>
      ) : (
        <ServerRows list={byUrgency(list)} />
      )}
    </>
  );
}
