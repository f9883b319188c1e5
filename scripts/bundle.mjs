// Bundles the compiled modules of build into the scripts of dist: a start reads a few files instead of hundreds.
import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { licenses } from './licenses.mjs';

const folder = (name) => fileURLToPath(new URL(`../${name}/`, import.meta.url));

/** What others run or import, by its path in build and in dist. */
const ENTRIES = ['index', 'cli/main', 'demo/notes'];
/** Its hundred files took a sixth of a start; half of them are not used. Other packages stay packages. */
const INLINED = /^zod(\/|$)/;

/** What is imported with `import()` gets scripts of its own, which are read when it is needed. */
export async function bundle() {
  const bundled = await rolldown({
    input: Object.fromEntries(ENTRIES.map((name) => [name, `${folder('build')}${name}.js`])),
    platform: 'node',
    // What scripts share is not left in an entry: importing cli/main.js runs a command, and under another path, once more.
    preserveEntrySignatures: 'strict',
    external: (id) => !id.startsWith('.') && !isAbsolute(id) && !INLINED.test(id),
    plugins: [sourceMaps, ascii],
    onLog(level, log) {
      if (level === 'warn') throw new Error(`rolldown: ${log.message}`);
    },
  });
  await bundled.write({
    dir: folder('dist'),
    format: 'esm',
    entryFileNames: '[name].js',
    // One level deep, like lib in src: src/lib/package-files.ts finds the package from there.
    chunkFileNames: ({ name }) => `chunks/${name === 'build' ? 'gateway' : name}.js`,
    codeSplitting: { groups: [{ name: 'zod', test: /node_modules[\\/]zod[\\/]/ }] },
    banner: ({ moduleIds }) => licenses(moduleIds),
    minifyInternalExports: false,
    sourcemap: true,
    comments: { legal: true, annotation: false, jsdoc: false },
  });
  await bundled.close();
}

/** The maps of dist lead to src, not to build. */
const sourceMaps = {
  name: 'source-maps',
  load(id) {
    if (!id.startsWith(folder('build'))) return null;
    return { code: readFileSync(id, 'utf8'), map: readFileSync(`${id}.map`, 'utf8') };
  },
};

/** Escapes every other character: V8 keeps a script with a single one of them at two bytes a character. */
const ascii = {
  name: 'ascii',
  generateBundle(_, files) {
    for (const file of Object.values(files))
      if (file.type === 'chunk')
        file.code = file.code.replace(
          /[^\0-\x7f]/g,
          (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
        );
  },
};
