/** Keys: `/` search, `g` and a letter to a screen, `j` and `k` through rows, `?` help. They can be switched off. */
import { signal } from '@preact/signals';
import { go } from './router.js';

const STORED = 'mcpstead.keys';
/** Milliseconds for the letter after `g`. */
const PAUSE = 1_500;

export const keysOn = signal(localStorage.getItem(STORED) !== 'off');
export const helpOpen = signal(false);

export function setKeys(on: boolean): void {
  localStorage.setItem(STORED, on ? 'on' : 'off');
  keysOn.value = on;
}

/** By letter: the path of the screen. */
export type Letters = ReadonlyMap<string, string>;

let afterG = -Infinity;

export function listen(letters: () => Letters): void {
  addEventListener('keydown', (event) => {
    if (!keysOn.value || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const { target } = event;
    if (target instanceof HTMLElement && target.closest('input, textarea, select, dialog, [contenteditable]'))
      return;
    if (act(event.key, letters())) event.preventDefault();
  });
}

function act(key: string, letters: Letters): boolean {
  const second = performance.now() - afterG < PAUSE;
  afterG = -Infinity;
  if (second) {
    const screen = letters.get(key);
    if (screen === undefined) return false;
    go(screen);
    return true;
  }
  switch (key) {
    case 'g':
      afterG = performance.now();
      return true;
    case '/': {
      const search = document.querySelector<HTMLInputElement>('[data-search]');
      search?.focus();
      search?.select();
      return search !== null;
    }
    case 'j':
      return move(1);
    case 'k':
      return move(-1);
    case '?':
      helpOpen.value = true;
      return true;
    default:
      return false;
  }
}

/** To the next or previous row: its link, or the row itself. */
function move(by: number): boolean {
  const rows = [...document.querySelectorAll<HTMLElement>('main [data-row]')];
  if (rows.length === 0) return false;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next =
    rows[at === -1 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))];
  const target = next?.matches('a') ? next : (next?.querySelector<HTMLElement>('a, summary') ?? next);
  target?.focus();
  target?.scrollIntoView({ block: 'nearest' });
  return true;
}
