interface Table {
  readonly kind: 'http' | 'stdio';
  readonly figures: Record<string, Record<string, number | readonly number[]>>;
}
interface Found {
  readonly verdict: 'yes' | 'partly' | 'no' | 'none' | 'untried';
  readonly seen: string;
}
interface Count {
  readonly clean: number;
  readonly all: number;
  readonly unchecked: number;
  readonly wrong: readonly string[];
}

export const OWN: string;
export function tableOf(head: readonly string[], rows: readonly (readonly unknown[])[]): string;
export function cheaper(
  tables: readonly Table[],
): { what: string; name: string; unit: string; own: string; other: string; ratio: number }[];
export function doing(
  behaviours: Record<string, Record<string, Found>>,
): { title: string; name: string; own: Found; other: Found }[];
export function cleaner(
  official: Record<string, Record<string, Count>>,
): { name: string; era: string; own: number; other: number }[];
export function pageOf(run: unknown): string;
