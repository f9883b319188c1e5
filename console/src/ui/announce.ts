/** What a screen reader is told without being asked, politely. */
import { signal } from '@preact/signals';

export const announced = signal('');

export function announce(text: string): void {
  announced.value = text;
}
