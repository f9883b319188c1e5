// The build of the console: into dist/console, and a development server in front of a running gateway
// (npm run dev:console -- --url URL).
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const target = process.env.MCPSTEAD_URL;

export default defineConfig(({ command }) => ({
  root: fileURLToPath(new URL('.', import.meta.url)),
  // The built page does not care where it is served.
  base: command === 'serve' ? '/-/console/' : './',
  publicDir: false,
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: fileURLToPath(new URL('../dist/console', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    // The first versions with light-dark().
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    // The policy of the page admits no inline script, and no data: but for images.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: {
    host: '127.0.0.1',
    ...(target
      ? {
          proxy: {
            // The gateway admits its own origin alone, so the page's is left out.
            '^/-/(?!console)': {
              target,
              changeOrigin: true,
              configure: (proxy) =>
                proxy.on('proxyReq', (request) => {
                  request.removeHeader('origin');
                  request.removeHeader('sec-fetch-site');
                }),
            },
          },
        }
      : {}),
  },
}));
