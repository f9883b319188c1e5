/** Sessions and clients without one; which eras meet. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import type { EraCell, SessionRow } from '../../../src/admin/schemas.js';
import { post, type Failure } from '../data/api.js';
import { calls, isOperator, me, sessions } from '../data/live.js';
import { count, UNKNOWN } from '../format.js';
import { announce } from '../ui/announce.js';
import { Age, Button, Empty, Loading, Problem, Title } from '../ui/basics.js';
import { rowsOf, useLoad } from '../ui/load.js';

export function Clients(): JSX.Element {
  const rows = sessions.value;
  const failed = useSignal<Failure | null>(null);
  return (
    <>
      <Title>Clients</Title>
      {failed.value ? <Problem failure={failed.value} /> : null}
      {!rows ? (
        <Loading what="the sessions" />
      ) : rows.length === 0 ? (
        <Empty commands={['mcpstead install claude-desktop cursor vscode']}>
          No client is connected to {me.value?.endpoint}. The command writes the gateway into your clients.
        </Empty>
      ) : (
        <ul class="rows">
          {rows.map((row) => (
            <Row key={row.id} row={row} failed={(failure) => (failed.value = failure)} />
          ))}
        </ul>
      )}
      <Eras />
    </>
  );
}

function Row({ row, failed }: { row: SessionRow; failed: (failure: Failure | null) => void }): JSX.Element {
  return (
    <li class="client-row" data-row tabIndex={-1}>
      <span class="name">
        <bdi>{row.client.name ?? 'unknown client'}</bdi> <bdi class="dim">{row.client.version}</bdi>
      </span>
      <span>
        {row.era} {row.revision}
      </span>
      <span class="dim">{row.session === null ? 'no session' : `session ${row.session}...`}</span>
      <span class="dim">
        <bdi>{row.principal}</bdi> at {row.route}
      </span>
      <span class="number">{row.calls > 0 ? `${count(row.calls)} in flight` : ''}</span>
      <span class="dim">
        seen <Age time={row.last_seen} /> ago
      </span>
      {isOperator() && row.session !== null ? (
        <Button
          kind="quiet"
          label={`End the session of ${row.client.name ?? 'unknown client'}`}
          onClick={() =>
            void post(`sessions/${encodeURIComponent(row.id)}/end`).then((result) => {
              failed(result.ok ? null : result);
              if (result.ok) announce('The session has ended');
            })
          }
        >
          End
        </Button>
      ) : (
        <span />
      )}
      <span class="dim cause">
        {row.capabilities.length === 0 ? 'no capabilities' : row.capabilities.join(', ')}
        {row.listening ? ', listens for changes' : ''}
      </span>
    </li>
  );
}

function Eras(): JSX.Element {
  const answer = useLoad<{ since: string | null }>('eras', calls.value.size);
  const cells = rowsOf<EraCell>(answer.value.value, 'eras');
  const began = answer.value.value?.since ?? null;
  const clients = [...new Set(cells.map(({ client, client_era: era }) => `${client} (${era})`))].sort();
  const servers = [...new Set(cells.map(({ server }) => server))].sort();
  return (
    <section aria-label="Eras">
      <h2>Eras</h2>
      <p class="dim">
        Calls by client and server: passed as they are; parked, for a modern client of a legacy server;
        unrolled, for a legacy client of a modern server.{' '}
        {began === null ? null : (
          <>
            Counted for <Age time={began} />, while somebody watched.
          </>
        )}
      </p>
      {answer.failure.value ? <Problem failure={answer.failure.value} retry={answer.again} /> : null}
      {answer.failure.value ? null : cells.length === 0 ? (
        <p class="empty">No calls were counted: they are while this page is open.</p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Calls by client and server">
          <table>
            <thead>
              <tr>
                <th scope="col">Client</th>
                {servers.map((server) => (
                  <th key={server} scope="col">
                    <bdi>{server}</bdi>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {clients.map((client) => (
                <tr key={client}>
                  <th scope="row">
                    <bdi>{client}</bdi>
                  </th>
                  {servers.map((server) => (
                    <td key={server}>
                      {cellText(
                        cells.filter(
                          (cell) =>
                            `${cell.client} (${cell.client_era})` === client && cell.server === server,
                        ),
                      )}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function cellText(cells: readonly EraCell[]): string {
  const kinds = ['passed', 'parked', 'unrolled'] as const;
  const texts = kinds
    .map((kind) => [kind, cells.reduce((sum, cell) => sum + cell[kind], 0)] as const)
    .filter(([, sum]) => sum > 0)
    .map(([kind, sum]) => `${count(sum)} ${kind}`);
  return texts.length === 0 ? UNKNOWN : texts.join(', ');
}
