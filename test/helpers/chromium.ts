/** The browser of the console's tests. */
import { existsSync } from 'node:fs';

/** Its path; undefined: there is none. */
export const CHROMIUM: string | undefined = [
  process.env['CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path !== undefined && path !== '' && existsSync(path));
