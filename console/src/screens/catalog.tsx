/** Lists of tools, prompts and resources: search, a filter by server, and the way to try one. */
import type { ComponentChildren, JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { Profile, Prompt, Resource, Tool } from '../../../src/admin/schemas.js';
import { listsVersion, servers } from '../data/live.js';
import { count, plural } from '../format.js';
import { place, setQuery, to } from '../router.js';
import { Empty, Loading, Tabs, Title } from '../ui/basics.js';
import { Broken } from '../ui/broken.js';
import { Choice, same, SearchField } from '../ui/filters.js';
import { rowsOf, useLoad } from '../ui/load.js';
import { VirtualList } from '../ui/virtual.js';
import { indexOf, search } from './search.js';

const ROW = 60;

export function Search({
  label,
  found,
  total,
  children,
}: {
  label: string;
  found: number;
  total: number;
  children?: ComponentChildren;
}): JSX.Element {
  const names = (servers.value ?? []).map(({ name }) => name).sort();
  return (
    <div class="filters">
      <SearchField label={label} />
      <Choice name="server" label="Server" options={[['', 'all servers'], ...same(names)]} />
      {children}
      <span class="dim" role="status">
        {found === total ? count(total) : `${count(found)} of ${count(total)}`}
      </span>
    </div>
  );
}

export function Tools(): JSX.Element {
  const { query } = place.value;
  const profile = query.get('profile') ?? '';
  const answer = useLoad<unknown>(
    profile === '' ? 'tools' : `tools?profile=${encodeURIComponent(profile)}`,
    listsVersion.value,
  );
  const q = query.get('q') ?? '';
  const server = query.get('server') ?? '';
  const sort = query.get('sort') ?? 'name';
  const tools = useMemo(() => rowsOf<Tool>(answer.value.value, 'tools'), [answer.value.value]);
  const index = useMemo(() => {
    const sorted = [...tools].sort((a, b) =>
      sort === 'tokens' ? b.tokens - a.tokens : a.name < b.name ? -1 : 1,
    );
    return indexOf(
      sorted,
      ({ name }) => name,
      ({ title, description }) => [title, description],
    );
  }, [tools, sort]);
  const found = useMemo(
    () => search(index, q).filter((tool) => server === '' || tool.server === server),
    [index, q, server],
  );
  const tokens = useMemo(() => found.reduce((sum, tool) => sum + tool.tokens, 0), [found]);
  if (answer.failure.value && !answer.value.value) return <Broken title="Tools" loaded={answer} />;
  if (!answer.value.value) return <Loading what="the tools" />;
  return (
    <>
      <Title>Tools</Title>
      {tools.length === 0 && profile === '' ? (
        <Empty
          commands={[
            'mcpstead servers',
            'mcpstead add files -- npx -y @modelcontextprotocol/server-filesystem ~/Documents',
          ]}
        >
          No server offers a tool now. The first command says how the servers are, the second adds one.
        </Empty>
      ) : (
        <>
          <Search label="Search tools" found={found.length} total={tools.length}>
            <Profiles />
          </Search>
          <div class="actions">
            <Tabs
              label="Sort by"
              now={sort}
              pick={(id) => setQuery({ sort: id === 'name' ? undefined : id })}
              tabs={[
                { id: 'name', text: 'By name' },
                { id: 'tokens', text: 'By tokens' },
              ]}
            />
            <span class="dim number">~{count(tokens)} tokens, estimated</span>
          </div>
          {found.length === 0 ? (
            <p class="empty">No tool has {q === '' ? 'been found' : 'all these words'}.</p>
          ) : (
            <VirtualList
              label="Tools"
              rows={found}
              height={ROW}
              keyOf={({ name }) => name}
              render={(tool) => (
                <a class="item" href={to(['tools', tool.name])} data-row>
                  <span class="line">
                    <bdi class="name">{tool.name}</bdi>
                    <span class="number dim">~{count(tool.tokens)} tok</span>
                  </span>
                  <span class="line dim">
                    <bdi class="cut">{tool.description ?? tool.title ?? 'no description'}</bdi>
                  </span>
                </a>
              )}
            />
          )}
        </>
      )}
    </>
  );
}

/** Chooses whose tools are shown: those of `/mcp`, or those of a profile. Nothing without profiles. */
function Profiles(): JSX.Element | null {
  const answer = useLoad<unknown>('profiles', listsVersion.value);
  const profiles = rowsOf<Profile>(answer.value.value, 'profiles');
  if (profiles.length === 0) return null;
  const options = profiles.map(({ name, tokens }): [string, string] => [name, `${name} (~${count(tokens)})`]);
  return <Choice name="profile" label="Endpoint" options={[['', '/mcp'], ...options]} />;
}

export function Prompts(): JSX.Element {
  const answer = useLoad<unknown>('prompts', listsVersion.value);
  const prompts = useMemo(() => rowsOf<Prompt>(answer.value.value, 'prompts'), [answer.value.value]);
  const found = useFound(
    prompts,
    ({ name }) => name,
    ({ title, description }) => [title, description],
  );
  if (answer.failure.value && !answer.value.value) return <Broken title="Prompts" loaded={answer} />;
  if (!answer.value.value) return <Loading what="the prompts" />;
  return (
    <>
      <Title>Prompts</Title>
      {prompts.length === 0 ? (
        <Empty commands={['mcpstead prompts']}>No server offers a prompt now.</Empty>
      ) : (
        <>
          <Search label="Search prompts" found={found.length} total={prompts.length} />
          <VirtualList
            label="Prompts"
            rows={found}
            height={ROW}
            keyOf={({ name }) => name}
            render={(prompt) => (
              <a class="item" href={to(['prompts', prompt.name])} data-row>
                <span class="line">
                  <bdi class="name">{prompt.name}</bdi>
                </span>
                <span class="line dim">
                  <bdi class="cut">{prompt.description ?? prompt.title ?? 'no description'}</bdi>
                </span>
              </a>
            )}
          />
        </>
      )}
    </>
  );
}

export function Resources(): JSX.Element {
  const answer = useLoad<unknown>('resources', listsVersion.value);
  const resources = useMemo(() => rowsOf<Resource>(answer.value.value, 'resources'), [answer.value.value]);
  const found = useFound(
    resources,
    ({ uri, name }) => `${name ?? ''} ${uri}`,
    ({ title, description, mime_type: type }) => [title, description, type],
  );
  if (answer.failure.value && !answer.value.value) return <Broken title="Resources" loaded={answer} />;
  if (!answer.value.value) return <Loading what="the resources" />;
  return (
    <>
      <Title>Resources</Title>
      {resources.length === 0 ? (
        <Empty commands={['mcpstead resources']}>No server offers a resource now.</Empty>
      ) : (
        <>
          <Search label="Search resources" found={found.length} total={resources.length} />
          <VirtualList
            label="Resources"
            rows={found}
            height={ROW}
            keyOf={({ uri, server }) => `${server} ${uri}`}
            render={(resource) => (
              <a class="item" href={to(['resources', resource.uri])} data-row>
                <span class="line">
                  <bdi class="name">{resource.name ?? resource.uri}</bdi>
                  <span class="dim">
                    {resource.template ? 'template' : resource.mime_type} <bdi>{resource.server}</bdi>
                  </span>
                </span>
                <span class="line dim">
                  <bdi class="cut">{resource.uri}</bdi>
                </span>
              </a>
            )}
          />
          <p class="dim">{plural(found.length, 'resource')}</p>
        </>
      )}
    </>
  );
}

function useFound<T extends { readonly server: string }>(
  rows: readonly T[],
  name: (row: T) => string,
  texts: (row: T) => readonly (string | null)[],
): T[] {
  const { query } = place.value;
  const q = query.get('q') ?? '';
  const server = query.get('server') ?? '';
  const index = useMemo(() => indexOf(rows, name, texts), [rows]);
  return useMemo(
    () => search(index, q).filter((row) => server === '' || row.server === server),
    [index, q, server],
  );
}
