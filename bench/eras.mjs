// The cost of calls between clients and servers of different eras.
import { crossings } from './cases.mjs';
import { interleave } from './measure.mjs';
import { progress, ratio, say, show, showRatio, table, verdict } from './report.mjs';
import { mcpstead, run } from './targets.mjs';

const SIZES = [
  ['0.2 KB', '0.2k'],
  ['100 KB', '100k'],
];
const LIMIT = 1.15;
const [LEGACY, MODERN] = ['legacy client, legacy server', 'modern client, modern server'];

async function eras(options) {
  const servers = [
    { name: 'bench', url: `${options.upstream}/mcp` },
    { name: 'modern', url: `${options.upstream}/modern` },
  ];
  const gateway = await run(mcpstead, { servers });
  const rows = [];
  try {
    for (const [title, size] of SIZES.filter((_, i) => !options.quick || i === 0)) {
      const columns = crossings(size);
      const subjects = columns.map((one) => ({ name: one.name, gateway, one }));
      const figures = await interleave(subjects, options);
      for (const { name, isBridge } of columns) {
        const { cpu, p99 } = figures[name];
        const ratios = isBridge ? [LEGACY, MODERN].map((same) => ratio(cpu, figures[same].cpu)) : [];
        const cells = [0, 1].flatMap((i) => [
          showRatio(ratios[i]),
          verdict(ratios[i], size === '0.2k' ? LIMIT : undefined),
        ]);
        rows.push([`${title}, ${name}`, show(cpu), ...cells, show(p99)]);
        progress(...rows.at(-1));
      }
    }
  } finally {
    await gateway.stop();
  }
  say('## Across eras: CPU per call, in microseconds');
  say();
  table(
    ['case', 'mcpstead', 'to legacy, legacy', 'limit', 'to modern, modern', 'limit', 'p99, in milliseconds'],
    rows,
  );
}

export const acrossEras = { title: 'across eras', run: eras };
